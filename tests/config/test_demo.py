"""The demo's data: loaded once, into an empty database, and begun again when it was broken off."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.core.management import CommandError
from django.db import connection

from accounts.models import Customer
from config.embedded.installation import POSTGRES
from config.supervisor import demo
from core import clock

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that were run, which here do nothing; the demo's files are the test's own."""
    commands: list[list[str]] = []
    monkeypatch.setattr(demo, "FACTS", tmp_path / "demo.json")
    monkeypatch.setattr(demo, "UNFINISHED", tmp_path / "demo.unfinished")
    monkeypatch.setattr(demo, "run", commands.append)
    monkeypatch.setattr(demo, "get_commands", lambda: {"load_demo": "config"})
    monkeypatch.setattr(connection, "close", lambda: None)
    return commands


def test_an_empty_database_is_filled(ran: list[list[str]]) -> None:
    said: list[str] = []
    demo.load_demo(said.append)
    assert ran == [["load_demo"]]
    assert not demo.UNFINISHED.exists()
    assert said[-1].startswith("Demo data: loaded")


def test_a_database_that_holds_something_is_left_alone(ran: list[list[str]]) -> None:
    Customer.objects.create(name="Acme", created_at=clock.now())
    demo.load_demo(lambda line: None)
    assert ran == []


def test_a_load_that_was_broken_off_is_begun_again_from_nothing(
    ran: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    emptied: list[bool] = []
    monkeypatch.setattr(demo, "DATABASE_URL", "")
    monkeypatch.setattr(POSTGRES, "recreate_database", lambda: emptied.append(True))
    monkeypatch.setattr(demo, "migrate", lambda say: None)
    demo.UNFINISHED.touch()
    demo.load_demo(lambda line: None)
    assert emptied == [True]
    assert ran == [["load_demo"]]


def test_a_database_of_ones_own_is_never_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "DATABASE_URL", "postgres://db/tollgate")
    demo.UNFINISHED.touch()
    with pytest.raises(CommandError, match="DATABASE_URL"):
        demo.load_demo(lambda line: None)


def test_a_load_that_fails_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(arguments: list[str]) -> None:
        raise CommandError("manage.py load_demo failed (exit code 1).")

    monkeypatch.setattr(demo, "run", fail)
    with pytest.raises(CommandError):
        demo.load_demo(lambda line: None)
    assert demo.UNFINISHED.exists()


def test_what_the_loader_wrote_down_is_told_with_the_present_address() -> None:
    written = {"staff": {"email": "ada@example.com", "password": "pass"}, "curl": "curl {url}/v1/charges"}
    demo.FACTS.write_text(json.dumps(written))
    assert demo.facts("http://127.0.0.1:9") == {
        "Staff": "ada@example.com / pass",
        "Curl": "curl http://127.0.0.1:9/v1/charges",
    }


@pytest.mark.parametrize("text", ["", "{"])
def test_without_a_readable_note_nothing_is_told(text: str) -> None:
    demo.FACTS.write_text(text)
    assert demo.facts("http://127.0.0.1:9") == {}


@pytest.mark.parametrize(("value", "is_wanted"), [("1", True), ("0", False), ("", False)])
def test_the_environment_says_whether_it_is_a_demo(
    monkeypatch: pytest.MonkeyPatch, value: str, is_wanted: bool
) -> None:
    monkeypatch.setenv("TOLLGATE_DEMO", value)
    assert demo.is_wanted() is is_wanted
