"""A component of a plan, checked and compiled: what turns usage into one line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from core.errors import InvalidRequest
from core.numbers import CONTEXT, ZERO, round_amount
from pricing.rating.fields import Fields
from pricing.rating.groups import Group, group_of
from pricing.rating.models import EVENT_MODELS, MODEL_NAMES, QUANTITY_MODELS, Pricing
from pricing.rating.models.matrix import Matrix
from pricing.rating.modifiers import AmountModifiers, ByQuantity, QuantityRounding
from pricing.rating.rows import Row
from pricing.rating.state import State, Usage

AGGREGATION_SUM: Final = "sum"
AGGREGATION_MAX: Final = "max"
add, subtract = CONTEXT.add, CONTEXT.subtract


@dataclass(frozen=True, slots=True)
class Component:
    """One priced line. Immutable; safe to share between threads and to cache with its plan version.

    `takes_maximum`: the meter's aggregation is `max`, so an event's usage is a value and the state keeps
    the highest; otherwise usages add up. `zero_usage_pricing` is there under `bill_zero_usage`.
    """

    key: str
    meter: str | None
    model_name: str
    pricing: Pricing
    group_dimensions: tuple[str, ...]
    modifiers: AmountModifiers
    takes_maximum: bool
    zero_usage_pricing: ByQuantity | None

    def group_of(self, usage: Usage) -> Group:
        """The group whose state an event moves."""
        return group_of(usage.dimensions, self.group_dimensions) if self.group_dimensions else ()

    def advance(self, state: State, usage: Usage) -> State:
        """The group's state after one more event in `seq` order; raises NotPriced."""
        if self.takes_maximum:
            is_higher = not state.transactions or usage.quantity > state.quantity
            quantity = usage.quantity if is_higher else state.quantity
            transactions = state.transactions + 1
        else:
            quantity = add(state.quantity, usage.quantity)
            transactions = state.transactions + (1 if usage.quantity >= ZERO else -1)
        return self.pricing.fold(state, usage, quantity, transactions)

    @property
    def adds_up(self) -> bool:
        """Whether many events may be taken in at once, by their sum and number, as `advance_by` does: the
        order, the size and the dimensions of each make no difference."""
        return not self.takes_maximum and not self.group_dimensions and self.pricing.adds_up

    def advance_by(self, state: State, added: Decimal, number: int) -> State:
        """The state after many events whose quantities come to `added`; only where it `adds_up`.

        `number`: how many they are, less twice those with a negative quantity (each takes one back).
        """
        quantity = add(state.quantity, added)
        return self.pricing.fold_sum(state, added, quantity, state.transactions + number)

    @property
    def is_order_bound(self) -> bool:
        """Whether the state depends on which events there were, not on their sum alone: the highest of a
        maximum, the transactions that an allowance covered. Taking one back means to fold the rest again."""
        return self.takes_maximum or self.pricing.is_order_bound

    def retract(self, state: State, usage: Usage) -> State:
        """The group's state without an event that it holds; `usage` is as it was when it was folded.

        Only where the state is not `is_order_bound`. Raises NotPriced.
        """
        quantity = subtract(state.quantity, usage.quantity)
        transactions = state.transactions - (1 if usage.quantity >= 0 else -1)
        return self.pricing.unfold(state, usage, quantity, transactions)

    def f_group(self, state: State) -> Decimal:
        """F of one group before the component's modifiers, rounded half up to 18 decimals."""
        return round_amount(state.amount) if state.amount > ZERO <= state.quantity else ZERO

    def subtotal(self, states: Iterable[State]) -> Decimal:
        """The sum of the groups."""
        subtotal = ZERO
        for state in states:
            subtotal = add(subtotal, self.f_group(state))
        return subtotal

    def total(self, subtotal: Decimal) -> Decimal:
        """F of the component while the period runs: discount and maximum on the sum of the groups."""
        modifiers = self.modifiers
        if modifiers.maximum is None and not modifiers.discount_percent:
            return subtotal
        return modifiers.capped(modifiers.discounted(subtotal))

    def change(self, before: Decimal, after: Decimal) -> Decimal:
        """What `total` moves by when the sum of the groups goes from `before` to `after`."""
        modifiers = self.modifiers
        if modifiers.maximum is None and not modifiers.discount_percent:
            return subtract(after, before)
        return subtract(self.total(after), self.total(before))

    def zero_usage_fee(self, states: Iterable[State]) -> Decimal:
        """What is added to the sum of the groups at the close if no group has anything billable."""
        row = self.zero_usage_row(states)
        return ZERO if row is None else row.amount

    def zero_usage_row(self, states: Iterable[State]) -> Row | None:
        """The breakdown row of `zero_usage_fee`, if there is such a fee."""
        pricing = self.zero_usage_pricing
        if pricing is None or any(pricing.billable(state.quantity) for state in states):
            return None
        return pricing.model.zero_usage_row()

    def close(self, states: Iterable[State], minimum: Decimal | None = None) -> Decimal:
        """The whole amount at the close of the period, with `minimum` in place of the plan's if given.

        A caller that prorates the minimum passes the prorated one.
        """
        states = tuple(states)
        subtotal = add(self.subtotal(states), self.zero_usage_fee(states))
        return max(self.total(subtotal), self.modifiers.minimum if minimum is None else minimum)


