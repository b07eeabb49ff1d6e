"""The model's charges that do not stay, after docs/algorithms/reversals.md: taken back, or charged again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from tests.model.leases import Leases
from tests.model.parties import Answer, Payer, Priced, Record, Segment, Version, amounts_of, error
from tests.model.prices import ZERO


class Rerating(Leases):
    """Reversals, and changes that put usage from ahead of their instant under another price."""

    def reverse(self, record: Record, now: datetime) -> Answer:
        """`POST /v1/reversals`: an event counts for nothing."""
        self.settle(now)
        if record.is_reversed:
            return error(409, "already_reversed")
        payer = record.payer
        amount = self._take_back(record, now)
        self.finish(now)
        payer.counted[:] = [one for one in payer.counted if one["body"] is not record.body]
        record.is_reversed = True
        return 201, {"amount": amount}

    def _take_back(self, record: Record, now: datetime) -> Decimal:
        """What is left costs less what stood; value goes back to who paid."""
        payer, segment, then = record.payer, record.segment, record.spent
        lines: list[Priced] = []
        if segment is not None and not record.is_left:
            left = [event for event in segment.events if event is not record.body]
            by_key = {component["key"]: component for component in segment.components}
            for line in record.lines:
                component = by_key[line.component]
                amount = segment.cost(component, left) - segment.cost(component, segment.events)
                lines.append(Priced(line.component, line.meter, amount))
            self._falls(payer, segment, lines)
            for line, stood in zip(lines, record.lines, strict=True):
                own = stood.absorbed if line.amount < 0 else ZERO
                line.absorbed = segment.payments.bear(line.component, line.amount, own)
            segment.events[:] = left
        spent = self._spent(record.body, payer, lines, then.occurred_at, then.recorded_at, asked=then.asked)
        spent.owners = then.owners
        parts = payer.wallet.burn(amounts_of(lines), then.occurred_at, keeps=False)
        self._pay(payer, segment, parts + self._give_back(segment, lines))
        payer.wallet.expire(now)
        self.spends.append(spent)
        payer.charged.append(spent.amount)
        return sum((line.amount for line in lines), ZERO)

    def _go_on(self, payer: Payer, version: Version | None, at: datetime) -> Answer:
        """Another version (None: a pause) from `at` on, which is now.

        What was used later, by clocks that were ahead, is taken back, the latest first, and charged again at
        what covers it then.
        """
        self.settle(at)
        current, before = payer.segment_at(at), payer.version_at(at)
        later = [one for one in payer.segments.values() if one.starts_at > at]
        if version is None and any(one.was_used for one in later):
            return error(409, "usage_after")
        concerned = [one for one in self._records(payer) if one.spent.occurred_at >= at]
        hears_more = before is not None and version is not None and _adds_meters(before, version)
        stood = [one for one in concerned if one.lines or (one.is_charge and hears_more and not one.is_left)]
        for record in reversed(stood):
            self._take_back(record, at)
            record.lines, record.is_left = [], True
        payer.versions.append((at, version))
        if current is not None:
            current.ends_at = min(current.ends_at, at)
        self._reshape(payer, version, later)
        again = [one for one in concerned if one.is_left]
        for record in again + [one for one in concerned if not one.is_left]:
            self._charge_again(record, at, has_stood=record in stood)
        return 200, {}

    def _records(self, payer: Payer) -> list[Record]:
        """The payer's events that count, in the order in which they came."""
        found = [seen.record for seen in self.seen.values() if seen.record is not None]
        return [one for one in found if one.payer is payer and not one.is_reversed]

    @staticmethod
    def _reshape(payer: Payer, version: Version | None, later: Sequence[Segment]) -> None:
        """Segments of months to come are on the version too; a pause has none."""
        for segment in later:
            if version is None:
                del payer.segments[segment.starts_at]
            else:
                segment.components = version.components

    def _charge_again(self, record: Record, now: datetime, *, has_stood: bool) -> None:
        """Charge an event that has no charge at what covers it now. Without a price it stays as it is."""
        payer, then = record.payer, record.spent
        if record.lines:
            return
        spent, lines, segment = self._rate(record.body, payer, then.occurred_at, now, asked=then.asked)
        if not lines:
            return
        excess = sum((line.amount for line in lines), ZERO) - (record.most or ZERO)
        if record.most is not None and excess > 0:
            self._cap(lines, excess)
        spent.owners, spent.recorded_at = then.owners, then.recorded_at
        parts = payer.wallet.burn(amounts_of(lines), then.occurred_at, keeps=False)
        if record.is_left and not has_stood:
            payer.charged.append(ZERO)  # the reversal of nothing that leads on to the charge
        record.lines, record.spent, record.segment, record.is_left = lines, spent, segment, False
        record.is_charge = True
        if any(part.amount < 0 for part in self._enter(record, parts)):
            payer.wallet.expire(now)
        payer.charged.append(spent.amount)


def _adds_meters(before: Version, after: Version) -> bool:
    """Whether a version prices a meter that another one does not."""
    old, new = ({component["meter"] for component in one.components} for one in (before, after))
    return bool(new - old)
