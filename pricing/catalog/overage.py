"""What a version charges for and an older one included or blocked ("introduces overage"). Pure.

By meter, with two numbers of each version: `free`, up to which a period's usage costs nothing, and `cap`,
beyond which a metered entitlement blocks it; None = no end. docs/algorithms/rollouts.md has the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, NamedTuple

from core.numbers import CONTEXT, ZERO, plain
from pricing.catalog.entitlements import EntitlementTerms
from pricing.catalog.plans import PlanTerms, read_plan

Definition = Mapping[str, Any]
TIERED: Final = frozenset({"graduated", "volume", "graduated_percentage"})
FLAT_PRICES: Final = {
    "per_unit": ("unit_price",),
    "package": ("package_price",),
    "percentage": ("rate", "fixed_fee", "min_per_transaction"),
}


class Cause(StrEnum):
    """Why usage begins to cost what it did not."""

    INCLUDED_FALLS = "included_falls"  # less is free than before
    WAS_FREE = "was_free"  # any quantity was free
    WAS_BLOCKED = "was_blocked"  # an entitlement ended it; now it goes on, at a price


@dataclass(frozen=True, slots=True)
class Overage:
    """One meter that begins to cost. `ceiling`: where the old version's free or allowed usage ended.

    None when it had no end, or ended in each group of a component on its own: nothing is left to keep.
    """

    meter: str
    cause: Cause
    ceiling: Decimal | None

    def content(self) -> dict[str, Any]:
        """For JSON."""
        ceiling = None if self.ceiling is None else plain(self.ceiling)
        return {"meter": self.meter, "cause": self.cause.value, "ceiling": ceiling}


class Allowance(NamedTuple):
    """What a version lets one use of a meter: free up to `free`, at most `cap`; None = without end.

    `free_transactions`: so many events of a percentage are free, where only their number counts.
    """

    free: Decimal | None
    cap: Decimal | None
    is_grouped: bool
    free_transactions: int


def introduced_overage(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Overage, ...]:
    """The meters for which content `new` charges where `old` included or blocked, in `new`'s order."""
    before, after = read_plan(old), read_plan(new)
    meters = dict.fromkeys(component.meter for component in after.components)
    found = (_compare(meter, allowance(before, meter), allowance(after, meter)) for meter in meters)
    return tuple(overage for overage in found if overage is not None)


def allowance(terms: PlanTerms, meter: str) -> Allowance:
    """What a plan lets one use of a meter. A metered entitlement of 0 or more ends the use."""
    priced = [component.definition for component in terms.components if component.meter == meter]
    return Allowance(
        _least(_free_until(definition) for definition in priced),
        _least(_limits(terms.entitlements, meter)),
        any(definition.get("group_by") or definition["model"] == "matrix" for definition in priced),
        min((int(definition.get("free_transactions") or 0) for definition in priced), default=0),
    )


def _compare(meter: str, old: Allowance, new: Allowance) -> Overage | None:
    if new.free is None or not _reaches(new.cap, new.free):
        return None
    old_free = _least((old.free, old.cap))  # what is blocked is not free
    if old.cap is not None and (old.free is None or old.free >= old.cap):
        # All that was allowed was free: whatever is charged was included or blocked.
        if new.free < old.cap or _reaches(new.cap, old.cap):
            cause = Cause.INCLUDED_FALLS if new.free < old.cap else Cause.WAS_BLOCKED
            return Overage(meter, cause, old.cap)
        return None
    if old_free is None:
        return Overage(meter, Cause.WAS_FREE, None)
    if new.free < old_free:
        return Overage(meter, Cause.INCLUDED_FALLS, None if old.is_grouped else old_free)
    if new.free_transactions < old.free_transactions:
        return Overage(meter, Cause.INCLUDED_FALLS, None)
    if old.cap is not None and _reaches(new.cap, old.cap):
        return Overage(meter, Cause.WAS_BLOCKED, old.cap)
    return None


def _reaches(cap: Decimal | None, quantity: Decimal) -> bool:
    """Whether usage may go beyond `quantity`."""
    return cap is None or cap > quantity


def _free_until(definition: Definition) -> Decimal | None:
    """How much of a component's quantity costs nothing; None = any."""
    model = definition["model"]
    if Decimal(definition.get("discount_percent", "0")) == 100 or definition.get("maximum") == "0":
        return None
    included = Decimal(definition.get("included", "0"))
    if model in TIERED:
        beyond = _free_tiers(definition["tiers"])
        return None if beyond is None else CONTEXT.add(included, beyond)
    if model == "matrix":
        return None if _is_zero_matrix(definition) else ZERO
    if model == "cost_plus":
        return ZERO
    if not any(Decimal(definition.get(name, "0")) for name in FLAT_PRICES[model]):
        return None
    if model != "percentage":
        return included
    return Decimal(definition.get("free_amount", "0"))


def _free_tiers(tiers: Iterable[Definition]) -> Decimal | None:
    reached = ZERO
    for tier in tiers:
        if any(Decimal(tier.get(name, "0")) for name in ("unit_price", "rate", "flat_fee")):
            return reached
        if tier["up_to"] is None:
            return None
        reached = Decimal(tier["up_to"])
    return None


def _is_zero_matrix(definition: Definition) -> bool:
    prices = [cell["unit_price"] for cell in definition["cells"]]
    default = definition.get("default_unit_price")
    return not any(Decimal(price) for price in [*prices, *([] if default is None else [default])])


def _limits(entitlements: Iterable[EntitlementTerms], meter: str) -> Iterable[Decimal | None]:
    return (one.limit for one in entitlements if one.type == "metered" and one.meter == meter)


def _least(values: Iterable[Decimal | None]) -> Decimal | None:
    """The least of those that are numbers; None when none is."""
    return min((value for value in values if value is not None), default=None)
