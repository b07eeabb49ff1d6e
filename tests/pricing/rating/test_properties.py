"""Laws of F for every model and combination of modifiers, up to the limits of numbers."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from core.numbers import CONTEXT, ZERO
from pricing.rating import EMPTY, Component, State, Usage, preview, rate_event, rate_events, read_component
from tests.pricing.rating import naive
from tests.pricing.rating.strategies import QUANTITY_MODELS, components, decimals, events

Document = dict[str, Any]
MANY = settings(max_examples=100, deadline=None)


def line_of(component: Document, usage: list[Document], previous: list[Document] | None = None) -> Document:
    document = {"currency": "USD", "components": [component], "usage": {"c": {"events": usage}}}
    if previous is not None:
        document["previous"] = {"c": {"events": previous}}
    line: Document = preview(document)["lines"][0]
    return line


def usages_of(usage: list[Document]) -> list[Usage]:
    return [Usage(Decimal(e["value"]), e["dimensions"], Decimal(e["cost"])) for e in usage]


def charges(component: Component, usages: list[Usage]) -> list[Decimal]:
    """What a live system charges, event by event, keeping states and subtotal as it would."""
    states: dict[tuple[str | None, ...], State] = {}
    subtotal, made = ZERO, []
    for usage in usages:
        group = component.group_of(usage)
        state = State.from_dict(states.get(group, EMPTY).as_dict())
        rated = rate_event(component, state, subtotal, usage)
        states[group], subtotal = rated.state, rated.subtotal
        made.append(rated.amount)
    return made


def exact_sum(amounts: list[Decimal]) -> Decimal:
    total = ZERO
    for amount in amounts:
        total = CONTEXT.add(total, amount)
    return total


@MANY
@given(components(), events())
def test_a_close_agrees_with_the_naive_reading(component: Document, usage: list[Document]) -> None:
    line = line_of(component, usage)
    assert Fraction(line["amount"]) == naive.amount(component, usage, is_close=True)


@MANY
@given(components(), events(), events())
def test_an_increment_agrees_with_the_naive_reading(
    component: Document, before: list[Document], usage: list[Document]
) -> None:
    line = line_of(component, usage, before)
    after = naive.amount(component, before + usage, is_close=False)
    assert Fraction(line["amount"]) == after - naive.amount(component, before, is_close=False)


@MANY
@given(components(), events(), st.integers(0, 8))
def test_f_is_additive_over_any_split_of_the_events(
    component: Document, usage: list[Document], cut: int
) -> None:
    whole = line_of(component, usage, [])
    first, second = line_of(component, usage[:cut], []), line_of(component, usage[cut:], usage[:cut])
    assert Fraction(first["amount"]) + Fraction(second["amount"]) == Fraction(whole["amount"])
    assert Fraction(first["quantity"]) + Fraction(second["quantity"]) == Fraction(whole["quantity"])


@MANY
@given(components(), events())
def test_live_charges_sum_to_f(component: Document, usage: list[Document]) -> None:
    compiled, usages = read_component(component), usages_of(usage)
    states = rate_events(compiled, usages)
    charged = exact_sum(charges(compiled, usages))
    assert charged == compiled.total(compiled.subtotal(states.values()))
    assert Fraction(charged) == naive.amount(component, usage, is_close=False)


@MANY
@given(components(QUANTITY_MODELS), st.lists(decimals(19, 12, is_signed=True), max_size=6))
def test_f_of_a_quantity_is_additive_over_any_split_of_it(component: Document, parts: list[str]) -> None:
    pieces = [{"value": part, "cost": "0", "dimensions": {}} for part in parts]
    whole = exact_sum([Decimal(part) for part in parts])
    compiled = read_component(component)
    at_once = compiled.advance(EMPTY, Usage(whole))
    step_by_step = rate_events(compiled, usages_of(pieces)).get(compiled.group_of(Usage(whole)), EMPTY)
    assert compiled.f_group(at_once) == compiled.f_group(step_by_step)


@MANY
@given(components(), events(), st.none() | events())
def test_the_breakdown_sums_exactly_to_the_amount(
    component: Document, usage: list[Document], previous: list[Document] | None
) -> None:
    line = line_of(component, usage, previous)
    rows = sum((Fraction(row["amount"]) for row in line["breakdown"]), Fraction(0))
    assert rows == Fraction(line["amount"])
    roundings = [Fraction(row["amount"]) for row in line["breakdown"] if row.get("modifier") == "rounding"]
    groups_max = len(usage) + 2 * len(previous or [])
    assert sum(map(abs, roundings)) <= Fraction(groups_max, 2 * 10**18)


@MANY
@given(components(), events())
def test_no_number_is_written_with_exponent_or_trailing_zeros(
    component: Document, usage: list[Document]
) -> None:
    line = line_of(component, usage)
    rows = line["breakdown"]
    texts = [line["quantity"], line["amount"], *(row["amount"] for row in rows)]
    texts += [
        row[name] for row in rows for name in ("quantity", "unit_price", "rate", "flat_fee") if name in row
    ]
    assert not [text for text in texts if set(text) - set("-0123456789.") or text == "-0"]
    assert not [text for text in texts if "." in text and text[-1] in "0."]


@MANY
@given(components(), events(is_signed=False, max_size=6))
def test_without_reversals_only_volume_ever_charges_less(component: Document, usage: list[Document]) -> None:
    made = charges(read_component(component), usages_of(usage))
    assert component["model"] == "volume" or all(charge >= 0 for charge in made)


@MANY
@given(components(), events())
def test_f_is_never_negative_and_never_above_the_maximum(component: Document, usage: list[Document]) -> None:
    amount = Decimal(line_of(component, usage)["amount"])
    assert amount >= Decimal(component.get("minimum", 0))
    assert amount <= Decimal(component.get("maximum", amount))


@MANY
@given(components(("percentage",)), events(is_signed=False), decimals(20, 12))
def test_taking_back_the_latest_transaction_undoes_it(
    component: Document, usage: list[Document], value: str
) -> None:
    component.pop("group_by", None)
    compiled = read_component(component)
    before = rate_events(compiled, usages_of(usage)).get((), EMPTY)
    once = compiled.advance(before, Usage(Decimal(value)))
    undone = compiled.advance(once, Usage(Decimal(value).copy_negate()))
    assert Decimal(value) == 0 or undone == before


@MANY
@given(components(QUANTITY_MODELS), events(max_size=6))
def test_a_maximum_keeps_the_highest_value(component: Document, usage: list[Document]) -> None:
    component.pop("group_by", None)
    compiled = read_component(component, aggregation="max")
    state = rate_events(compiled, usages_of(usage)).get((), EMPTY)
    assert state.quantity == max((Decimal(event["value"]) for event in usage), default=ZERO)
    assert compiled.f_group(state) == compiled.f_group(compiled.advance(EMPTY, Usage(state.quantity)))
