"""What the loader leaves behind, and the line that charges a call."""

from __future__ import annotations

import json
import shlex
import stat
from pathlib import Path

from billing.demo.notes import curl_line, read_secret, write_notes
from billing.demo.people import Login


def test_without_a_load_there_is_no_secret() -> None:
    assert read_secret() is None


def test_logins_and_the_line_are_written_for_people_and_the_secret_for_the_traffic(
    notes_folder: Path,
) -> None:
    write_notes([Login("staff", "ada@nimbus.example", "pass")], "tg_secret")
    written = json.loads((notes_folder / "demo.json").read_text())
    assert written["staff"] == {"email": "ada@nimbus.example", "password": "pass"}
    assert "{url}/v1/charges" in written["curl"]
    assert read_secret() == "tg_secret"


def test_only_their_owner_may_read_them(notes_folder: Path) -> None:
    write_notes([], "tg_secret")
    for name in ("demo.json", "demo.key"):
        assert stat.S_IMODE((notes_folder / name).stat().st_mode) == 0o600


def test_the_line_is_one_command_with_a_new_key_each_time() -> None:
    line = curl_line("tg_secret").replace("$(date +%s%N)", "123")
    words = shlex.split(line)
    assert words[0] == "curl"
    assert "\n" not in line
    body = json.loads(words[words.index("-d") + 1])
    assert body["idempotency_key"] == "try-123"
    assert body["workspace"] == "fathom-production"
    assert "Authorization: Bearer tg_secret" in words
