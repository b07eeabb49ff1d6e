"""Alive and ready, for load balancers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.test import Client

from config.embedded import Redis
from core import clock
from core.api import health
from core.models import Heartbeat


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has just started."""
    monkeypatch.setattr(health, "_is_migrated", False)


def test_it_is_alive_without_asking_the_database() -> None:
    answer = Client().get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_it_is_ready_when_the_database_has_all_migrations(redis_server: Redis) -> None:
    answer = Client().get("/readyz")
    expected = {"status": "ok", "database": "ok", "redis": "ok", "beat": "never", "workers": "never"}
    assert (answer.status_code, answer.json()) == (200, expected)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("beat", "worker", "expected"),
    [
        (5, 5, ("ok", "ok")),
        (61, 5, ("silent", "ok")),
        (5, 61, ("ok", "silent")),
        (90000, None, ("silent", "never")),
    ],
)
def test_it_is_ready_and_says_who_is_silent(
    monkeypatch: pytest.MonkeyPatch, beat: int, worker: int | None, expected: tuple[str, str]
) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    monkeypatch.setattr(clock, "system_now", lambda: now)
    for kind, age in (("beat", beat), ("worker", worker)):
        if age is not None:
            seen = now - timedelta(seconds=age)
            Heartbeat.objects.create(name=kind, kind=kind, started_at=seen, seen_at=seen)
    answer = Client().get("/readyz")
    assert answer.status_code == 200
    assert (answer.json()["beat"], answer.json()["workers"]) == expected


@pytest.mark.django_db
def test_it_is_ready_without_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "is_reachable", lambda: False)
    answer = Client().get("/readyz")
    assert (answer.status_code, answer.json()["redis"]) == (200, "away")


@pytest.mark.django_db
def test_it_is_not_ready_while_migrations_are_missing() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'core' AND name = '0001_initial'")
    answer = Client().get("/readyz")
    assert (answer.status_code, answer.json()["database"]) == (503, "migrations missing")


@pytest.mark.django_db
def test_it_is_not_ready_without_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "cursor", _refuse)
    monkeypatch.setattr(connection, "close", lambda: None)
    answer = Client().get("/readyz")
    assert (answer.status_code, answer.json()["database"]) == (503, "away")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_only_reading_is_allowed(path: str) -> None:
    assert Client().post(path).status_code == 405


def _refuse(*args: object) -> Callable[[], None]:
    raise DatabaseError("away")
