"""`manage.py load_demo`: a small load, looked at from all sides."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.db.models import F, Sum
from django.test import override_settings

from accounts.models import Customer, Organization, PayerAssignment, User, Workspace
from accounts.scoping import OPERATOR
from billing.charging import report_events
from billing.demo import cast
from billing.demo.loading import load
from billing.models import (
    Charge,
    ClosingLine,
    Denial,
    LedgerAccount,
    MarginAlert,
    MarginBucket,
    OutboxMessage,
    Overspend,
)
from billing.reports import attention
from billing.reports.comparing import make_comparison
from billing.reports.present import at_present
from billing.reports.spans import LAST_30_DAYS, read_span
from billing.unmatched import unheard_names
from core import clock
from core.numbers import plain
from metering.events import parse_event
from metering.models import QuarantinedEvent, UsageEvent
from pricing.models import PlanVersion, Subscription


@pytest.fixture(scope="module")
def loaded(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A demo of 60 days with few calls, for all tests of this file; rolled back after them."""
    folder = tmp_path_factory.mktemp("notes")
    with django_db_blocker.unblock(), transaction.atomic(), override_settings(DEMO_NOTES_DIR=folder):
        load(lambda line: None, days=60, per_day=70)
        yield folder
        transaction.set_rollback(True)


def test_forty_customers_are_there_each_subscribed(loaded: Path) -> None:
    assert Customer.objects.count() == 40
    assert Subscription.objects.values("customer_id").distinct().count() == 40


def test_prices_come_from_plan_files_in_several_currencies(loaded: Path) -> None:
    versions = PlanVersion.objects.filter(status="published")
    assert set(versions.values_list("plan__key", "plan__currency")) == {
        ("flat", "USD"),
        ("payg", "USD"),
        ("payg-eur", "EUR"),
        ("team-jpy", "JPY"),
        ("enterprise", "USD"),
        ("podcast", "USD"),
        ("credits", "NIMBUS"),
    }


def test_history_was_recorded_when_it_happened(loaded: Path) -> None:
    first, last = UsageEvent.objects.earliest("recorded_at"), UsageEvent.objects.latest("recorded_at")
    assert (clock.now() - first.recorded_at).days >= 58
    assert last.recorded_at <= clock.now()
    assert not UsageEvent.objects.filter(occurred_at__gt=F("recorded_at")).exists()


def test_books_balance_and_buckets_agree_with_charges(loaded: Path) -> None:
    sums = LedgerAccount.objects.values("billing_entity_id").annotate(total=Sum("balance"))
    assert {row["total"] for row in sums} == {Decimal(0)}
    usage = MarginBucket.objects.exclude(event="base_fee").aggregate(total=Sum("revenue"))["total"]
    charged = Charge.objects.aggregate(total=Sum("amount"))["total"]
    closed = ClosingLine.objects.aggregate(total=Sum("amount"))["total"] or 0
    assert usage == charged + closed
    assert MarginBucket.objects.filter(event="base_fee", revenue__gt=0).exists()


def test_a_margin_below_the_floor_of_its_plan_is_told_and_shown(loaded: Path) -> None:
    version = PlanVersion.objects.get(plan__key=cast.FLAT, number=1)
    assert version.content["margin_floor"]["action"] == "notify"
    body = {"idempotency_key": "dear", "event": "completion", "workspace": f"{cast.LOSS_MAKER}-production"}
    costs = [{"vendor": "v", "amount": "500", "currency": "USD"}]
    with transaction.atomic():
        report_events([parse_event(body | {"properties": {}, "costs": costs}, clock.now())])
        told = MarginAlert.objects.filter(kind="below_floor").latest("pk")
        message = OutboxMessage.objects.get(kind="margin.below_floor", payload__call="dear")
        assert (message.customer_id, message.payload["revenue"]) == (None, plain(told.revenue))
        present = at_present(OPERATOR, clock.now())
        assert 0 < present.below_count <= present.watched
        assert present.below[0].payer.customer.external_id == cast.LOSS_MAKER
        transaction.set_rollback(True)


def test_the_one_with_the_most_calls_is_sold_below_cost(loaded: Path) -> None:
    calls = MarginBucket.objects.filter(event="completion").values("customer_id")
    top = calls.annotate(number=Sum("events")).order_by("-number")[0]
    assert Customer.objects.get(pk=top["customer_id"]).external_id == cast.LOSS_MAKER


