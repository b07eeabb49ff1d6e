"""The door for prices (RATING.md section 4): a price list and usage in, lines and their total out. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from core.currencies import CurrencyDecimals, iso_decimals
from core.errors import InvalidRequest
from core.numbers import CONTEXT, ZERO, round_money
from pricing.rating.base_fees import read_base_fees
from pricing.rating.component import Component, read_components
from pricing.rating.engine import States
from pricing.rating.explain import Line, explain_change, explain_close
from pricing.rating.fields import Fields
from pricing.rating.models import NotPriced
from pricing.rating.state import EMPTY
from pricing.rating.usage import NOTHING, Entry, Reading, read_usage


def preview(item: object, currency_decimals: CurrencyDecimals = iso_decimals) -> dict[str, Any]:
    """What usage costs under a price list: the body of one answer.

    `currency_decimals` knows the currencies; give it the operator's own units where there are any.
    Raises InvalidRequest with the path in `param`.
    """
    fields = Fields(item, "")
    currency = fields.name("currency")
    decimals = currency_decimals(currency)
    base_fees = read_base_fees(fields.value("base_fees"), "base_fees")
    components = {
        component.key: component for component in read_components(fields.value("components"), "components")
    }
    usage = read_usage(fields.value("usage"), "usage", components)
    is_change = fields.value("previous") is not None
    previous = read_usage(fields.value("previous"), "previous", components)
    fields.finish()
    lines = [fee.as_dict(decimals) for fee in base_fees]
    for key, component in components.items():
        before = previous.get(key, NOTHING).entries if is_change else None
        lines.append(_line(component, usage.get(key, NOTHING), before).as_dict(decimals))
    total = ZERO
    for line in lines:
        total = CONTEXT.add(total, Decimal(line["rounded"]))
    return {"currency": currency, "lines": lines, "total": round_money(total, decimals)}


def _line(component: Component, usage: Reading, before: list[Entry] | None) -> Line:
    if before is not None and usage.previous is not None:
        where = f"usage.{component.key}.previous"
        raise InvalidRequest("duplicate", f"{where}: previous usage stands beside usage already.", where)
    before = usage.previous if before is None else before
    if before is None:
        return explain_close(component, _fold(component, usage.entries, {}))
    states = _fold(component, before, {})
    return explain_change(component, _fold(component, usage.entries, states), states)


def _fold(component: Component, entries: Iterable[Entry], states: States) -> States:
    after = dict(states)
    for usage, path in entries:
        group = component.group_of(usage)
        try:
            after[group] = component.advance(after.get(group, EMPTY), usage)
        except NotPriced as error:
            raise error.within(path) from None
    return after
