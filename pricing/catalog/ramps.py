"""Ramps: the phases in which a plan's prices change by themselves, by months after the start or by date."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from pricing.catalog.overrides import IN_A_PHASE, canonical_overrides
from pricing.rating.fields import Fields

PHASES_MAX: Final = 100
MONTHS_MAX: Final = 1200
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class RampPhase:
    """From `after_months` after a subscription came to the plan, or from the payer's local midnight of
    `starts_on`, the plan holds with these overrides, up to the next phase.

    Phases do not add up: each one overrides the plan itself.
    """

    after_months: int | None
    starts_on: date | None
    overrides: dict[str, Any]

    def content(self) -> dict[str, Any]:
        """The canonical form."""
        if self.starts_on is not None:
            return {"starts_on": self.starts_on.isoformat(), "overrides": self.overrides}
        return {"after_months": self.after_months, "overrides": self.overrides}


def read_ramps(fields: Fields) -> tuple[RampPhase, ...]:
    """The field `ramps`: phases in order of time, all by months or all by date; raises InvalidRequest.

    What their overrides name, `read_plan` checks against the plan.
    """
    items = fields.optional_items("ramps")
    if len(items) > PHASES_MAX:
        raise fields.error("ramps", "too_large", f"may have at most {PHASES_MAX} phases")
    phases: list[RampPhase] = []
    for index, item in enumerate(items):
        entry = Fields(item, f"{fields.path_to('ramps')}[{index}]")
        phase = _read_phase(entry)
        if phases:
            _check_order(entry, phases[-1], phase)
        phases.append(phase)
    return tuple(phases)


def _read_phase(entry: Fields) -> RampPhase:
    months, day = entry.optional_count("after_months"), entry.value("starts_on")
    overrides = entry.required("overrides")
    entry.finish()
    if months is not None and day is not None:
        raise entry.error("starts_on", "not_applicable", "does not go with after_months")
    if months is None and day is None:
        raise entry.error("after_months", "required", "is missing; or give starts_on, a date")
    if months is not None and not 1 <= months <= MONTHS_MAX:
        raise entry.error("after_months", "number_out_of_range", f"must be from 1 to {MONTHS_MAX}")
    shape = Fields(overrides, entry.path_to("overrides"))
    for name in IN_A_PHASE:
        shape.value(name)
    shape.finish()
    if not isinstance(overrides, Mapping) or not overrides:
        raise entry.error("overrides", "required", f"must name something: {', '.join(IN_A_PHASE)}")
    return RampPhase(months, None if day is None else _read_day(entry, day), canonical_overrides(overrides))


def _read_day(entry: Fields, value: object) -> date:
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise entry.error("starts_on", "invalid_date", "must be a date such as 2027-01-31")


def _check_order(entry: Fields, before: RampPhase, phase: RampPhase) -> None:
    if phase.after_months is not None and before.after_months is not None:
        if phase.after_months > before.after_months:
            return
        raise entry.error("after_months", "invalid_value", f"must be more than {before.after_months}")
    if phase.starts_on is None or before.starts_on is None:
        name = "after_months" if phase.starts_on is None else "starts_on"
        raise entry.error(name, "not_applicable", "mixes months and dates: take one of them for all phases")
    if phase.starts_on <= before.starts_on:
        raise entry.error("starts_on", "invalid_value", f"must be after {before.starts_on}")
