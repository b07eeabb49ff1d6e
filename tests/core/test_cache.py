"""A dead Redis is a cache miss, never an error and never a wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings

from config.embedded import Redis
from core.cache import FailOpenRedisCache

Private = Callable[[type[Redis]], Redis]


@pytest.fixture
def server(private: Private, redis_program: str) -> Redis:
    """A Redis of this test's own, down."""
    return private(Redis)


@pytest.fixture
def cache(server: Redis) -> FailOpenRedisCache:
    """The cache as the settings make it, on that server."""
    return FailOpenRedisCache(server.dsn, {"OPTIONS": settings.CACHES["default"]["OPTIONS"]})


def test_it_keeps_what_it_is_given(server: Redis, cache: FailOpenRedisCache) -> None:
    server.start()
    cache.set("a", {"b": 1})
    assert cache.get("a") == {"b": 1}
    assert cache.is_reachable()


@pytest.mark.parametrize(
    ("operation", "arguments", "answer"),
    [
        ("get", ("a", 5), 5),
        ("get", ("a",), None),
        ("get_many", (["a", "b"],), {}),
        ("has_key", ("a",), False),
        ("set", ("a", 1), None),
        ("set_many", ({"a": 1},), []),
        ("add", ("a", 1), True),
        ("touch", ("a",), False),
        ("delete", ("a",), False),
        ("delete_many", (["a"],), None),
        ("incr", ("a",), 1),
        ("incr", ("a", 3), 3),
        ("clear", (), False),
    ],
)
def test_without_redis_it_answers_as_an_empty_one(
    cache: FailOpenRedisCache, operation: str, arguments: tuple[Any, ...], answer: Any
) -> None:
    assert getattr(cache, operation)(*arguments) == answer


def test_without_redis_it_is_not_reachable(cache: FailOpenRedisCache) -> None:
    assert not cache.is_reachable()


def test_without_redis_a_thousand_questions_take_no_time(cache: FailOpenRedisCache) -> None:
    began = time.monotonic()
    for _ in range(1000):
        cache.get("a")
    assert time.monotonic() - began < 1


def test_when_redis_dies_and_comes_back_the_cache_does_too(server: Redis, cache: FailOpenRedisCache) -> None:
    server.start()
    cache.set("a", 1)
    server.kill9()
    assert cache.get("a") is None
    server.start()
    time.sleep(1.1)  # the pause after a failure
    cache.set("a", 2)
    assert cache.get("a") == 2
