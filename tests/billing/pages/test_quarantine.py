"""The quarantine pages: who may look, who may decide, what a decision does."""

from __future__ import annotations

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.users import add_member, create_user
from billing.charging import Mode
from billing.models import Charge
from core import clock
from metering.models import QuarantinedEvent
from tests.billing.pages.conftest import Sign, signed
from tests.billing.world import Tenant, charge

pytestmark = pytest.mark.django_db


@pytest.fixture
def waiting(acme: Tenant) -> QuarantinedEvent:
    """An event of a workspace that is not there yet."""
    charge(acme, "late-1", Mode.REPORT, workspace="w-nowhere", properties={"tokens": 200})
    return QuarantinedEvent.objects.get()


def url(row: QuarantinedEvent, *more: str) -> str:
    return "/".join(["/quarantine", row.public_id, *more])


def text(client: Client, address: str, status: int = 200) -> str:
    response = client.get(address)
    assert response.status_code == status
    return response.content.decode()


def test_members_find_no_such_page(acme: Tenant, waiting: QuarantinedEvent) -> None:
    user = create_user(email="mo@acme.example")
    add_member(user, acme.customer, "owner")
    client = signed(user)
    for address in ("/quarantine", url(waiting), url(waiting, "release", "ask")):
        text(client, address, 404)
    assert client.post(url(waiting, "release")).status_code == 404


def test_staff_see_what_waits_and_why(staff: Client, waiting: QuarantinedEvent) -> None:
    listed = text(staff, "/quarantine")
    assert "late-1" in listed
    assert "w-nowhere" in listed
    shown = text(staff, url(waiting))
    assert "There is no such workspace." in shown
    assert "&quot;tokens&quot;: 200" in shown


def test_it_is_filtered_by_status_and_reason(staff: Client, waiting: QuarantinedEvent) -> None:
    assert "late-1" in text(staff, "/quarantine?status=waiting&reason=unknown_workspace")
    assert "late-1" not in text(staff, "/quarantine?status=released")
    assert "late-1" not in text(staff, "/quarantine?reason=too_late")


def test_an_empty_quarantine_says_so(staff: Client) -> None:
    assert "Nothing is in quarantine" in text(staff, "/quarantine")


@pytest.mark.parametrize("group", ["admin", "finance", "ops"])
def test_a_release_is_asked_about_and_then_charges_once(
    sign_in: Sign, acme: Tenant, waiting: QuarantinedEvent, group: str
) -> None:
    client = sign_in(group)
    assert "charged under its own key" in text(client, url(waiting, "release", "ask"))
    acme.workspace.external_id = "w-nowhere"
    acme.workspace.save()
    answer = client.post(url(waiting, "release"), follow=True)
    assert "Released" in answer.content.decode()
    client.post(url(waiting, "release"))
    assert Charge.objects.count() == 1
    waiting.refresh_from_db()
    assert (waiting.status, waiting.resolved_by) == ("released", f"{group}@operator.example")


def test_what_cannot_be_taken_still_waits_on_and_says_why(staff: Client, waiting: QuarantinedEvent) -> None:
    answer = staff.post(url(waiting, "release"), follow=True)
    assert "It waits on: There is no such workspace." in answer.content.decode()
    waiting.refresh_from_db()
    assert waiting.status == "waiting"


def test_a_write_off_is_final(staff: Client, waiting: QuarantinedEvent) -> None:
    assert "never be charged" in text(staff, url(waiting, "write-off", "ask"))
    staff.post(url(waiting, "write-off"))
    answer = staff.post(url(waiting, "write-off"), follow=True)
    assert "does not wait any more" in answer.content.decode()
    waiting.refresh_from_db()
    assert (waiting.status, waiting.resolved_at) == ("written_off", clock.now())


def test_who_may_only_look_decides_nothing(sign_in: Sign, waiting: QuarantinedEvent) -> None:
    client = sign_in("read_only")
    assert "Write off" not in text(client, url(waiting))
    assert client.get(url(waiting, "release", "ask")).status_code == 403
    assert client.post(url(waiting, "release")).status_code == 403
    waiting.refresh_from_db()
    assert waiting.status == "waiting"


@pytest.mark.parametrize("path", ["qe_00000zzz", "qe_x", "nonsense", "qe_00000zzz/release/ask"])
def test_what_is_not_there_is_not_found(staff: Client, path: str) -> None:
    assert staff.get(f"/quarantine/{path}").status_code == 404


def test_no_other_action_is_known(staff: Client, waiting: QuarantinedEvent) -> None:
    assert staff.get(url(waiting, "destroy", "ask")).status_code == 404
    assert staff.post(url(waiting, "destroy")).status_code == 404
    assert staff.get(url(waiting, "release")).status_code == 405


def test_the_list_costs_the_same_however_long_it_is(
    staff: Client, acme: Tenant, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(8):
        charge(acme, f"k{number}", Mode.REPORT, workspace="w-nowhere")
    with django_assert_max_num_queries(6):
        text(staff, "/quarantine")
