"""What applying plan files did to one object."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pricing.models import PlanVersion


class Action(StrEnum):
    """What became of it."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    WITHDRAWN = "withdrawn"  # a draft, because the file is what is published already


@dataclass(frozen=True, slots=True)
class Applied:
    """One plan, meter or cost rate; `version` is the plan's draft, or what is published of it."""

    noun: str
    key: str
    action: Action
    version: PlanVersion | None = None

    def __str__(self) -> str:
        """`plan pro: draft v2 created`."""
        if self.version is None:
            return f"{self.noun} {self.key}: {self.action}"
        status = self.version.status
        if self.action is Action.WITHDRAWN:
            return f"{self.noun} {self.key}: draft withdrawn, {status} v{self.version.number} is the same"
        return f"{self.noun} {self.key}: {status} v{self.version.number} {self.action}"
