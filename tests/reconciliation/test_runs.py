"""Runs: one at a time, resumable, from checkpoints on; what stands, what is gone and what drifts."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction

from billing.charging import Mode
from billing.models import (
    Discrepancy,
    LedgerAccount,
    LinkDrift,
    PayerCheckpoint,
    ProvenSum,
    ReconciliationRun,
)
from billing.reconciliation import batches, runs
from billing.reconciliation.discrepancies import change_discrepancy, comment
from billing.reconciliation.links import LINKS
from billing.reconciliation.runs import cancel_run, request_run, run_steps, run_unfinished, start_nightly
from core import clock
from core.errors import Conflict, InvalidRequest
from tests.billing.world import Tenant, charge, make_meter, make_tenant, make_version

pytestmark = pytest.mark.django_db
Kind, Status = ReconciliationRun.Kind, ReconciliationRun.Status
PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.5"}


@pytest.fixture
def tenants() -> list[Tenant]:
    """Three customers, each with two charges of 1.5."""
    make_meter()
    version = make_version([PER_TOKEN])
    made = [make_tenant(version, balance="10") for _ in range(3)]
    for number, tenant in enumerate(made):
        use(tenant, f"a{number}", f"b{number}")
    return made


def use(tenant: Tenant, *keys: str) -> None:
    for key in keys:
        charge(tenant, key, Mode.REPORT, properties={"tokens": 3})


def bump(tenant: Tenant, by: str, kind: str = "wallet") -> None:
    """Change a balance behind the system's back."""
    row = LedgerAccount.objects.filter(billing_entity_id=tenant.payer.pk, kind=kind)
    row.update(balance=row.get().balance + Decimal(by))


def reconcile(kind: str = Kind.INCREMENTAL, **fields: Any) -> ReconciliationRun:
    run = request_run(kind, **fields)
    for _ in run_steps(run.pk):
        pass
    run.refresh_from_db()
    return run


def standing() -> list[tuple[str, Decimal]]:
    rows = Discrepancy.objects.exclude(status="resolved").order_by("pk")
    return [(row.type, row.amount) for row in rows]


def checkpoints() -> dict[int, int]:
    return dict(PayerCheckpoint.objects.values_list("billing_entity_id", "seq"))


def test_an_incremental_run_looks_only_at_what_came_since_it_was_proven(
    tenants: list[Tenant], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reconcile().events_checked == 6
    assert checkpoints() == {tenant.payer.pk: 3 for tenant in tenants}
    assert reconcile().events_checked == 0
    monkeypatch.setattr(batches, "WHOLE_MAX", 0)  # as if the payer had had many more
    use(tenants[1], "c")
    run = reconcile()
    assert (run.events_checked, run.found) == (1, 0)
    assert checkpoints()[tenants[1].payer.pk] == 4
    wallet = ProvenSum.objects.get(billing_entity_id=tenants[1].payer.pk, link="balances", key="wallet")
    assert wallet.amount == Decimal("5.5")


def test_a_payer_that_moved_and_is_small_is_looked_at_as_a_whole(tenants: list[Tenant]) -> None:
    reconcile()
    use(tenants[1], "c")
    assert reconcile().events_checked == 3


def test_a_full_run_looks_at_everything_again(tenants: list[Tenant]) -> None:
    reconcile()
    run = reconcile(Kind.FULL)
    assert (run.events_checked, run.customers_done, run.customers_total, run.found) == (6, 3, 3, 0)


def test_a_balance_that_was_bumped_where_nothing_moved_is_found_from_the_checkpoint(
    tenants: list[Tenant],
) -> None:
    reconcile()
    bump(tenants[2], "5", "cash")
    run = reconcile()
    assert (run.events_checked, standing()) == (0, [("balance", Decimal(5))])
    assert tenants[2].payer.pk not in checkpoints(), "it is looked at as a whole until it is clean"
    assert reconcile().events_checked == 2


def test_revenue_that_is_changed_in_the_buckets_is_found_from_the_checkpoint(tenants: list[Tenant]) -> None:
    reconcile()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE billing_marginbucket SET revenue = revenue + 2 WHERE billing_entity_id = %s",
            [tenants[0].payer.pk],
        )
    reconcile()
    assert standing() == [("buckets_not_revenue", Decimal(2))]


def test_what_is_found_again_is_the_same_and_what_is_gone_is_resolved_by_the_run_that_saw_it_gone(
    tenants: list[Tenant],
) -> None:
    bump(tenants[0], "5")
    first = reconcile()
    bump(tenants[0], "2")
    second = reconcile()
    (row,) = Discrepancy.objects.filter(type="balance")
    assert (row.amount, row.found_times, row.first_run, row.last_run) == (Decimal(7), 2, first, second)
    assert (first.new, second.new, second.found) == (first.found, 0, first.found)
    bump(tenants[0], "-7")
    third = reconcile()
    row.refresh_from_db()
    assert (row.status, row.resolved_by_run, third.found) == ("resolved", third, 0)
    assert third.resolved == first.found
    bump(tenants[0], "1")
    reconcile()
    assert Discrepancy.objects.filter(type="balance").count() == 2, "what comes back is a new one"


