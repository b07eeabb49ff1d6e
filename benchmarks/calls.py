"""The calls that are sent: one kind of event, over the workspaces of the world, each with a new key."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, cycle, islice
from typing import Final
from uuid import uuid4

from benchmarks.installation import Installation
from benchmarks.load import post, send_load

CONNECTIONS: Final = 32
MEETINGS: Final = 10


@dataclass(frozen=True)
class Callers:
    """An integration key, and the workspaces that it may charge."""

    secret: str
    workspaces: list[str]

    def charges(self, made: int, *, event_of: Callable[[str], bytes] | None = None) -> Iterator[bytes]:
        """Requests to charge one event each, workspaces in turn; `made` of them beforehand."""
        made_of = event_of or event
        requests = (
            post("/v1/charges", self.secret, made_of(workspace)) for workspace in cycle(self.workspaces)
        )
        return chain(list(islice(requests, made)), requests)


def fill(installation: Installation, payers: int) -> Callers:
    """Fill an empty installation with payers, start its web server, and let every process meet every payer
    a few times: what is measured is a system that runs, not one that starts."""
    made = json.loads(installation.run_module("benchmarks.world", str(payers)))
    installation.start_web()
    callers = Callers(made["secret"], random.sample(made["workspaces"], payers))
    first = post("/v1/events", callers.secret, batch([event(workspace) for workspace in callers.workspaces]))
    send_load(installation.port, iter([first]), connections=1).require(200)
    calls = islice(callers.charges(0), MEETINGS * payers)
    send_load(installation.port, calls, connections=CONNECTIONS).require(201)
    return callers


def event(workspace: str, tokens: int | None = None, *, name: str = "completion", costs: str = "") -> bytes:
    """An event of `workspace` as JSON, with a key that was never used; of 1 to 500 tokens. `costs`: the
    member that says what it cost, with a comma after it."""
    tokens = tokens or random.randint(1, 500)
    return (
        f'{{"idempotency_key":"{uuid4()}","event":"{name}","workspace":"{workspace}",{costs}'
        f'"properties":{{"tokens":{tokens},"model":"gpt-4o","region":"eu"}}}}'
    ).encode()


def batch(events: Sequence[bytes]) -> bytes:
    """A body of `POST /v1/events`."""
    return b'{"events":[' + b",".join(events) + b"]}"
