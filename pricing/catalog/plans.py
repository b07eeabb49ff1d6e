"""A plan as its file says it: read, checked, and written back in one canonical form."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final

from core.errors import InvalidRequest
from core.numbers import ZERO, plain
from pricing.catalog.components import ComponentTerms, read_plan_components
from pricing.catalog.entitlements import EntitlementTerms, Feature, read_entitlements
from pricing.catalog.fees import FeeTerms, OneOffFeeTerms, read_fees, read_one_off_fees
from pricing.catalog.keys import optional_choice, optional_days, optional_name, read_key
from pricing.catalog.overrides import IN_A_PHASE, apply_overrides, placed
from pricing.catalog.ramps import RampPhase, read_ramps
from pricing.cycles import Anchor, Interval, Proration
from pricing.rating.fields import Fields

DAYS_MAX: Final = 3650
PRIORITY_MAX: Final = 32_767
PRIORITY_DEFAULT: Final = 50
_CURRENCY: Final = re.compile(r"[A-Z][A-Z0-9_]{2,11}")
_INTERVALS: Final = tuple(interval.value for interval in Interval)


@dataclass(frozen=True, slots=True)
class CreditTerms:
    """Credit that a plan gives again and again; at most `rollover` of what is left stays."""

    key: str
    amount: Decimal
    every: Interval
    priority: int
    rollover: Decimal

    def content(self) -> dict[str, Any]:
        """The canonical form."""
        return {
            "key": self.key,
            "amount": plain(self.amount),
            "every": self.every.value,
            "priority": self.priority,
            "rollover": plain(self.rollover),
        }


@dataclass(frozen=True, slots=True)
class MarginFloor:
    """The share of revenue that must stay after cost, once revenue reached `min_volume`."""

    min_margin: Decimal
    min_volume: Decimal
    action: str

    def content(self) -> dict[str, Any]:
        """The canonical form."""
        return {
            "min_margin": plain(self.min_margin),
            "min_volume": plain(self.min_volume),
            "action": self.action,
        }


@dataclass(frozen=True, slots=True)
class PlanTerms:
    """All that a version of a plan fixes. Amounts are in `currency`."""

    key: str
    family: str
    name: str
    currency: str
    interval: Interval
    anchor: Anchor
    proration: Proration
    base_fees: tuple[FeeTerms, ...]
    one_off_fees: tuple[OneOffFeeTerms, ...]
    components: tuple[ComponentTerms, ...]
    credits: tuple[CreditTerms, ...]
    entitlements: tuple[EntitlementTerms, ...]
    minimum_spend: Decimal
    margin_floor: MarginFloor | None
    trial_days: int
    net_days: int
    ramps: tuple[RampPhase, ...] = ()

    @property
    def meters(self) -> tuple[str, ...]:
        """The keys of all meters that the plan names, in its ramp too, each once, in order."""
        named = [component.meter for component in self.components]
        named += [entitlement.meter for entitlement in self.entitlements if entitlement.meter]
        for number in range(1, len(self.ramps) + 1):
            named += phase_terms(self, number).meters
        return tuple(dict.fromkeys(named))

    def content(self) -> dict[str, Any]:
        """The canonical form: reading it gives the same terms, and what says nothing is left out."""
        content: dict[str, Any] = {
            "plan": self.key,
            "name": self.name,
            "currency": self.currency,
            "interval": self.interval.value,
            "anchor": self.anchor.value,
        }
        content |= {"family": self.family} if self.family else {}
        for name in ("base_fees", "one_off_fees", "components", "credits", "entitlements", "ramps"):
            parts = getattr(self, name)
            content |= {name: [part.content() for part in parts]} if parts else {}
        content |= {"minimum_spend": plain(self.minimum_spend)} if self.minimum_spend else {}
        content |= {"margin_floor": self.margin_floor.content()} if self.margin_floor else {}
        content |= {"trial": {"days": self.trial_days}} if self.trial_days else {}
        content |= {"payment_terms": {"net_days": self.net_days}} if self.net_days else {}
        content |= {"proration": self.proration.value} if self.proration is not Proration.SECOND else {}
        return content


def read_plan(
    raw: object,
    path: str = "",
    *,
    aggregations: Mapping[str, str] | None = None,
    features: Mapping[str, Feature] | None = None,
) -> PlanTerms:
    """A plan as a file, a JSON document or a stored version has it. Raises InvalidRequest.

    `aggregations` (of meters, by key) and `features` are what else is known; see the readers below.
    """
    fields = Fields(raw, path)
    key = read_key(fields, "plan")
    terms = PlanTerms(
        key=key,
        family="" if fields.value("family") is None else read_key(fields, "family"),
        name=optional_name(fields, "name", key),
        currency=read_currency(fields, "currency"),
        interval=Interval(optional_choice(fields, "interval", _INTERVALS, "month")),
        anchor=Anchor(optional_choice(fields, "anchor", ("calendar", "subscription"), "calendar")),
        proration=Proration(optional_choice(fields, "proration", ("second", "day"), "second")),
        base_fees=read_fees(fields.value("base_fees"), fields.path_to("base_fees")),
        one_off_fees=read_one_off_fees(fields),
        components=read_plan_components(
            fields.value("components"), fields.path_to("components"), aggregations or {}
        ),
        credits=_read_credits(fields),
        entitlements=read_entitlements(fields, features or {}),
        minimum_spend=fields.optional_price("minimum_spend") or ZERO,
        margin_floor=_read_margin_floor(fields),
        trial_days=_read_days(fields, "trial", "days"),
        net_days=_read_days(fields, "payment_terms", "net_days"),
        ramps=read_ramps(fields),
    )
    fields.finish()
    _check_line_keys(terms, fields)
    for number in range(1, len(terms.ramps) + 1):
        phase_terms(terms, number, path, aggregations=aggregations, features=features)
    return terms


def phase_terms(
    terms: PlanTerms,
    number: int,
    path: str = "",
    *,
    aggregations: Mapping[str, str] | None = None,
    features: Mapping[str, Feature] | None = None,
) -> PlanTerms:
    """What holds in phase `number` of the plan's ramp (from 1): whole terms, without ramp and one-off fees.

    `path` is that of the plan, for errors. Raises InvalidRequest when the overrides do not fit the plan.
    """
    where = f"{path}.ramps[{number - 1}].overrides" if path else f"ramps[{number - 1}].overrides"
    content = replace(terms, ramps=()).content()
    content = apply_overrides(content, terms.ramps[number - 1].overrides, where, IN_A_PHASE)
    try:
        found = read_plan(content, aggregations=aggregations, features=features)
    except InvalidRequest as error:
        raise placed(error, content, where) from None
    return replace(found, one_off_fees=())


def read_currency(fields: Fields, name: str) -> str:
    """A required currency code by its form; whether there is such a currency, the database knows."""
    code = fields.name(name)
    if not _CURRENCY.fullmatch(code):
        raise fields.error(name, "unknown_currency", "must be a currency code in capitals, such as USD")
    return code


def content_hash(content: Mapping[str, Any]) -> str:
    """The SHA-256, in hex, of a canonical form: the same content has the same hash."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


