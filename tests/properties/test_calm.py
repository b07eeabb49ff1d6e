"""Limits and quotas that are not read because they are far from mattering, and those that are read every
time: same answers, same rows, same alerts, whoever of two processes charges.

The same calls go to two payers alike; of one everything is read each time, the other's calls go to two
processes that remember what they have read. Meanwhile limits are set, changed and ended, holds end in all
ways, prices rise since long ago, and the workspace moves to other divisions and payers.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from unittest import mock

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.charging import Charged, Mode, charge_many, path
from billing.charging.calm import Quiet, remember
from billing.charging.reading import lock_and_read
from billing.limits.verbs import create_limit, owner_of
from billing.models import Alert, LedgerAccount, LimitCounter, SpendLimit
from billing.store_limits import CounterRange
from core import clock
from core.sql import driver
from tests.billing.authorizing import table
from tests.billing.invariants import broken_invariants
from tests.billing.world import START, Tenant, make_meter, make_tenant, make_version, request
from tests.properties.calm_story import NOW, Processes, Story
from tests.properties.conftest import PROFILE
from tests.properties.test_straight import bind, stored, without

pytestmark = pytest.mark.django_db

DOCUMENT: Final = Path(__file__).parents[2] / "docs/algorithms/limits.md"
PRICE: Final = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "1"}
TIERS: Final = [{"up_to": "20", "unit_price": "2"}, {"up_to": None, "unit_price": "0.5"}]
VOLUME: Final = {"key": "tok", "meter": "tokens", "model": "volume", "tiers": TIERS}
"""A call may give back here, and taking one back may cost."""
DEARER: Final = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "3"}
LEVELS: Final = ("workspace", "organization", "payer", "meter")
PROCESS = st.integers(0, 1)
TOKENS = st.sampled_from(["0.5", "1", "2", "7", "30", "0", "-3"])
CALLS = st.fixed_dictionaries(
    {
        "mode": st.sampled_from([Mode.ASK, Mode.ASK, Mode.ASK, Mode.REPORT, Mode.HOLD]),
        "tokens": TOKENS,
        "minutes_ago": st.sampled_from([0, 0, 0, 30, 600, 2000]),
    }
)
AMOUNTS = st.sampled_from([Decimal(3), Decimal("40.5"), Decimal(500)])
CHANGES = st.one_of(
    st.fixed_dictionaries(
        {
            "change": st.integers(0, 3),
            "terms": st.fixed_dictionaries(
                {},
                optional={
                    "amount": AMOUNTS,
                    "kind": st.sampled_from(["soft", "hard"]),
                    "thresholds": st.sampled_from([[], [10, 30, 60], [100, 150]]),
                },
            ),
        }
    ),
    st.fixed_dictionaries({"end": st.integers(0, 3)}),
    st.fixed_dictionaries(
        {
            "set": st.sampled_from(LEVELS),
            "amount": AMOUNTS,
            "terms": st.sampled_from(
                [{}, {"window": "day", "kind": "soft"}, {"window": "rolling", "hours": 1}]
            ),
        }
    ),
    st.fixed_dictionaries({"move": AMOUNTS}),
    st.fixed_dictionaries({"payer": st.integers(0, 1)}),
    st.fixed_dictionaries({"reprice": st.integers(0, 2), "since": st.sampled_from([0, 60, 2000])}),
)
ACTS = st.one_of(
    st.fixed_dictionaries({"process": PROCESS, "calls": st.lists(CALLS, min_size=1, max_size=4)}),
    st.fixed_dictionaries({"minutes": st.sampled_from([1, 24, 90, 700])}),
    st.fixed_dictionaries({"reverse": st.integers(0, 30), "process": PROCESS}),
    st.fixed_dictionaries(
        {
            "capture": st.integers(0, 9),
            "tokens": TOKENS,
            "over": st.sampled_from(["reject", "cap", "overdraft"]),
            "process": PROCESS,
        }
    ),
    st.fixed_dictionaries({"void": st.integers(0, 9), "process": PROCESS}),
    st.fixed_dictionaries({"extend": st.integers(0, 9), "by": st.integers(1, 90), "process": PROCESS}),
    CHANGES,
)
PLAIN = st.fixed_dictionaries(
    {
        "mode": st.sampled_from([Mode.ASK, Mode.ASK, Mode.ASK, Mode.REPORT]),
        "tokens": TOKENS,
        "minutes_ago": st.just(0),
    }
)
QUIET = st.fixed_dictionaries({"process": PROCESS, "calls": st.lists(PLAIN, min_size=1, max_size=2)})
"""What a process may do without reading, where it has read a while before."""
STEPS = st.lists(
    st.tuples(ACTS, st.lists(QUIET, min_size=2, max_size=6)).map(lambda found: [found[0], *found[1]]),
    min_size=1,
    max_size=8,
).map(lambda chapters: [step for chapter in chapters for step in chapter])
BOUNDS = st.fixed_dictionaries(
    {
        "limits": st.lists(st.sampled_from(LEVELS[:3]), min_size=1, unique=True).map(sorted),
        "amount": st.sampled_from([Decimal(10), Decimal(60), Decimal(200), Decimal(1000)]),
        "quota": st.sampled_from([None, "25", "150", "1000"]),
        "price": st.sampled_from([PRICE, VOLUME]),
        "ahead": st.sampled_from([0, 0, 1, 11]),
    }
)


def told(steps: list[dict[str, Any]], bounds: dict[str, Any]) -> int:
    """Tell both stories; how many batches read nothing."""
    clock.use(lambda: NOW)
    meter = make_meter()
    quota = {"feature": "quota", "type": "metered", "meter": "tokens", "limit": bounds["quota"]}
    price, quotas = bounds.get("price", PRICE), [quota] if bounds["quota"] else []
    versions = [make_version([one], entitlements=quotas) for one in (price, DEARER)]
    versions.append(make_version([DEARER]))  # without the quota
    exact, calm = (make_tenant(versions[0], balance="2000", overdraft=Decimal(0)) for _ in range(2))
    for tenant in (exact, calm):
        bind(tenant, bounds, meter)
    standing = [limit.counter for limit in SpendLimit.objects.filter(customer=calm.customer)]
    opened = 0
    opens = Quiet.open

    def note(self: Quiet, *marks: Decimal) -> bool:
        nonlocal opened
        opened += 1
        return opens(self, *marks)

    with mock.patch.object(Quiet, "open", note):
        known: dict[str, Any] = {"ahead": bounds.get("ahead", 0), "versions": versions}
        expected = Story(exact, remembers=False, **known).tell(steps)
        assert not opened
        assert Story(calm, remembers=True, **known).tell(steps) == expected
    clock.use(lambda: NOW + timedelta(days=14))
    assert kept(calm) == kept(exact)
    assert broken_invariants(driver()) == []
    clock.use(None)
    if not any("payer" in step for step in steps):
        check_sums(calm, standing)
    return opened


def check_sums(tenant: Tenant, limits: list[str]) -> None:
    """No window has more than what the payer's sums have grown by: of these limits, and of quotas."""
    wallet = LedgerAccount.objects.get(billing_entity_id=tenant.payer.pk, kind="wallet")
    for row in LimitCounter.objects.filter(customer_id=tenant.customer.pk):
        if row.counter.startswith("quota"):
            assert row.used <= wallet.throughput
        elif row.counter in limits:
            assert row.used <= wallet.turnover


