"""What the loader leaves: `var/demo.json` for people (`manage.py up` prints it), a key for the traffic."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from billing.demo.people import Login

CALLED_WORKSPACE = "fathom-production"
"""The workspace that the curl line calls."""


@dataclass(frozen=True, slots=True)
class Notes:
    """Where the notes lie: `facts` for people, `key` with the secret of the demo's integration key."""

    facts: Path
    key: Path


def notes() -> Notes:
    """The files of this installation."""
    folder = Path(settings.DEMO_NOTES_DIR)
    return Notes(folder / "demo.json", folder / "demo.key")


def write_notes(logins: Sequence[Login], secret: str) -> None:
    """Write both; only the owner of the files may read them."""
    where = notes()
    written: dict[str, Any] = {
        login.title: {"email": login.email, "password": login.password} for login in logins
    }
    written["curl"] = curl_line(secret)
    _write(where.facts, json.dumps(written, indent=2) + "\n")
    _write(where.key, secret + "\n")


def read_secret() -> str | None:
    """The secret of the demo's integration key; None when the demo was never loaded here."""
    try:
        return notes().key.read_text().strip() or None
    except OSError:
        return None


def curl_line(secret: str) -> str:
    """A line that charges a call, with a new key each time; `{url}` stands for the server's address."""
    properties = '{"provider": "openai", "model": "gpt-4o", "input_tokens": 1200, "output_tokens": 350}'
    event = (
        """'{"idempotency_key": "try-'$(date +%s%N)'", "event": "completion", """
        f'''"workspace": "{CALLED_WORKSPACE}", "properties": {properties}}}' '''
    )
    headers = f"-H 'Authorization: Bearer {secret}' -H 'Content-Type: application/json'"
    return f"curl -i {{url}}/v1/charges {headers} -d {event}".rstrip()


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
