"""The demo's prices change: one price change is done, one is announced, a draft is being thought about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

from billing.demo import cast
from billing.demo.clockwork import Hands
from billing.demo.new_prices import dearer
from billing.demo.stage import Tenant
from billing.rollouts import (
    acknowledge_member,
    announce_rollout,
    draft_rollout,
    except_members,
    execute_rollouts,
    hold_out,
)
from billing.simulations import request_simulation, run_simulations
from pricing.catalog import load_catalog
from pricing.models import PlanVersion, Rollout, Subscription
from pricing.plans import apply_catalog, publish_version
from pricing.simulation import Cohort

NEXT_PLANS: Final = Path(__file__).parent / "next_plans"
ANNOUNCED, DONE = "Cheaper to start, dearer in bulk", "Podcasts at 1.35"
"""What the price change that waits and the one that is over are called."""
HELD_OUT: Final = "orchard"
"""Stays on the old prices for three months more."""
EXCEPTED: Final = "silo"
"""Talked itself out of the price change."""
_FINANCE: Final = "felix@nimbus.example"
_WINDOW: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Story:
    """What the scenes have to do with: who is there, and by plan the version that newcomers get."""

    tenants: Mapping[str, Tenant]
    versions: dict[str, PlanVersion]
    hands: Hands


Scene = Callable[[Story], None]


def raise_podcasts(story: Story) -> None:
    """A dearer podcast is published, and announced with a month's notice to all who sell one."""
    version = _publish(story, cast.PODCAST)
    midnight = _midnight(story.hands.at) + timedelta(days=31)
    rollout = draft_rollout(
        version, timing=Rollout.Timing.ON_DATE, name=DONE, effective_at=midnight, by=_FINANCE
    )
    announce_rollout(rollout, by=_FINANCE)


def move_podcasts(story: Story) -> None:
    """Everybody moves to the dearer podcast."""
    execute_rollouts(story.hands.at)


def try_token_prices(story: Story) -> None:
    """New token prices are tried on what was used, beside a plain rise, and published."""
    old = story.versions[cast.PAYG]
    version = _publish(story, cast.PAYG)
    _simulate(story, cast.PAYG, version, dearer(old.content))


def announce_token_prices(story: Story) -> None:
    """They are announced: each customer moves at its first renewal after a month."""
    version = story.versions[cast.PAYG]
    rollout = draft_rollout(version, timing=Rollout.Timing.AT_RENEWAL, name=ANNOUNCED, by=_FINANCE)
    announce_rollout(rollout, by=_FINANCE)


def answer_first(story: Story) -> None:
    """The first customers accept, one of them with a limit on what begins to cost."""
    _accept(story, "beacon", "travel@beacon.example")
    _accept(story, "fathom", "cto@fathom.example", {"embeddings": Decimal(20_000_000)})


def answer_later(story: Story) -> None:
    """One more accepts, one is held out, one is taken out for good."""
    _accept(story, "mosaic", "ops@mosaic.example")
    rollout = _announced()
    until = _midnight(story.hands.at) + timedelta(days=120)
    hold_out(rollout, [_subscription(story, HELD_OUT)], until=until)
    reason = "Negotiated: keeps its prices to the end of its contract"
    except_members(rollout, [_subscription(story, EXCEPTED)], reason=reason)


def think_about_flat(story: Story) -> None:
    """A draft of the flat plan that would bill who uses most of it: simulated, not published."""
    draft = _apply(cast.FLAT)
    _simulate(story, cast.FLAT, draft)


PLOT: Final[Mapping[int, Scene]] = {
    50: raise_podcasts,
    40: try_token_prices,
    19: move_podcasts,
    14: announce_token_prices,
    11: answer_first,
    6: answer_later,
    4: think_about_flat,
}
"""Days before the present -> what happens then, in the morning."""


def play_scene(days_ago: int, day_begins: datetime, story: Story) -> None:
    """What the plot has for a day, if anything, at nine o'clock."""
    scene = PLOT.get(days_ago)
    if scene is not None:
        story.hands.move(day_begins + timedelta(hours=9))
        scene(story)


def _apply(plan: str) -> PlanVersion:
    applied = apply_catalog(load_catalog(NEXT_PLANS / f"{plan}.yaml"))
    return next(one.version for one in applied if one.version is not None)


def _publish(story: Story, plan: str) -> PlanVersion:
    story.versions[plan] = publish_version(_apply(plan))
    return story.versions[plan]


def _simulate(story: Story, plan: str, version: PlanVersion, *contents: Mapping[str, object]) -> None:
    """What it would have charged the plan's customers for the last three months; kept."""
    today = _midnight(story.hands.at)
    request_simulation(
        [version],
        contents,
        starts_at=today - _WINDOW,
        ends_at=today,
        cohort=Cohort(plan_id=story.versions[plan].plan_id),
        created_by=_FINANCE,
    )
    run_simulations()


def _announced() -> Rollout:
    return Rollout.objects.get(name=ANNOUNCED)


def _accept(story: Story, slug: str, by: str, limits: Mapping[str, Decimal] | None = None) -> None:
    acknowledge_member(_announced(), _subscription(story, slug), limits=limits, by=by)


def _subscription(story: Story, slug: str) -> Subscription:
    return Subscription.objects.get(billing_entity=story.tenants[slug].payers[0])


def _midnight(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)