def kept(tenant: Tenant) -> dict[str, Any]:
    """What is stored of a payer's limits, refusals, alerts and balances."""
    rows = stored(tenant)
    found = {name: rows[name] for name in ("windows", "alerts", "denials", "grants", "counters", "buckets")}
    found["windows"].sort(key=str)  # two limits of one level may begin together
    for denial in found["denials"]:
        denial["idempotency_key"] = denial["idempotency_key"].split("_")[0]  # of a capture, the hold's id
    accounts = [str(without(row, "turnover", "throughput")) for row in rows["accounts"]]
    return found | {"accounts": sorted(accounts)}


@settings(PROFILE, max_examples=PROFILE.max_examples)
@given(steps=STEPS, bounds=BOUNDS)
def test_what_is_not_read_would_have_changed_nothing(steps: list[dict[str, Any]], bounds: Any) -> None:
    with transaction.atomic():
        told(steps, bounds)
        transaction.set_rollback(True)


def batch(*tokens: str, process: int = 0, mode: Mode = Mode.ASK) -> dict[str, Any]:
    calls = [{"mode": mode, "tokens": one, "minutes_ago": 0} for one in tokens]
    return {"process": process, "calls": calls}


@pytest.mark.parametrize("mode", [Mode.ASK, Mode.REPORT])
def test_calm_payers_are_not_read(mode: Mode) -> None:
    bounds = {"limits": ["organization", "workspace"], "amount": Decimal(10_000), "quota": "1000000"}
    assert told([batch("1", mode=mode) for _ in range(12)], bounds) == 10