def read_component(raw: object, path: str = "", aggregation: str = AGGREGATION_SUM) -> Component:
    """Check and compile a component as a plan writes it.

    `path` begins the `param` of errors; `aggregation` is that of its meter. Raises InvalidRequest.
    """
    fields = Fields(raw, path)
    key = fields.name("key")
    meter = None if fields.value("meter") is None else fields.name("meter")
    model_name = fields.choice("model", MODEL_NAMES)
    pricing = _read_pricing(fields, model_name)
    if aggregation == AGGREGATION_MAX and model_name in ("percentage", "cost_plus"):
        raise fields.error("model", "not_applicable", "does not price a maximum: take sum or count")
    group_by = fields.names("group_by")
    if isinstance(pricing, Matrix):
        group_by += tuple(name for name in pricing.dimensions if name not in group_by)
    modifiers = AmountModifiers.read(fields)
    bills_zero_usage = fields.flag("bill_zero_usage")
    fields.finish()
    return Component(
        key=key,
        meter=meter,
        model_name=model_name,
        pricing=pricing,
        group_dimensions=group_by,
        modifiers=modifiers,
        takes_maximum=aggregation == AGGREGATION_MAX,
        zero_usage_pricing=pricing if bills_zero_usage and isinstance(pricing, ByQuantity) else None,
    )


def read_components(raw: object, path: str) -> list[Component]:
    """Check and compile a list of components whose keys differ; raises InvalidRequest."""
    if raw is None:
        return []
    if not isinstance(raw, (list, tuple)):
        raise InvalidRequest("invalid_type", f"{path} must be a list.", path)
    components: dict[str, Component] = {}
    for index, item in enumerate(raw):
        component = read_component(item, f"{path}[{index}]")
        if component.key in components:
            where = f"{path}[{index}].key"
            raise InvalidRequest("duplicate", f"{where} {component.key!r} is taken already.", where)
        components[component.key] = component
    return list(components.values())


def _read_pricing(fields: Fields, model_name: str) -> Pricing:
    if model_name in EVENT_MODELS:
        for name in ("quantity_rounding", "included"):
            if fields.value(name) is not None:
                raise fields.error(name, "not_applicable", f"does not apply to the model {model_name}")
        return EVENT_MODELS[model_name](fields)
    model = QUANTITY_MODELS[model_name](fields)
    rounding = QuantityRounding.read(fields)
    return ByQuantity(model, rounding, fields.optional_quantity("included") or ZERO)
