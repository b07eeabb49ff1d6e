"""Django's Redis cache, failing open: a dead Redis is a cache miss, never an error and never a wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import structlog
from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

_PAUSE_SECONDS = 1.0
"""How long a failed Redis is left alone, so that its time-outs do not add up on a busy path."""


class FailOpenRedisCache(RedisCache):
    """Answers as an empty cache would while Redis is away."""

    _away_until = 0.0

    def is_reachable(self) -> bool:
        """Whether Redis answers now."""
        try:
            return bool(self._cache.get_client(None, write=False).ping())
        except RedisError:
            return False

    def add(self, *args: Any, **kwargs: Any) -> Any:
        """Whether the key was new; True while Redis is away, so that nobody waits for its holder."""
        return self._or(True, super().add, *args, **kwargs)

    def get(self, key: Any, default: Any = None, version: Any = None) -> Any:
        """The value, or `default`."""
        return self._or(default, super().get, key, default, version)

    def set(self, *args: Any, **kwargs: Any) -> Any:
        """Keep a value."""
        return self._or(None, super().set, *args, **kwargs)

    def touch(self, *args: Any, **kwargs: Any) -> Any:
        """Prolong a key's life; False while Redis is away."""
        return self._or(False, super().touch, *args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        """Drop a key; False while Redis is away."""
        return self._or(False, super().delete, *args, **kwargs)

    def get_many(self, *args: Any, **kwargs: Any) -> Any:
        """What is there of many keys."""
        return self._or({}, super().get_many, *args, **kwargs)

    def has_key(self, *args: Any, **kwargs: Any) -> Any:
        """Whether a key is there."""
        return self._or(False, super().has_key, *args, **kwargs)

    def incr(self, key: Any, delta: int = 1, version: Any = None) -> Any:
        """Count up; `delta`, as if counting began now, while Redis is away. ValueError for a missing key."""
        return self._or(delta, super().incr, key, delta, version)

    def set_many(self, *args: Any, **kwargs: Any) -> Any:
        """Keep many values; the keys that failed."""
        return self._or([], super().set_many, *args, **kwargs)

    def delete_many(self, *args: Any, **kwargs: Any) -> Any:
        """Drop many keys."""
        return self._or(None, super().delete_many, *args, **kwargs)

    def clear(self) -> Any:
        """Drop everything; False while Redis is away."""
        return self._or(False, super().clear)

    def _or(self, fallback: Any, operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if time.monotonic() < self._away_until:
            return fallback
        try:
            return operation(*args, **kwargs)
        except RedisError as error:
            self._away_until = time.monotonic() + _PAUSE_SECONDS
            log.warning("cache_unavailable", error=type(error).__name__)
            return fallback
