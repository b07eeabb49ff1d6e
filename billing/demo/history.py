"""Plays the history: day by day, in order, through the path that charges real calls."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final

from billing.balances import balances_of
from billing.charging import Charged, Outcome, report_events
from billing.closing import close_periods
from billing.demo import cast
from billing.demo.calls import Made, draw_events
from billing.demo.clockwork import Hands
from billing.demo.dice import dice_for
from billing.demo.rhythm import calls_on, instants_of
from billing.demo.stage import Tenant
from billing.periods import book_base_fees
from billing.wallets import top_up
from core.numbers import CONTEXT, ZERO
from metering.events import parse_event

BATCH: Final = 1000
LIVE_DAYS: Final = 2
"""So many last days are charged call by call, as it were; what is older came in by nightly imports."""
_LIVE_STEP: Final = timedelta(minutes=15)
_DAY: Final = timedelta(days=1)


@dataclass(slots=True)
class Ledger:
    """What the play has come to: events, what each payer spent today, and about what on a working day."""

    events: int = 0
    spent: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(lambda: ZERO))
    rate: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(lambda: ZERO))

    def note(self, outcomes: Sequence[Outcome]) -> None:
        """Count what was charged."""
        self.events += len(outcomes)
        for outcome in outcomes:
            if isinstance(outcome, Charged):
                spent = self.spent[outcome.billing_entity]
                self.spent[outcome.billing_entity] = CONTEXT.add(spent, outcome.amount)


@dataclass(frozen=True, slots=True)
class Play:
    """The days to play: `days` of them up to `now`, with `per_day` calls on average."""

    now: datetime
    days: int
    per_day: int

    def dates(self) -> Iterator[tuple[int, date]]:
        """The days with their number."""
        first = self.now.date() - timedelta(days=self.days)
        for index in range(self.days + 1):
            yield index, first + timedelta(days=index)


def play_day(
    play: Play, index: int, day: date, tenants: Sequence[Tenant], hands: Hands, sums: Ledger
) -> None:
    """Charge one day of all tenants, then do what is due at its end: fees, closes, top-ups."""
    made = [one for tenant in tenants for one in _made(play, index, day, tenant)]
    made.sort(key=lambda one: one.at)
    sums.spent.clear()
    if play.now.date() - day <= LIVE_DAYS * _DAY:
        _play_live(made, play.now, hands, sums)
    else:
        for start in range(0, len(made), BATCH):
            batch = made[start : start + BATCH]
            hands.move(batch[-1].at)
            _report(batch, hands, sums, "import")
    hands.move(min(datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=UTC), play.now))
    book_base_fees(hands.at)
    close_periods(hands.at)
    _top_up([one for one in tenants if not _runs_dry(play, day, one)], hands, sums)


def _play_live(made: list[Made], now: datetime, hands: Hands, sums: Ledger) -> None:
    """Small batches a few hundred milliseconds after their last call, as a gateway would send them."""
    batch: list[Made] = []
    for one in made:
        if batch and one.at - batch[0].at > _LIVE_STEP:
            _send(batch, now, hands, sums)
            batch = []
        batch.append(one)
    if batch:
        _send(batch, now, hands, sums)


def _send(batch: list[Made], now: datetime, hands: Hands, sums: Ledger) -> None:
    dice = dice_for(batch[0].event["idempotency_key"])
    last = batch[-1].at
    for one in batch:
        slow = dice.randrange(40) == 0
        lag = dice.randrange(2_000, 45_000) if slow else dice.randrange(40, 1_400)
        one.event["occurred_at"] = (last - timedelta(milliseconds=lag)).isoformat()
    hands.move(min(last + timedelta(milliseconds=dice.randrange(15, 90)), now))
    _report(batch, hands, sums, "api")


def _report(batch: Sequence[Made], hands: Hands, sums: Ledger, source: str) -> None:
    events = [parse_event(one.event, hands.at) for one in batch]
    sums.note(report_events(events, source=source))


def _made(play: Play, index: int, day: date, tenant: Tenant) -> Iterator[Made]:
    actor = tenant.actor
    dice = dice_for(actor.slug, index)
    count = calls_on(actor, index, play.days, day, play.per_day, dice)
    for number, at in enumerate(instants_of(actor, day, count, dice)):
        key = f"{actor.slug}-{index:03d}-{number:04d}"
        for one in draw_events(actor, tenant.references, at, key, dice):
            if one.at <= play.now:
                yield one


def _top_up(tenants: Sequence[Tenant], hands: Hands, sums: Ledger) -> None:
    """Let prepaid customers pay in before their wallets run out, for about three weeks of their use."""
    payers = [tenant.payers[0] for tenant in tenants if tenant.actor.is_prepaid]
    balances = balances_of(payers, hands.at)
    for payer in payers:
        rate = max(sums.spent[payer.public_id], sums.rate[payer.public_id] * 9 / 10)
        sums.rate[payer.public_id] = rate
        if balances[payer.pk].settled <= 6 * rate:
            usual = cast.TOP_UPS[payer.currency]
            packs = int(20 * rate / usual) + 1
            top_up(payer, packs * usual, reference="Card payment", by="demo")


def _runs_dry(play: Play, day: date, tenant: Tenant) -> bool:
    """Whether this wallet is left alone now, to run out."""
    return tenant.actor.slug == cast.RUNNING_OUT and play.now.date() - day <= LIVE_DAYS * _DAY