def _read_credits(fields: Fields) -> tuple[CreditTerms, ...]:
    found: dict[str, CreditTerms] = {}
    for index, item in enumerate(fields.optional_items("credits")):
        entry = Fields(item, f"{fields.path_to('credits')}[{index}]")
        key = read_key(entry, "key")
        if key in found:
            raise entry.error("key", "duplicate", f"{key!r} is taken already")
        amount, priority = entry.price("amount"), entry.optional_count("priority")
        if not amount:
            raise entry.error("amount", "invalid_value", "must be more than 0")
        priority = PRIORITY_DEFAULT if priority is None else priority
        if priority > PRIORITY_MAX:
            raise entry.error("priority", "number_out_of_range", f"must be at most {PRIORITY_MAX}")
        every = Interval(optional_choice(entry, "every", _INTERVALS, "month"))
        found[key] = CreditTerms(key, amount, every, priority, entry.optional_price("rollover") or ZERO)
        entry.finish()
    return tuple(found.values())


def _read_margin_floor(fields: Fields) -> MarginFloor | None:
    raw = fields.value("margin_floor")
    if raw is None:
        return None
    entry = Fields(raw, fields.path_to("margin_floor"))
    floor = MarginFloor(
        entry.price("min_margin"),
        entry.optional_price("min_volume") or ZERO,
        optional_choice(entry, "action", ("notify", "deny"), "notify"),
    )
    if floor.min_margin > 1:
        raise entry.error(
            "min_margin", "invalid_value", 'is a share of revenue, such as "0.20", and at most 1'
        )
    entry.finish()
    return floor


def _read_days(fields: Fields, section: str, name: str) -> int:
    raw = fields.value(section)
    if raw is None:
        return 0
    entry = Fields(raw, fields.path_to(section))
    days = optional_days(entry, name, DAYS_MAX)
    entry.finish()
    return days


def _check_line_keys(terms: PlanTerms, fields: Fields) -> None:
    """A document line is known by its key alone, so no two fees or components may share one."""
    taken: dict[str, str] = {}
    for section, noun in (("base_fees", "base"), ("one_off_fees", "one-off"), ("components", "")):
        for index, part in enumerate(getattr(terms, section)):
            path = f"{fields.path_to(section)}[{index}].key"
            if part.key in taken:
                says = f"{path} {part.key!r} is a {taken[part.key]} fee's key already."
                raise InvalidRequest("duplicate", says, path)
            taken[part.key] = noun
