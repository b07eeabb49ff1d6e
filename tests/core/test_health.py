"""Alive and ready, for load balancers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.test import Client

from config.embedded import Redis
from core.api import health


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
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "database": "ok", "redis": "ok"})


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
