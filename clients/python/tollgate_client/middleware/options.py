"""The options that both middlewares take, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Required, TypedDict

from tollgate_client.events import CallerFields
from tollgate_client.middleware.exchange import Request, Response
from tollgate_client.middleware.rules import Fail, Properties
from tollgate_client.operations import Seconds


class Options(TypedDict, total=False):
    """See `Rules`."""

    event: Required[str]
    payer: Required[Callable[[Request], CallerFields | None]]
    quantity: Callable[[Response], Properties | None]
    expected: Callable[[Request], Properties]
    fail: Fail
    expires_in: Seconds | None
    keep: int
