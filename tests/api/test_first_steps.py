"""docs/first-steps.md, line by line, in an empty installation."""

from __future__ import annotations

import re
import shlex
from argparse import ArgumentParser
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from tests.architecture.sources import ROOT
from tests.lane_client import LaneClient

PAGE = (ROOT / "docs/first-steps.md").read_text()
FILES = {"yaml": "prices.yaml", "json": "customers.jsonl"}
ALIAS = "alias manage.py="


def lines(kind: str) -> list[str]:
    """The lines of the page's blocks of this kind, in order."""
    blocks = re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


class Shell:
    """Runs the page's lines, as a terminal in the project's folder would."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.client = LaneClient(raise_request_exception=False)

    def run(self, line: str) -> Any:
        """What the line prints, or the answer to its request."""
        for name, value in self.names.items():
            line = re.sub(rf"\${name}\b", value, line)
        if made := re.fullmatch(r"export (\w+)=(?:\$\((.*)\)|(\S+))", line):
            name, command, value = made.groups()
            self.names[name] = value if command is None else self.run(command).strip()
            return None
        program, *words = shlex.split(line)
        return {"manage.py": self.manage, "curl": self.curl}[program](words)

    def manage(self, words: list[str]) -> str:
        """A command; it must end well."""
        out = StringIO()
        call_command(*words, stdout=out, stderr=StringIO())
        return out.getvalue()

    def curl(self, words: list[str]) -> Any:
        """A request as curl makes it."""
        parser = ArgumentParser()
        parser.add_argument("-sS", action="store_true")
        parser.add_argument("-H", action="append")
        parser.add_argument("-d")
        parser.add_argument("url")
        given = parser.parse_args(words)
        headers = dict(header.split(": ", 1) for header in given.H)
        kind = headers.pop("Content-Type")
        path = given.url.removeprefix(self.names["TOLLGATE"])
        return self.client.post(path, given.d, content_type=kind, headers=headers)


@pytest.mark.django_db(transaction=True)
def test_every_line_of_the_page_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for kind, name in FILES.items():
        Path(name).write_text("\n".join(lines(kind)) + "\n")
    shell = Shell()
    charge, answers = "", []
    for line in [line for line in lines("sh") if not line.startswith(ALIAS)]:
        answer = shell.run(line)
        if line.startswith("curl"):
            assert answer.status_code == 201, answer.content
            answers.append(answer.json())
        if "/v1/charges" in line:
            charge = line
    assert [answer["amount"] for answer in answers if answer.get("status") == "charged"] == ["0.1"]
    assert answers[-1]["secret"].startswith("tk_")
    check_the_charge(shell, charge)


def check_the_charge(shell: Shell, line: str) -> None:
    """What the page says of that line again, and with other keys."""
    again = shell.run(line)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
    other = shell.run(line.replace('"api_call"', '"another_call"'))
    assert other.status_code == 409
    assert [shell.run(line.replace("call-1", f"call-{n}")).status_code for n in (2, 3, 4)] == [201, 201, 402]
    refused = shell.run(line.replace("call-1", "call-4")).json()
    assert refused["error"]["code"] == "insufficient_funds"


def test_the_pages_that_it_names_are_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", PAGE)
    assert len(links) >= 5
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
