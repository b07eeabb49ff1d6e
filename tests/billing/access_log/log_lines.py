"""Lines as the documented log format writes them: every value a text, an empty one where there is none."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

from tests.billing.world import Tenant

AT = "2026-01-15T12:00:00+00:00"
_numbers = count(1)


def line(**fields: Any) -> dict[str, str]:
    """A call of a gateway that asks; it passed without an answer unless `tollgate` is given."""
    number = next(_numbers)
    plain = {
        "time": AT,
        "request_id": f"request-{number}",
        "status": "200",
        "event": "completion",
        "quantity": "",
        "user": "",
        "bytes": "512",
        "usage": "",
        "tollgate": "",
        "reason": "",
        "authorization": "",
        "caller": "",
    }
    return plain | {name: str(value) for name, value in fields.items()}


def own(tenant: Tenant, **fields: Any) -> dict[str, str]:
    """A line of an operator who names the workspace, and whose gateway asks nobody."""
    bare = line(workspace=tenant.workspace.external_id, **fields)
    return {name: value for name, value in bare.items() if name not in ("tollgate", "reason", "caller")}


def text(*lines: dict[str, str]) -> bytes:
    """The lines as they stand in a file."""
    return b"".join(json.dumps(one).encode() + b"\n" for one in lines)


def append(path: Path, *lines: dict[str, str]) -> None:
    """Let the gateway log these."""
    with path.open("ab") as log:
        log.write(text(*lines))
