"""Loads the demo: the stage, six months of history, the scenes of the present, the logins."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Final

from billing.demo import cast
from billing.demo.bounds import hold_some, set_limits
from billing.demo.clockwork import Hands, told_by
from billing.demo.history import Ledger, Play, play_day
from billing.demo.notes import write_notes
from billing.demo.people import invite_people, issue_gateway_key
from billing.demo.price_changes import Story, play_scene
from billing.demo.scenes import (
    empty_wallets,
    give_welcome_credit,
    leave_days,
    move_workspace,
    send_odd_events,
)
from billing.demo.stage import Tenant, enter, set_prices
from core import clock
from core.partitions import ensure_partitions

DAYS: Final = 183
PER_DAY: Final = 560
"""Calls on an average day, of all customers together; a podcast counts as one and is five or six events."""
_MOVED_DAYS_AGO: Final = 47

Say = Callable[[str], None]


def load(say: Say, *, days: int = DAYS, per_day: int = PER_DAY) -> int:
    """Load everything into an empty database; the number of events. `say` hears a line for each month."""
    now = clock.now()
    play = Play(now, days, per_day)
    first = datetime.combine(next(play.dates())[1], time.min, UTC)
    ensure_partitions(first - timedelta(days=1), now)
    ensure_partitions(now)
    sums = Ledger()
    with told_by(Hands(first)) as hands:
        tenants = _play(play, hands, sums, say)
        empty_wallets(tenants, hands)
        hold_some(tenants, hands)
        secret, logins = issue_gateway_key(), invite_people(tenants[cast.RUNNING_OUT].customer)
    write_notes(logins, secret)
    return sums.events


def _play(play: Play, hands: Hands, sums: Ledger, say: Say) -> dict[str, Tenant]:
    versions = set_prices(hands.at)
    tenants: dict[str, Tenant] = {}
    story = Story(tenants, versions, hands)
    for index, day in play.dates():
        for actor in cast.CAST:
            if index == play.days - actor.months * play.days // 6:
                tenants[actor.slug] = enter(actor, versions[actor.plan])
        if index == play.days - _MOVED_DAYS_AGO:
            move_workspace(tenants, hands.at)
        if index == play.days - 14:
            give_welcome_credit(tenants, hands)
        play_scene(play.days - index, datetime.combine(day, time.min, UTC), story)
        play_day(play, index, day, list(tenants.values()), hands, sums)
        if (day + timedelta(days=1)).day == 1 or day == play.now.date():
            say(f"{day:%B %Y}: {sums.events:,} events")
        if index == play.days - 12:
            set_limits(tenants)
        if index == play.days - 2:
            leave_days(tenants, hands, Decimal("3.4"))
    send_odd_events(tenants, hands)
    return tenants
