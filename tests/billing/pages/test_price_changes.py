"""The way of a price change through its pages: version, cohort, announcement, watching, steering."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts.users import add_member, create_user
from billing.charging import Mode
from billing.models import MakeWholeCredit, OutboxMessage
from billing.rollouts import announce_rollout, draft_rollout, execute_rollouts
from core import clock
from pricing.models import PlanVersion, Rollout, RolloutMember, UsageCeiling
from pricing.plans import apply_plan, publish_version
from tests.billing.pages.conftest import GRADUATED, NOW, Sign, now_is, signed
from tests.billing.pages.reading import page, read, rows, words
from tests.billing.world import Tenant, balance, charge, make_meter, make_tenant

pytestmark = pytest.mark.django_db
SOON = {"timing": "on_date", "effective_on": "2026-02-01"}


@pytest.fixture
def second(version: PlanVersion) -> PlanVersion:
    """The next version: nothing is included any more, and each unit costs twice as much."""
    dearer = GRADUATED | {"tiers": [{"up_to": None, "unit_price": "0.02"}], "included": "0"}
    return publish_version(apply_plan(version.content | {"components": [dearer]}))


@pytest.fixture
def draft(acme: Tenant, second: PlanVersion) -> Rollout:
    """A price change that is planned for 1 March, with notice enough."""
    return draft_rollout(
        second, timing="on_date", name="Spring", effective_at=datetime(2026, 3, 1, tzinfo=UTC)
    )


@pytest.fixture
def announced(draft: Rollout) -> Rollout:
    """The same, announced."""
    return announce_rollout(draft, by="felix")


def url(row: Rollout, *more: str) -> str:
    """An address below a price change."""
    return "/".join(["/price-changes", row.public_id, *more])


def member_url(row: Rollout, *more: str) -> str:
    """An address below its one member."""
    return url(row, "members", row.members.get().public_id, *more)


def post(client: Client, address: str, data: dict[str, Any] | None = None, status: int = 200) -> str:
    """What the page says that comes of a form."""
    response = client.post(address, data or {}, follow=True)
    assert response.status_code == status, response.content.decode()[:2000]
    return words(response.content.decode())


def test_the_first_step_offers_the_newest_version_of_each_plan(
    staff: Client, acme: Tenant, second: PlanVersion
) -> None:
    text = read(staff, "/price-changes/new")
    assert f"Plan v{second.number} USD 15 Jan 2026 UTC 1 Move to it" in text
    assert read(staff, "/price-changes").count("No price changes yet") == 1


def test_the_second_step_plans_a_draft_that_moves_and_tells_nobody(
    staff: Client, acme: Tenant, version: PlanVersion, second: PlanVersion
) -> None:
    address = f"/price-changes/new?version={second.public_id}"
    assert "Plan v1: 1 subscription" in read(staff, address)
    form = {"name": "Spring", "from_versions": [version.public_id], **SOON}
    text = post(staff, address, form | {"customers": acme.customer.external_id, "min_revenue": "0"})
    assert "Spring Draft" in text
    row = Rollout.objects.get()
    assert (row.version, row.status, row.created_by) == (second, "draft", "finance@operator.example")
    assert row.cohort == {
        "from_versions": [version.public_id],
        "customers": [acme.customer.public_id],
        "min_revenue": "0",
    }
    assert row.effective_at == datetime(2026, 2, 1, tzinfo=UTC)
    assert (RolloutMember.objects.count(), OutboxMessage.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"customers": "nobody"}, "There is no customer 'nobody'."),
        ({"timing": "immediately"}, "leave the date empty"),
        ({"timing": "someday"}, "not one of the available choices"),
        ({"notice_on": "2026-02-05"}, "Notice comes before the change."),
        ({"min_revenue": "much"}, "Enter a number."),
        ({"from_versions": ["pv_00000zzz"]}, "not one of the available choices"),
    ],
)
def test_a_form_that_makes_no_sense_is_shown_again_with_the_reason(
    staff: Client, acme: Tenant, second: PlanVersion, change: dict[str, Any], says: str
) -> None:
    address = f"/price-changes/new?version={second.public_id}"
    assert says in post(staff, address, SOON | change, 422)
    assert not Rollout.objects.exists()


def test_the_draft_says_whom_it_would_move_and_what_begins_to_cost(staff: Client, draft: Rollout) -> None:
    text = read(staff, url(draft))
    assert "Subscriptions 1" in text
    assert "The first moves 1 Mar 2026 UTC" in text
    assert "tokens less is included than before 100" in text
    assert "Less than 30 days" not in text


def test_a_cohort_of_nobody_cannot_go_on(staff: Client, acme: Tenant, second: PlanVersion) -> None:
    other = make_tenant(second)
    form = SOON | {"customers": other.customer.external_id}
    text = post(staff, f"/price-changes/new?version={second.public_id}", form)
    assert "Nobody is in this cohort." in text
    assert "Go on to the announcement" not in text


def test_the_announcement_takes_a_typed_word(staff: Client, draft: Rollout) -> None:
    assert "Type announce to confirm" in post(staff, url(draft, "announce"))
    assert "Nothing has been done." in post(staff, url(draft, "announce"), {"confirm_word": "go"}, 422)
    assert not OutboxMessage.objects.exists()
    text = post(staff, url(draft, "announce"), {"confirm_word": "announce"})
    assert "0 of 1 moved" in text
    draft.refresh_from_db()
    assert (draft.status, draft.announced_by) == ("announced", "finance@operator.example")
    assert OutboxMessage.objects.get().kind == "rollout.notice"


def test_short_notice_takes_a_reason_too(staff: Client, acme: Tenant, second: PlanVersion) -> None:
    row = draft_rollout(second, timing="immediately")
    assert "Less than 30 days of notice." in read(staff, url(row, "announce"))
    word = {"confirm_word": "announce"}
    assert "This field is required." in post(staff, url(row, "announce"), word, 422)
    asked = post(staff, url(row, "announce"), {"reason": "Agreed"})
    assert "Announce to 1 subscription" in asked
    post(staff, url(row, "announce"), word | {"reason": "Agreed"})
    row.refresh_from_db()
    assert (row.status, row.reason) == ("announced", "Agreed")


def test_who_announces_what_is_announced_already_lands_on_its_page(staff: Client, announced: Rollout) -> None:
    assert "0 of 1 moved" in read_after(staff, url(announced, "announce"))


def read_after(client: Client, address: str) -> str:
    """What a page says after its redirect."""
    response: Any = client.get(address, follow=True)
    return words(response.content.decode())


def test_each_subscription_stands_in_a_list_that_is_filtered_and_downloaded(
    staff: Client, acme: Tenant, announced: Rollout
) -> None:
    text = read(staff, url(announced))
    assert "v1 to v2 Notified" in text
    assert "Ceiling kept" in text
    (row,) = rows(staff, f"{url(announced)}?export=csv")
    assert (row["customer_name"], row["state"], row["path"]) == (acme.customer.name, "notified", "v1 to v2")
    assert rows(staff, f"{url(announced)}?export=csv&state=moved") == []
    fragment = page(staff, f"{url(announced)}?state=moved", htmx="members-table")
    assert "Nothing matches" in fragment
    assert "<main" not in fragment


def test_who_stays_has_no_date_and_no_ceiling_to_keep(
    staff: Client, acme: Tenant, announced: Rollout
) -> None:
    post(staff, member_url(announced, "except"), {"reason": "Negotiated"})
    text = read(staff, url(announced))
    assert "v1 to v2 Excepted" in text
    assert "Negotiated" in text
    assert "Ceiling kept" not in text
    assert "1 needs nothing more" in text
    assert rows(staff, f"{url(announced)}?export=csv")[0]["effective_at"] == ""
    text = read(staff, member_url(announced))
    assert "Moves never, unless a later price change moves it" in text
    assert "Result Negotiated" in text


def test_who_is_held_out_until_a_date_still_moves(staff: Client, acme: Tenant, announced: Rollout) -> None:
    post(staff, member_url(announced, "hold-out"), {"until": "2026-05-01"})
    text = read(staff, url(announced))
    assert "0 need nothing more" in text
    assert "v1 to v2 Held out 30 Apr 2026, 20:00 EDT" in text, "on its payer's clock"
    post(staff, member_url(announced, "hold-out"))
    text = read(staff, url(announced))
    assert "1 needs nothing more" in text
    assert "EDT" not in text


def test_what_was_free_without_end_has_no_ceiling_to_keep(
    staff: Client, acme: Tenant, version: PlanVersion
) -> None:
    make_meter("calls", aggregation="count")
    per_call = {"key": "calls", "meter": "calls", "model": "per_unit", "unit_price": "0.01"}
    more = publish_version(apply_plan(version.content | {"components": [GRADUATED, per_call]}))
    effective_at = datetime(2026, 3, 1, tzinfo=UTC)
    row = announce_rollout(draft_rollout(more, timing="on_date", effective_at=effective_at))
    text = read(staff, url(row))
    assert "Not accepted" in text
    assert "Ceiling kept" not in text
    assert "none: there was no end" in text


def test_what_has_moved_says_when(staff: Client, acme: Tenant, announced: Rollout) -> None:
    text = read(staff, url(moved(announced)))
    assert "v1 to v2 Moved 28 Feb 2026, 19:00 EST" in text
    assert "moved 28 Feb 2026, 20:00 EST" in text
    assert "2026-03-01T00:00:00Z" not in text


def test_limits_that_were_chosen_stand_in_the_form_that_changes_them(
    staff: Client, acme: Tenant, announced: Rollout
) -> None:
    assert "Accept for the customer" in read(staff, member_url(announced))
    post(staff, member_url(announced, "accept"), {"limit-tokens": "500"})
    markup = page(staff, member_url(announced))
    assert 'name="limit-tokens" value="500"' in markup
    assert "Change its limits" in words(markup)


def test_progress_is_asked_for_again_while_something_may_happen(staff: Client, announced: Rollout) -> None:
    part = page(staff, url(announced, "progress"), htmx="progress")
    assert 'hx-trigger="every 3s"' in part
    assert "<main" not in part
    now_is(datetime(2026, 3, 1, 1, tzinfo=UTC))
    assert execute_rollouts(clock.now()) == 1
    part = page(staff, url(announced, "progress"), htmx="progress")
    assert "hx-trigger" not in part
    assert "1 of 1 moved" in words(part)


def test_it_is_paused_resumed_and_canceled(staff: Client, announced: Rollout) -> None:
    assert "Nobody moves until it is resumed." in read(staff, url(announced, "pause", "ask"))
    assert "Paused: nobody moves." in post(staff, url(announced, "pause"))
    now_is(datetime(2026, 3, 2, tzinfo=UTC))
    assert execute_rollouts(clock.now()) == 0
    assert "Resumed." in post(staff, url(announced, "resume"))
    assert "is announced" in post(staff, url(announced, "resume"))
    assert "Canceled." in post(staff, url(announced, "cancel"))
    announced.refresh_from_db()
    assert (announced.status, announced.members.get().state) == ("canceled", "canceled")
    assert "Pause" not in read(staff, url(announced))


def test_a_draft_is_given_up(staff: Client, draft: Rollout) -> None:
    post(staff, url(draft, "cancel"))
    draft.refresh_from_db()
    assert draft.status == "canceled"
    assert "it was given up as a draft" in read(staff, url(draft))


def moved(row: Rollout) -> Rollout:
    """The same price change, an hour after it moved its member."""
    now_is(datetime(2026, 3, 1, 1, tzinfo=UTC))
    execute_rollouts(clock.now())
    row.refresh_from_db()
    assert row.status == "done"
    return row


def test_it_is_rolled_back_with_a_reason(staff: Client, acme: Tenant, announced: Rollout) -> None:
    moved(announced)
    assert "returns at once" in read(staff, url(announced, "roll-back", "ask"))
    assert "This field is required." in post(staff, url(announced, "roll-back"), {}, 422)
    text = post(staff, url(announced, "roll-back"), {"reason": "Too dear"})
    assert "Spring, back Announced" in text
    back = Rollout.objects.get(rollback_of=announced)
    assert back.reason == "Too dear"
    execute_rollouts(clock.now())
    assert acme.subscription is not None
    acme.subscription.refresh_from_db()
    assert acme.subscription.version.number == 1
    assert "Rolled back." in read(staff, url(announced))
    assert "back from Spring" in read(staff, url(back))


def test_a_subscription_is_held_out_until_a_day_or_for_ever(staff: Client, announced: Rollout) -> None:
    assert "stays where it is until 2026-05-01" in post(
        staff, member_url(announced, "hold-out"), {"until": "2026-05-01"}
    )
    member = announced.members.get()
    assert (member.state, member.held_until) == ("held_out", datetime(2026, 5, 1, tzinfo=UTC))
    assert "hold out beyond it" in post(staff, member_url(announced, "hold-out"), {"until": "2026-02-01"})
    assert "stays where it is for ever" in post(staff, member_url(announced, "hold-out"))
    assert "never, unless a later price change moves it" in read(staff, member_url(announced))


def test_a_subscription_is_taken_out_with_a_reason(staff: Client, announced: Rollout) -> None:
    assert "This field is required." in post(staff, member_url(announced, "except"))
    assert "is taken out" in post(staff, member_url(announced, "except"), {"reason": "Negotiated"})
    member = announced.members.get()
    assert (member.state, member.result) == ("excepted", "Negotiated")
    assert "Take out for good" not in read(staff, member_url(announced))


def test_staff_accept_for_a_customer_with_a_limit(staff: Client, announced: Rollout) -> None:
    assert "Until now 100." in read(staff, member_url(announced))
    assert "Limit-tokens" in post(staff, member_url(announced, "accept"), {"limit-tokens": "-1"})
    assert "Accepted for" in post(staff, member_url(announced, "accept"), {"limit-tokens": "500"})
    member = announced.members.get()
    assert (member.state, member.limits) == ("acknowledged", {"tokens": "500"})
    moved(announced)
    assert UsageCeiling.objects.get().limit == Decimal(500)


def test_make_whole_shows_both_prices_and_credits_the_difference_once(
    staff: Client, acme: Tenant, announced: Rollout
) -> None:
    post(staff, member_url(announced, "accept"))
    moved(announced)
    charge(acme, "after", Mode.REPORT, properties={"tokens": 300})
    # Old price: 100 are free, 200 at 0.01; new price: 300 at 0.02.
    text = read(staff, url(announced, "make-whole"))
    assert f"{acme.payer.name} USD 2.00 USD 6.00 USD 4.00" in text
    before = balance(acme)
    assert "Type credit to confirm" in post(staff, url(announced, "make-whole"))
    text = post(staff, url(announced, "make-whole"), {"confirm_word": "credit"})
    assert "1 customers were credited." in text
    post(staff, url(announced, "make-whole"), {"confirm_word": "credit"})
    assert (balance(acme) - before, MakeWholeCredit.objects.count()) == (Decimal(4), 1)


def pages(row: Rollout) -> list[str]:
    """Every page about an announced price change."""
    return ["/price-changes", url(row), url(row, "progress"), url(row, "make-whole"), member_url(row)]


@pytest.mark.parametrize("group", ["admin", "finance", "ops", "read_only"])
def test_every_group_of_staff_may_look(sign_in: Sign, announced: Rollout, group: str) -> None:
    reader = sign_in(group)
    for address in pages(announced):
        page(reader, address)


@pytest.mark.parametrize("group", ["ops", "read_only"])
def test_who_may_not_change_prices_changes_nothing(sign_in: Sign, announced: Rollout, group: str) -> None:
    person = sign_in(group)
    assert "Plan a price change" not in read(person, "/price-changes")
    assert "Pause" not in read(person, url(announced))
    for address in ("/price-changes/new", url(announced, "pause", "ask")):
        page(person, address, 403)
    for address in (
        *(url(announced, verb) for verb in ("pause", "cancel", "roll-back", "announce", "make-whole")),
        *(member_url(announced, verb) for verb in ("hold-out", "except", "accept")),
    ):
        assert person.post(address, {"confirm_word": "credit"}).status_code == 403, address
    announced.refresh_from_db()
    assert (announced.status, announced.members.get().state) == ("announced", "notified")


@pytest.mark.parametrize("role", ["owner", "member"])
def test_a_member_finds_none_of_these_pages(acme: Tenant, announced: Rollout, role: str) -> None:
    user = create_user(email="mo@acme.example")
    add_member(user, acme.customer, role)
    member = signed(user)
    for address in (*pages(announced), "/price-changes/new", url(announced, "announce")):
        page(member, address, 404)
    assert member.post(url(announced, "pause")).status_code == 404


def test_what_is_not_there_is_not_found(staff: Client, announced: Rollout, second: PlanVersion) -> None:
    for address in (
        "/price-changes/ro_00000zzz",
        "/price-changes/new?version=pv_x",
        url(announced, "members", "rom_00000zzz"),
        url(announced, "explode", "ask"),
    ):
        page(staff, address, 404)
    other = draft_rollout(second, timing="on_date", effective_at=NOW + timedelta(days=90))
    page(staff, url(other, "members", announced.members.get().public_id), 404)
    assert staff.post(member_url(announced, "explode")).status_code == 404
    assert staff.get(url(announced, "pause")).status_code == 405
