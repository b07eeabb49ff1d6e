"""`manage.py up` as somebody at a terminal meets it: real processes, real signals, a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.request import urlopen

import pytest

from config.embedded import Postgres, Redis
from config.embedded.sockets import socket_folder
from config.environment import BASE_DIR
from config.supervisor.groups import end_groups, members

MANAGE = [sys.executable, str(BASE_DIR / "manage.py")]


class Terminal:
    """Commands run in a folder of data with a space in its name."""

    def __init__(self, folder: Path) -> None:
        self.var = folder / "the data"
        self.port = _free_port()
        self._started: list[subprocess.Popen[str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self, **extra: str) -> dict[str, str]:
        kept = {
            name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")
        }
        return {**kept, "TOLLGATE_VAR": str(self.var), "PORT": str(self.port), "WEB_WORKERS": "1", **extra}

    def run(self, *words: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        environment = self.environment(**extra)
        command = [*MANAGE, *words]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=90, check=False
        )

    def up(self) -> subprocess.Popen[str]:
        """Start `up` and return when the web server answers."""
        output = self.var.parent / f"up-{len(self._started)}.txt"
        with output.open("w") as file:
            process = subprocess.Popen(
                [*MANAGE, "up"],
                env=self.environment(),
                stdout=file,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self._started.append(process)
        _wait(lambda: "Ctrl-C stops" in output.read_text() or process.poll() is not None)
        assert process.poll() is None, output.read_text()
        return process

    def end(self, number: signal.Signals) -> str:
        """Send a signal to the last `up`; what it said in its life."""
        process = self._started[-1]
        process.send_signal(number)
        assert process.wait(timeout=60) == 0
        return (self.var.parent / f"up-{len(self._started) - 1}.txt").read_text()

    def answers(self) -> bool:
        """Whether the web server takes requests and finds its database ready."""
        try:
            with urlopen(f"{self.url}/readyz", timeout=5) as response:
                return bool(json.load(response)["database"] == "ok")
        except OSError:
            return False

    def groups(self) -> list[int]:
        """The process groups of the children that are running."""
        try:
            return [group for group, _ in json.loads((self.var / "up.json").read_text())]
        except OSError:
            return []

    def close(self) -> None:
        """Leave nothing behind, whatever the test did."""
        groups = self.groups()
        for process in self._started:
            process.kill()
            process.wait()
        end_groups(groups, 5)
        Postgres(self.var).stop()
        Redis(self.var).stop()
        shutil.rmtree(socket_folder(self.var), ignore_errors=True)


@pytest.fixture
def terminal(tmp_path: Path, redis_program: str) -> Iterator[Terminal]:
    """A terminal in an empty folder."""
    made = Terminal(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def used_folder(tmp_path_factory: pytest.TempPathFactory, redis_program: str) -> Path:
    """The data that a first run from nothing leaves when it is stopped: migrated, nothing running."""
    first = Terminal(tmp_path_factory.mktemp("first"))
    try:
        first.up()
        first.end(signal.SIGINT)
    finally:
        first.close()
    return first.var


@pytest.fixture
def used(terminal: Terminal, used_folder: Path) -> Terminal:
    """A terminal in a folder in which Tollgate has run before, as any but the first run finds it."""
    subprocess.run(["cp", "-a", used_folder, terminal.var], check=True)  # with its owner, who is not root
    return terminal


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_every_process(used: Terminal, number: signal.Signals) -> None:
    used.up()
    groups = used.groups()
    assert len(groups) == 3
    said = used.end(number)
    assert not [group for group in groups if members(group)]
    assert Postgres(used.var).pid is None
    assert Redis(used.var).pid is None
    assert f"Tollgate runs at {used.url}" in said


def test_what_a_killed_one_left_running_is_ended_by_the_next(used: Terminal) -> None:
    used.up().kill()
    left = used.groups()
    assert all(members(group) for group in left)
    used.up()
    assert not [group for group in left if members(group)]
    said = used.end(signal.SIGINT)
    assert "Stopped 3 processes that an earlier run had left behind" in said


def test_a_killed_web_server_and_a_killed_database_come_back(used: Terminal) -> None:
    used.up()
    os.killpg(used.groups()[0], signal.SIGKILL)
    Postgres(used.var).kill9()
    _wait(lambda: not used.answers())
    _wait(used.answers)
    said = used.end(signal.SIGINT)
    assert "web ended (signal SIGKILL)" in said
    assert "web started again" in said


def test_two_cannot_run_in_one_folder(used: Terminal) -> None:
    used.up()
    second = used.run("up")
    assert second.returncode == 1
    assert second.stderr.strip() == "CommandError: Tollgate runs in this folder already; stop that one first."
    assert used.answers()


def test_a_port_in_use_is_said_in_one_sentence(terminal: Terminal) -> None:
    with closing(socket.create_server(("127.0.0.1", terminal.port))):
        refused = terminal.run("up")
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert f"Port {terminal.port} on 127.0.0.1 is in use" in refused.stderr
    assert Postgres(terminal.var).pid is None


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("PORT", "eighty", "PORT is 'eighty'"),
        ("PORT", "65536", "PORT is '65536'"),
        ("HOST", "host.invalid", "Cannot listen on host.invalid"),
        ("DATABASE_URL", "sqlite:///x.db", "DATABASE_URL has to name a PostgreSQL"),
        ("DATABASE_URL", "postgres://someone:secret@127.0.0.1:1/x", "The database does not answer"),
    ],
)
def test_a_wrong_setting_is_said_in_one_sentence(
    terminal: Terminal, setting: str, value: str, sentence: str
) -> None:
    refused = terminal.run("up", **{setting: value})
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert sentence in refused.stderr
    assert "secret" not in refused.stderr


def test_it_stops_cleanly_when_nobody_reads_what_it_says_any_more(used: Terminal) -> None:
    reader, writer = os.pipe()
    process = subprocess.Popen([*MANAGE, "up"], env=used.environment(), stdout=writer, stderr=writer)
    os.close(writer)
    os.close(reader)
    _wait(used.answers)
    groups = used.groups()
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)
    assert not [group for group in groups if members(group)]
    assert Postgres(used.var).pid is None


def test_a_plain_command_starts_the_database_and_down_stops_it(terminal: Terminal) -> None:
    assert terminal.run("migrate", "core").returncode == 0
    assert Postgres(terminal.var).is_running()
    assert "PostgreSQL: stopped" in terminal.run("down").stdout
    assert Postgres(terminal.var).pid is None


def test_a_command_without_need_of_the_database_starts_nothing(terminal: Terminal) -> None:
    assert terminal.run("check").returncode == 0
    assert terminal.run("up", "--help").returncode == 0
    assert Postgres(terminal.var).pid is None


def test_reset_empties_the_database_and_keeps_the_secret(terminal: Terminal) -> None:
    terminal.run("migrate", "core")
    secret = (terminal.var / "secret_key").read_text()
    assert terminal.run("reset").returncode == 0
    assert not (terminal.var / "postgres").exists()
    assert (terminal.var / "secret_key").read_text() == secret


def test_reset_refuses_a_database_that_is_not_its_own(terminal: Terminal) -> None:
    refused = terminal.run("reset", DATABASE_URL="postgres://someone@127.0.0.1:1/x")
    assert refused.returncode == 1
    assert "DATABASE_URL is set" in refused.stderr


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port: int = probe.getsockname()[1]
        return port


def _wait(is_done: Callable[[], bool], seconds_max: float = 180) -> None:
    deadline = time.monotonic() + seconds_max
    while not is_done():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.1)
