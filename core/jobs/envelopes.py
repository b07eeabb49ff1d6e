"""What lies in Redis is read here: something that is no message at all must not end the worker.

kombu reads the envelope of each message in its event loop and has no place for one that it cannot read: the
worker would end, for every worker that comes upon it. Here such a thing becomes the body of a message
that no task can read, which is then parked like any other.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any, Final
from uuid import uuid4

from kombu.transport import redis

NO_MESSAGE: Final = "application/x-no-message"
_read: Final[Callable[[Any], Any]] = redis.loads  # type: ignore[attr-defined]


def install() -> None:
    """Read envelopes so in this process."""
    redis.loads = read_envelope  # type: ignore[attr-defined]


def read_envelope(text: Any) -> Any:
    """The envelope that `text` is, or one around it."""
    try:
        found = _read(text)
    except (ValueError, TypeError, RecursionError):
        return _around(text)
    # Lists are kombu's own notes of messages that a worker has taken.
    return found if isinstance(found, list) or _is_envelope(found) else _around(text)


def _is_envelope(found: Any) -> bool:
    if not isinstance(found, dict) or not isinstance(found.get("body"), str):
        return False
    properties = found.get("properties")
    if not isinstance(properties, dict) or not isinstance(properties.get("delivery_tag"), str):
        return False
    info = properties.get("delivery_info")
    if not isinstance(info, dict) or not {"exchange", "routing_key"} <= info.keys():
        return False
    if not isinstance(found.get("headers", {}), dict):
        return False
    try:
        return properties.get("body_encoding") != "base64" or b64decode(found["body"]) is not None
    except ValueError:
        return False


def _around(text: Any) -> dict[str, Any]:
    raw = text if isinstance(text, bytes) else str(text).encode(errors="replace")
    mark = str(uuid4())
    return {
        "body": b64encode(raw).decode(),
        "content-type": NO_MESSAGE,
        "content-encoding": "binary",
        "headers": {},
        "properties": {
            "body_encoding": "base64",
            "delivery_info": {"exchange": "", "routing_key": "celery"},
            "delivery_tag": mark,
            "correlation_id": mark,
        },
    }