def test_what_another_process_charged_counts() -> None:
    """Each is far from the limit by what it has charged itself."""
    bounds = {"limits": ["workspace"], "amount": Decimal(200), "quota": None}
    steps = [batch("7", process=0), batch("7", process=1)] * 4 + [batch("30", "30", process=1)] * 3
    assert told([*steps, batch("7", process=0), batch("7", process=0)], bounds) > 2


def test_a_call_that_is_too_much_at_once_is_refused_and_read_for() -> None:
    bounds = {"limits": ["workspace"], "amount": Decimal(100), "quota": None}
    create = [batch("1"), batch("1"), batch("1")]
    assert told([*create, batch("99"), batch("48"), batch("60"), batch("50")], bounds)


def test_an_alert_of_a_rolling_window_that_has_left_fires_again() -> None:
    bounds = {"limits": ["payer"], "amount": Decimal(100), "quota": None}
    steps: list[dict[str, Any]] = [batch("30"), {"minutes": 90}, batch("30"), batch("1"), batch("1")]
    told(
        [*steps, {"minutes": 700}, {"minutes": 700}, batch("1"), batch("30"), batch("7"), batch("7")], bounds
    )


def test_a_limit_that_is_changed_is_read() -> None:
    clock.use(lambda: NOW)
    make_meter()
    tenant = make_tenant(make_version([PRICE]), balance="500", overdraft=Decimal(0))
    limit = create_limit(owner_of(workspace=tenant.workspace), Decimal(100))
    for number in range(5):
        charge_many([request(tenant, f"k{number}", properties={"tokens": "1"})])
    limit.amount = Decimal("5.5")
    limit.save()
    (refused,) = charge_many([request(tenant, "k5", properties={"tokens": "1"})])
    assert not isinstance(refused, Charged)
    clock.use(None)


def test_however_many_payers_come_too_near_a_batch_is_done_again_once() -> None:
    clock.use(lambda: NOW)
    make_meter()
    version = make_version([PRICE])
    tenants = [make_tenant(version, balance="500", overdraft=Decimal(0)) for _ in range(8)]
    for tenant in tenants:
        create_limit(owner_of(workspace=tenant.workspace), Decimal(100), thresholds=[50], window="day")
        charge_many([request(tenant, "first", properties={"tokens": "1"})])
    with mock.patch.object(path, "lock_and_read", wraps=lock_and_read) as reads:
        outcomes = charge_many([request(tenant, "large", properties={"tokens": "60"}) for tenant in tenants])
    assert all(isinstance(outcome, Charged) for outcome in outcomes)
    assert reads.call_count == 2
    assert Alert.objects.count() == len(tenants)
    clock.use(None)


def test_two_windows_of_one_row_are_added_together() -> None:
    """As of one quota, in two segments: a row is written once."""
    ranges = [CounterRange(1, "quota:1:1:month", START, NOW, 1, 1) for _ in range(2)]
    quiet = Quiet((1, 0), 1)
    for range_ in ranges:
        range_.row = 7
        quiet.use(range_, Decimal(2))
    assert quiet.changes == {(7, '"quota:1:1:month"'): Decimal(4)}
    assert quiet.put == 4


def test_the_worked_table() -> None:
    """Of docs/algorithms/limits.md."""
    clock.use(lambda: NOW)
    make_meter()
    tenant = make_tenant(make_version([PRICE]), balance="1000", overdraft=Decimal(0))
    create_limit(owner_of(workspace=tenant.workspace), Decimal(1000), thresholds=[50], window="day")
    processes = Processes()
    opened: list[Decimal] = []
    remembered: list[Decimal] = []
    opens, remembers = Quiet.open, remember

    def note_known(self: Quiet, *marks: Decimal) -> bool:
        fits = opens(self, *marks)
        opened.append(self.money)
        return fits

    def note_read(place: Any, *what: Any) -> None:
        remembers(place, *what)
        remembered.append(place.calm.room)

    with (
        mock.patch.object(Quiet, "open", note_known),
        mock.patch("billing.charging.limiting.remember", note_read),
    ):
        for number, row in enumerate(table("call in | amount", DOCUMENT)):
            with processes.one("AB".index(row["call in"])):
                charge_many([request(tenant, f"k{number}", properties={"tokens": row["amount"]})])
            (room,) = remembered if row["reads"] == "yes" else opened
            assert room == Decimal(row["room left"])
            assert (not opened) is (row["reads"] == "yes")
            wallet = LedgerAccount.objects.get(billing_entity_id=tenant.payer.pk, kind="wallet")
            assert wallet.turnover == Decimal(row["turnover after"])
            opened.clear()
            remembered.clear()
    clock.use(None)
