"""Rules on falling margins, and the doors of floors, rules and alerts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command

from billing.charging import Charged, Mode
from billing.margin_rules import create_rule, end_rule, watch_margins
from billing.models import MarginAlert, OutboxMessage, PayerMarginFloor
from billing.reversals import reverse_event
from core import clock
from core.errors import Conflict, InvalidRequest
from core.ids import hot_id, public_id
from metering.models import ExchangeRate, UsageEvent
from tests.accounts.caller import Caller
from tests.billing.world import START, Tenant, charge, make_meter, make_tenant, make_version
from tests.clocks import standing_at

pytestmark = pytest.mark.django_db
ONE_EACH = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "1"}
DAY = timedelta(days=1)
TODAY = datetime(2026, 1, 21, tzinfo=UTC)
"""The last ten days are 11 to 20 January, the ten before 1 to 10 January."""
_clock = standing_at(TODAY)


@pytest.fixture(autouse=True)
def _meter() -> None:
    make_meter()


def tenant_in(currency: str = "USD", **terms: Any) -> Tenant:
    return make_tenant(
        make_version([ONE_EACH], currency=currency, **terms), balance="9000", currency=currency
    )


def use(
    tenant: Tenant, day: int, price: int, cost: str | None, model: str = "m", hour: int = 12
) -> UsageEvent:
    """A call on a day of January at this price and cost."""
    fields: dict[str, Any] = {"occurred_at": datetime(2026, 1, day, hour, tzinfo=UTC).isoformat()}
    if cost is not None:
        fields["costs"] = [{"vendor": "v", "amount": cost, "currency": "USD"}]
    key = f"{tenant.payer.pk}-{day}-{model}-{hour}-{UsageEvent.objects.count()}"
    outcome = charge(tenant, key, Mode.REPORT, properties={"tokens": price, "model": model}, **fields)
    assert isinstance(outcome, Charged), outcome
    return UsageEvent.objects.get(id=outcome.id)


def told(now: datetime = TODAY) -> list[tuple[str, Decimal]]:
    """What the task tells of at an instant: (subject, points)."""
    seen = set(MarginAlert.objects.values_list("pk", flat=True))
    raised = watch_margins(now)
    rows = MarginAlert.objects.exclude(pk__in=seen).order_by("pk")
    assert (len(rows), watch_margins(now)) == (raised, 0)
    return [(row.subject, row.bound) for row in rows]


def test_a_fall_of_the_whole_is_told_with_both_margins() -> None:
    tenant, other = tenant_in(), tenant_in()
    create_rule(scope="whole", points=Decimal(15), days=10)
    use(tenant, 10, 100, "60", hour=23)
    use(tenant, 11, 50, "40", hour=0)
    use(other, 20, 50, "34", hour=23)
    assert told() == []
    use(other, 20, 0, "1")
    use(other, 21, 100, "100", hour=0)  # today is not over
    assert told() == [("", Decimal(15))]
    row = MarginAlert.objects.get()
    message = OutboxMessage.objects.get()
    said = message.payload
    assert (message.kind, message.customer_id) == ("margin.fall", None)
    assert (said["rule"], said["bound"], said["days"]) == (public_id("mr", row.rule_id or 0), "15", 10)
    assert (row.revenue, row.cost, row.events, row.costed, row.currency) == (100, 75, 3, 3, "USD")
    assert (row.starts_at, row.ends_at) == (datetime(2026, 1, 11, tzinfo=UTC), TODAY)
    before = row.detail["before"]
    assert (before["revenue"], before["cost"], before["margin_rate"]) == ("100", "60", "0.4")


def test_it_is_told_once_and_again_when_the_days_are_others() -> None:
    tenant = tenant_in()
    create_rule(scope="whole", points=Decimal(5), days=2)
    for day, cost in enumerate(["10", "10", "20", "30", "40", "60", "80", "95"], start=10):
        use(tenant, day, 100, cost)
    found = [(day, told(datetime(2026, 1, day, 6, tzinfo=UTC))) for day in range(12, 19)]
    assert [(day, subjects) for day, subjects in found if subjects] == [
        (13, [("", Decimal("5"))]),
        (15, [("", Decimal("20"))]),
        (17, [("", Decimal("35"))]),
    ]


def test_each_plan_is_told_of_by_itself_and_a_rule_may_name_one() -> None:
    falling, steady = tenant_in(), tenant_in()
    for day, cost in ((5, "10"), (15, "40")):
        use(falling, day, 100, cost)
        use(steady, day, 100, "50")
    keys = [t.subscription.version.plan.key for t in (falling, steady)]  # type: ignore[union-attr]
    create_rule(scope="plan", points=Decimal(30), days=10)
    assert told() == [(keys[0], Decimal(30))]
    create_rule(scope="plan", points=Decimal(30), days=10, subject=keys[1])
    create_rule(scope="plan", points=Decimal(30), days=10, subject=keys[0])
    assert told() == [(keys[0], Decimal(30))]


def test_each_model_is_told_of_by_itself_from_what_is_known_now(caller: Caller) -> None:
    tenant = tenant_in()
    for model in ("old", "new"):
        use(tenant, 5, 100, "10", model)
    event = use(tenant, 15, 100, None, "new")
    use(tenant, 15, 100, "10", "old")
    gone = use(tenant, 15, 100, "100", "old")
    reverse_event(gone, reason="a test")
    create_rule(scope="model", points=Decimal(25), days=10)
    assert told() == []
    part = {"vendor": "v", "amount": "35", "currency": "USD"}
    public = hot_id("ch", event.customer_id, event.id)
    caller.made(f"/v1/charges/{public}/costs", {"costs": [part]})
    assert told() == [("new", Decimal(25))]


def test_currencies_are_compared_at_a_rate_and_not_without_one() -> None:
    dollars, yen, more = tenant_in(), tenant_in("JPY"), tenant_in()
    ExchangeRate.objects.create(base="USD", quote="JPY", rate=Decimal(100), starts_at=START, created_at=START)
    create_rule(scope="whole", points=Decimal(20), days=10)
    use(dollars, 5, 100, "50")
    use(more, 15, 100, "50")
    use(yen, 15, 5000, "50")  # 50 USD of revenue, 50 of cost
    assert told() == []
    use(yen, 15, 1000, "50")
    ExchangeRate.objects.all().delete()
    assert told() == []
    ExchangeRate.objects.create(base="USD", quote="JPY", rate=Decimal(100), starts_at=START, created_at=START)
    assert [subject for subject, _ in told()] == [""]


def test_a_rule_that_ended_looks_no_more() -> None:
    tenant = tenant_in()
    rule = create_rule(scope="whole", points=Decimal(1), days=10)
    use(tenant, 5, 100, "10")
    use(tenant, 15, 100, "90")
    end_rule(rule)
    assert told() == []
    with pytest.raises(Conflict):
        end_rule(rule)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"scope": "moon"}, "scope"),
        ({"points": Decimal(0)}, "points"),
        ({"days": 0}, "days"),
        ({"days": 93}, "days"),
        ({"subject": "x"}, "subject"),
        ({"scope": "plan", "subject": "none"}, "subject"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        create_rule(**{"scope": "whole", "points": Decimal(5), "days": 7} | fields)  # type: ignore[arg-type]
    assert caught.value.param == param


def test_rules_are_made_listed_and_ended_through_the_api(caller: Caller) -> None:
    tenant = tenant_in()
    use(tenant, 5, 100, "10")
    use(tenant, 15, 100, "90")
    body = {"scope": "whole", "points": "5.5", "days": 10}
    rule = caller.made("/v1/margin-rules", body, "k")
    assert caller.made("/v1/margin-rules", body, "k") == rule
    call_command("run_due", now=TODAY.isoformat())
    clock.use(lambda: TODAY)
    (alert,) = caller.get("/v1/margin-alerts?kind=fall").json["data"]
    assert (alert["rule"], alert["bound"], alert["revenue"], alert["cost"]) == (rule["id"], "80", "100", "90")
    assert alert["detail"]["before"]["margin_rate"] == "0.9"
    assert caller.get(f"/v1/margin-alerts/{alert['id']}").json == alert
    ended = caller.post(f"/v1/margin-rules/{rule['id']}/end", {}).json
    assert ended["ended_at"] == "2026-01-21T00:00:00Z"
    assert caller.get("/v1/margin-rules").json["data"] == [ended]


def test_a_payers_floor_is_set_changed_and_removed_through_the_api(caller: Caller) -> None:
    tenant = tenant_in()
    body = {"billing_entity": tenant.payer.public_id, "min_margin": "0.25", "action": "deny"}
    floor = caller.made("/v1/margin-floors", body)
    assert (floor["min_margin"], floor["min_volume"], floor["action"]) == ("0.25", "0", "deny")
    again = caller.made("/v1/margin-floors", body | {"min_margin": "0.3", "min_volume": "10"})
    assert (again["id"], again["min_margin"]) == (floor["id"], "0.3")
    listed = caller.get(f"/v1/margin-floors?billing_entity={tenant.payer.public_id}").json["data"]
    assert listed == [again]
    event = {
        "idempotency_key": "e",
        "event": "completion",
        "workspace": tenant.workspace.external_id,
        "properties": {"tokens": 10},
        "costs": [{"vendor": "v", "amount": "9", "currency": "USD"}],
    }
    answer = caller.post("/v1/charges", event)
    assert (answer.status, answer.json["denial"]["reason"]) == (402, "margin_floor")
    assert answer.json["denial"]["id"] == tenant.payer.public_id
    assert (answer.json["denial"]["limit"], answer.json["denial"]["used"]) == (None, None)
    assert caller.post(f"/v1/margin-floors/{floor['id']}/remove", {}).json["id"] == floor["id"]
    assert caller.post("/v1/charges", event).status == 201
    assert not PayerMarginFloor.objects.exists()
    labels = PayerMarginFloor.pgh_event_model.objects.order_by("pgh_id").values_list("pgh_label", flat=True)  # type: ignore[attr-defined]
    assert list(labels) == ["insert", "update", "delete"]
