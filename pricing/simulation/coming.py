"""Which version is coming for a subscription: the one place that `upcoming` asks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from pricing.models import PlanVersion


class Coming(NamedTuple):
    """The version that a subscription will be on from `effective_at` on."""

    version: PlanVersion
    effective_at: datetime


ComingReader = Callable[[int, datetime], Coming | None]
"""From a subscription's id and now to the change that is coming."""


def coming_change(subscription_id: int, now: datetime) -> Coming | None:
    """The announced or scheduled change of a subscription that comes first; None when it stays.

    Nothing moves a subscription to another version yet, so it stays.
    """
    return None