def test_one_drift_a_link_and_day_is_kept(tenants: list[Tenant]) -> None:
    bump(tenants[0], "5", "cash")
    bump(tenants[1], "-3", "cash")
    reconcile()
    today = LinkDrift.objects.filter(day=clock.now().date())
    assert {row.link for row in today} == {link.name for link in LINKS}
    drift = today.get(link="balances")
    assert (drift.amount, drift.discrepancies, drift.unit) == (Decimal(8), 2, "USD")
    assert today.get(link="keys").amount == 0
    bump(tenants[0], "-5", "cash")
    reconcile()
    assert today.get(link="balances").amount == Decimal(3)


def test_a_run_of_one_customer_looks_at_nobody_else(tenants: list[Tenant]) -> None:
    bump(tenants[0], "5", "cash")
    run = reconcile(Kind.FULL, customer=tenants[1].customer)
    assert (run.events_checked, run.found, run.customers_total) == (2, 0, 1)
    assert reconcile(Kind.FULL, customer=tenants[0].customer).found == 1
    assert reconcile(Kind.FULL, customer=tenants[1].customer).resolved == 0, "what it did not see stands"


def test_there_is_never_more_than_one_run(tenants: list[Tenant]) -> None:
    run = request_run()
    with pytest.raises(Conflict, match=run.public_id):
        request_run(Kind.FULL)
    with pytest.raises(IntegrityError), transaction.atomic():
        ReconciliationRun.objects.create(created_at=clock.now())
    assert cancel_run(run).status == Status.CANCELED
    assert reconcile().status == Status.DONE
    with pytest.raises(Conflict):
        cancel_run(ReconciliationRun.objects.get(status=Status.DONE))


def test_a_run_goes_on_from_the_step_after_the_last_one(
    tenants: list[Tenant], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "NUMBERS_AT_ONCE", 1)
    bump(tenants[2], "5", "cash")
    run = request_run(Kind.FULL)
    steps = run_steps(run.pk)
    assert next(steps).customers_done == 1
    del steps  # the worker is gone
    run.refresh_from_db()
    assert (run.status, run.customers_total, run.last_customer_id) == (
        Status.RUNNING,
        3,
        tenants[0].customer.pk,
    )
    assert checkpoints() == {tenants[0].payer.pk: 3}
    assert run_unfinished() == 1
    run.refresh_from_db()
    assert (run.status, run.customers_done, run.events_checked, run.found) == (Status.DONE, 3, 6, 1)


def test_a_run_that_breaks_says_so_and_makes_way(
    tenants: list[Tenant], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "check_links", lambda scope: 1 / 0)
    broken = reconcile()
    assert (broken.status, broken.problem[:9]) == (Status.FAILED, "Something")
    monkeypatch.undo()
    assert reconcile().status == Status.DONE


def _at(instant: datetime) -> datetime:
    return instant


def test_the_night_has_one_run_and_every_seventh_looks_at_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    day = datetime(2026, 5, 1, tzinfo=UTC)
    kinds = []
    for _ in range(9):
        monkeypatch.setattr(clock, "now", partial(_at, day + timedelta(hours=3)))
        assert start_nightly(day + timedelta(hours=1)) is None, "its hour has not come"
        run = start_nightly(clock.now())
        assert run is not None
        kinds.append(run.kind)
        run_unfinished()
        assert start_nightly(clock.now()) is None, "once a night"
        day += timedelta(days=1)
    assert kinds == ["full", *["incremental"] * 6, "full", "incremental"]


def test_the_command_says_what_does_not_agree(
    tenants: list[Tenant], capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("reconcile", full=True)
    out = capsys.readouterr().out
    assert "balances" in out
    widths = {len(re.match(r"\S+ +\S+ +\S+", line).group()) for line in out.splitlines()[1:]}  # type: ignore[union-attr]
    assert len(widths) == 1, "the columns stand below each other"
    bump(tenants[0], "5", "cash")
    with pytest.raises(CommandError, match=r"^1 discrepancy\.$"):
        call_command("reconcile", customer=tenants[0].customer.public_id)
    assert "balances balance: account cash: 5 USD" in capsys.readouterr().out
    request_run()
    with pytest.raises(CommandError, match="not finished"):
        call_command("reconcile")
    with pytest.raises(CommandError, match=r"^1 discrepancy\.$"):
        call_command("reconcile", resume=True)


def test_people_take_a_discrepancy_on_and_only_a_run_resolves_it(tenants: list[Tenant]) -> None:
    bump(tenants[0], "5", "cash")
    reconcile()
    row = change_discrepancy(Discrepancy.objects.get(), owner="ada", status="investigating")
    comment(row, "A typo in a script.", by="ada")
    with pytest.raises(InvalidRequest):
        change_discrepancy(row, status="resolved")
    reconcile()
    row.refresh_from_db()
    assert (row.owner, row.status, row.found_times) == ("ada", "investigating", 2)
    bump(tenants[0], "-5", "cash")
    reconcile()
    with pytest.raises(Conflict):
        change_discrepancy(row, status="open")
    row.refresh_from_db()
    assert (row.status, row.comments.get().text) == ("resolved", "A typo in a script.")
