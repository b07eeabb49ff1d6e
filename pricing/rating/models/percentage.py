"""percentage: a share of each transaction's value and a fixed fee, after a free allowance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from core.numbers import CONTEXT, ZERO
from pricing.rating.fields import Fields
from pricing.rating.models.base import Pricing
from pricing.rating.rows import Row
from pricing.rating.state import State, Usage


@dataclass(frozen=True, slots=True)
class Percentage(Pricing):
    """Per transaction: value x rate + fixed fee, within minimum and maximum.

    A negative value takes back the latest transaction of that size: fee, minimum and allowance too.
    """

    rate: Decimal
    fixed_fee: Decimal
    free_transactions: int | None
    free_amount: Decimal | None
    min_per_transaction: Decimal
    max_per_transaction: Decimal | None

    @classmethod
    def read(cls, fields: Fields) -> Percentage:
        """From a component's fields; raises InvalidRequest."""
        model = cls(
            fields.price("rate"),
            fields.optional_price("fixed_fee") or ZERO,
            fields.optional_count("free_transactions"),
            fields.optional_price("free_amount"),
            fields.optional_price("min_per_transaction") or ZERO,
            fields.optional_price("max_per_transaction"),
        )
        if model.max_per_transaction is not None and model.min_per_transaction > model.max_per_transaction:
            raise fields.error(
                "min_per_transaction", "invalid_value", "must not be more than max_per_transaction"
            )
        return model

    def fold(self, state: State, usage: Usage, quantity: Decimal, transactions: int) -> State:
        """The state after one transaction, or after one was taken back."""
        if usage.quantity >= 0:
            return self._put(state, usage.quantity, quantity, transactions)
        return self._take(state, usage.quantity.copy_negate(), quantity, transactions)

    @property
    def is_order_bound(self) -> bool:
        """With an allowance, for which transactions it covers is a matter of their order."""
        return self.free_transactions is not None or self.free_amount is not None

    def unfold(self, state: State, usage: Usage, quantity: Decimal, transactions: int) -> State:
        """The state without a transaction, or without one that took another back. Not with an allowance."""
        if usage.quantity >= 0:
            return self._take(state, usage.quantity, quantity, transactions)
        return self._put(state, usage.quantity.copy_negate(), quantity, transactions)

    @property
    def adds_up(self) -> bool:
        """Where every transaction pays the rate and the fixed fee, and there is no bound to either."""
        return not (self.is_order_bound or self.min_per_transaction) and self.max_per_transaction is None

    def fold_sum(self, state: State, added: Decimal, quantity: Decimal, transactions: int) -> State:
        """The state after many transactions: the rate of their sum, and a fee for each."""
        fees = CONTEXT.multiply(self.fixed_fee, Decimal(transactions - state.transactions))
        amount = CONTEXT.add(state.amount, CONTEXT.fma(added, self.rate, fees))
        return State(quantity, transactions, CONTEXT.add(state.volume, added), amount)

    def _put(self, state: State, value: Decimal, quantity: Decimal, transactions: int) -> State:
        base, price = self.transaction(state.transactions, state.quantity, value)
        return State(
            quantity, transactions, CONTEXT.add(state.volume, base), CONTEXT.add(state.amount, price)
        )

    def _take(self, state: State, value: Decimal, quantity: Decimal, transactions: int) -> State:
        base, price = self.transaction(transactions, quantity, value)
        return State(
            quantity,
            transactions,
            CONTEXT.subtract(state.volume, base),
            CONTEXT.subtract(state.amount, price),
        )

    def transaction(
        self, number_before: int, value_before: Decimal, value: Decimal
    ) -> tuple[Decimal, Decimal]:
        """What of a transaction's value is charged, and its exact price."""
        charged = value
        if self._is_free_after(number_before, value_before):
            if self.free_amount is None:
                return ZERO, ZERO
            charged = CONTEXT.subtract(CONTEXT.add(value_before, value), self.free_amount)
            if charged <= 0:
                return ZERO, ZERO
        price = max(CONTEXT.fma(charged, self.rate, self.fixed_fee), self.min_per_transaction)
        if self.max_per_transaction is not None:
            price = min(price, self.max_per_transaction)
        return charged, price

    def rows(self, state: State, dimensions: Mapping[str, str | None]) -> list[Row]:
        """One row: the charged value at the rate, plus the fixed fees where no minimum or maximum applies."""
        fees = CONTEXT.subtract(state.amount, CONTEXT.multiply(state.volume, self.rate))
        if self.min_per_transaction or self.max_per_transaction is not None:
            fees = ZERO
        return [Row(state.volume, state.amount, rate=self.rate, flat_fee=fees)]

    def free_quantity(self, state: State) -> Decimal:
        """The value that fell in the allowance."""
        return CONTEXT.subtract(state.quantity, state.volume)

    def _is_free_after(self, count: int, value: Decimal) -> bool:
        """Whether the next transaction begins inside the allowance; either bound, once reached, ends it."""
        if not self.is_order_bound:
            return False
        if self.free_transactions is not None and count >= self.free_transactions:
            return False
        return self.free_amount is None or value < self.free_amount
