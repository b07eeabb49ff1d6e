"""Django's Redis cache, failing open: a dead Redis is a cache miss, never an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)


class FailOpenRedisCache(RedisCache):
    """Answers as an empty cache would while Redis is away."""

    def add(self, *args: Any, **kwargs: Any) -> Any:
        """Whether the key was new; True while Redis is away, so that nothing waits for a lock."""
        return _or(True, super().add, *args, **kwargs)

    def get(self, key: Any, default: Any = None, version: Any = None) -> Any:
        """The value, or `default`."""
        return _or(default, super().get, key, default, version)

    def set(self, *args: Any, **kwargs: Any) -> Any:
        """Keep a value."""
        return _or(None, super().set, *args, **kwargs)

    def touch(self, *args: Any, **kwargs: Any) -> Any:
        """Prolong a key's life; False while Redis is away."""
        return _or(False, super().touch, *args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        """Drop a key; False while Redis is away."""
        return _or(False, super().delete, *args, **kwargs)

    def get_many(self, *args: Any, **kwargs: Any) -> Any:
        """What is there of many keys."""
        return _or({}, super().get_many, *args, **kwargs)

    def has_key(self, *args: Any, **kwargs: Any) -> Any:
        """Whether a key is there."""
        return _or(False, super().has_key, *args, **kwargs)

    def incr(self, *args: Any, **kwargs: Any) -> Any:
        """Count up; ValueError for a missing key, and for every key while Redis is away."""
        try:
            return super().incr(*args, **kwargs)
        except RedisError as error:
            raise ValueError("Redis is away") from error

    def set_many(self, *args: Any, **kwargs: Any) -> Any:
        """Keep many values; the keys that failed."""
        return _or([], super().set_many, *args, **kwargs)

    def delete_many(self, *args: Any, **kwargs: Any) -> Any:
        """Drop many keys."""
        return _or(None, super().delete_many, *args, **kwargs)

    def clear(self) -> Any:
        """Drop everything; False while Redis is away."""
        return _or(False, super().clear)


def _or(fallback: Any, operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    try:
        return operation(*args, **kwargs)
    except RedisError as error:
        log.warning("cache_unavailable", error=type(error).__name__)
        return fallback