def test_a_wallet_lasts_two_more_days(loaded: Path) -> None:
    low = {one.payer.external_id: one for one in attention.low_wallets(OPERATOR, clock.now())}
    found = low[f"{cast.RUNNING_OUT}-billing"]
    assert Decimal("1.9") < found.days_left < Decimal("2.1")


def test_the_enterprise_is_a_tree_with_several_payers_and_a_moved_workspace(loaded: Path) -> None:
    tree = Organization.objects.filter(customer__external_id=cast.TREE)
    assert tree.filter(parent__parent__isnull=False).exists()
    research = Workspace.objects.get(external_id="meridian-research")
    assignments = PayerAssignment.objects.filter(workspace=research).order_by(
        F("starts_at").asc(nulls_first=True)
    )
    before, after = assignments
    assert (before.billing_entity.external_id, after.billing_entity.external_id) == (
        "meridian-hq",
        "meridian-logistics",
    )
    assert before.ends_at == after.starts_at


def test_podcasts_are_traces_with_one_price_and_several_costs(loaded: Path) -> None:
    sold = UsageEvent.objects.filter(name="podcast_created").first()
    assert sold is not None
    steps = UsageEvent.objects.filter(customer_id=sold.customer_id, trace=sold.trace)
    assert all(step.cost is not None for step in steps)
    charges = Charge.objects.filter(customer_id=sold.customer_id, event_id__in=[step.id for step in steps])
    assert charges.aggregate(total=Sum("amount"))["total"] == Decimal("1.2")


def test_what_needs_somebody_is_there(loaded: Path) -> None:
    names = {name.event: name for name in unheard_names(OPERATOR, since=clock.now().replace(year=2020))}
    assert names["compltion"].close_to == "completion"
    assert names["embedding"].unpriced == 60
    assert set(QuarantinedEvent.objects.values_list("status", flat=True)) == {
        "waiting",
        "released",
        "written_off",
    }
    assert {"unknown_workspace", "unknown_key", "too_late", "in_future"} == set(
        QuarantinedEvent.objects.values_list("reason", flat=True)
    )
    assert Denial.objects.filter(reason="insufficient_funds").count() == 26
    assert Overspend.objects.filter(cause="reported").exists()
    now = clock.now()
    span, comparison = read_span({"period": LAST_30_DAYS}, now.date()), make_comparison(["USD"], now)
    assert attention.below_cost(OPERATOR, span, comparison) is not None


def test_cost_coverage_is_high_but_not_whole(loaded: Path) -> None:
    sums = MarginBucket.objects.aggregate(events=Sum("events"), costed=Sum("costed"))
    assert Decimal("0.85") < Decimal(sums["costed"]) / sums["events"] < 1


def test_everybody_named_in_the_notes_can_sign_in(loaded: Path) -> None:
    written = json.loads((loaded / "demo.json").read_text())
    logins = {title: login for title, login in written.items() if title != "curl"}
    assert set(logins) == {"staff", "finance", "ops", "read only", "customer", "member"}
    passwords = {login["password"] for login in logins.values()}
    assert len(passwords) == 1
    users = User.objects.in_bulk([login["email"] for login in logins.values()], field_name="email")
    assert users["ada@nimbus.example"].check_password(passwords.pop())
    assert users["ada@nimbus.example"].is_staff
    assert users["lena@lumenlabs.example"].memberships.get().role == "owner"


def test_a_second_load_does_nothing(loaded: Path) -> None:
    said = StringIO()
    call_command("load_demo", stdout=said)
    assert "nothing was loaded" in said.getvalue()


@pytest.mark.django_db
def test_production_is_refused_unless_forced() -> None:
    with (
        override_settings(TOLLGATE_ENVIRONMENT="production"),
        pytest.raises(CommandError, match="production"),
    ):
        call_command("load_demo", stdout=StringIO())


@pytest.mark.parametrize(("option", "value"), [("--days", "3"), ("--days", "1000"), ("--per-day", "0")])
@pytest.mark.django_db
def test_sizes_that_make_no_sense_are_refused(option: str, value: str) -> None:
    with pytest.raises(CommandError, match="--days may be"):
        call_command("load_demo", option, value, stdout=StringIO())
