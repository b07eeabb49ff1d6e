"""The demo's page: only in a demo, only for staff, and it says when the API is away."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client, override_settings

from accounts.users import add_member, create_user
from billing.demo.notes import write_notes
from tests.billing.pages.conftest import Sign, signed
from tests.billing.world import Tenant

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _demo(tmp_path: Path) -> object:
    with override_settings(TOLLGATE_DEMO=True, DEMO_NOTES_DIR=tmp_path, DEMO_API_URL="http://127.0.0.1:9"):
        yield tmp_path


def test_outside_a_demo_there_is_no_such_page(staff: Client) -> None:
    write_notes([], "tg_secret")
    with override_settings(TOLLGATE_DEMO=False):
        assert staff.get("/demo").status_code == 404
        assert staff.post("/demo/podcast").status_code == 404


def test_a_demo_that_is_not_loaded_says_what_to_do(staff: Client) -> None:
    answer = staff.get("/demo")
    assert "manage.py load_demo" in answer.content.decode()
    assert staff.post("/demo/podcast").status_code == 404


def test_members_find_no_such_page(acme: Tenant) -> None:
    user = create_user(email="mo@acme.example")
    add_member(user, acme.customer, "owner")
    assert signed(user).get("/demo").status_code == 404
    assert signed(user).post("/demo/podcast").status_code == 404


def test_who_may_not_move_money_presses_no_button(sign_in: Sign) -> None:
    write_notes([], "tg_secret")
    client = sign_in("read_only")
    assert client.get("/demo").status_code == 200
    assert client.post("/demo/podcast").status_code == 403


def test_an_unknown_button_is_not_found_and_a_link_presses_none(staff: Client) -> None:
    write_notes([], "tg_secret")
    assert staff.post("/demo/nonsense").status_code == 404
    assert staff.get("/demo/podcast").status_code == 405


def test_a_server_that_does_not_answer_is_a_sentence_and_no_error(staff: Client) -> None:
    write_notes([], "tg_secret")
    fragment = staff.post("/demo/podcast", headers={"HX-Request": "true"})
    assert fragment.status_code == 200
    assert "The API does not answer." in fragment.content.decode()
    assert "<html" not in fragment.content.decode()
