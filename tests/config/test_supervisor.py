"""Programs that are kept running, and what a killed supervisor leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from a2wsgi import WSGIMiddleware
from django.conf import settings
from django.core.management import CommandError

from config import asgi
from config.supervisor import children, programs, steps
from config.supervisor.children import Child
from config.supervisor.groups import end_groups, members
from config.supervisor.instance import end_leftovers, forget, only_one, remember
from config.supervisor.supervisor import Supervisor

FOREVER = [sys.executable, "-c", "import time; time.sleep(600)"]
DEAF = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
STUBBORN = [sys.executable, "-c", DEAF]
FAILING = [sys.executable, "-c", "raise SystemExit('the file is missing')"]


@pytest.fixture(autouse=True)
def _own_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The logs of these children go nowhere near the installation's."""
    monkeypatch.setattr(children, "LOG_DIR", tmp_path / "log")


@pytest.fixture
def start() -> Iterator[Callable[[list[str]], Child]]:
    """`start(command)` is a child that runs, and is gone after the test."""
    started: list[Child] = []

    def run(command: list[str]) -> Child:
        child = Child("worker", command)
        child.start()
        started.append(child)
        return child

    yield run
    end_groups([child.group for child in started if child.group], 0)


def test_a_running_child_is_left_alone(start: Callable[[list[str]], Child]) -> None:
    assert start(FOREVER).revive() is None


def test_a_child_that_was_killed_is_started_again(start: Callable[[list[str]], Child]) -> None:
    child = start(FOREVER)
    first = child.group
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert _next_line(child).startswith("worker ended (signal SIGKILL)")
    assert _next_line(child) == "worker started again"
    assert child.group != first


def test_the_last_words_of_a_child_are_repeated(start: Callable[[list[str]], Child]) -> None:
    assert _next_line(start(FAILING)) == "worker ended (exit code 1): the file is missing"


def test_a_child_that_dies_at_once_is_counted_and_waited_for_ever_longer(
    start: Callable[[list[str]], Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    child = start(FAILING)
    began = time.monotonic()
    lines = [_next_line(child) for _ in range(3)]
    assert child.short_lives == 2
    assert lines[1] == "worker started again"
    assert time.monotonic() - began >= 1


def test_a_child_that_never_stays_up_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "_PAUSE_SECONDS_MAX", 0.0)
    said: list[str] = []
    supervisor = Supervisor([Child("beat", FAILING)], tmp_path, said.append)
    supervisor.start()
    with pytest.raises(CommandError, match="beat does not stay up: the file is missing"):
        supervisor.wait_until_ready("http://127.0.0.1:1")
    supervisor.stop()
    assert said.count("beat started again") == 4


def test_a_long_log_is_set_aside(tmp_path: Path, start: Callable[[list[str]], Child]) -> None:
    (tmp_path / "log").mkdir()
    with (tmp_path / "log" / "worker.log").open("wb") as file:
        file.truncate(21 * 1024**2)
    start(FOREVER)
    assert (tmp_path / "log" / "worker.log.1").stat().st_size == 21 * 1024**2
    assert (tmp_path / "log" / "worker.log").stat().st_size == 0


def test_a_group_that_ignores_the_request_to_stop_is_killed(start: Callable[[list[str]], Child]) -> None:
    child = start(STUBBORN)
    assert child.group is not None
    _wait(lambda: child.last_words() == "deaf")
    end_groups([child.group], 0.3)
    _wait(lambda: not members(child.group or 0))


def test_only_one_may_hold_a_folder(tmp_path: Path) -> None:
    refused = pytest.raises(CommandError, match="already")
    with only_one(tmp_path), refused, only_one(tmp_path):
        pass
    with only_one(tmp_path):
        pass


def test_leftovers_are_ended_by_their_group(tmp_path: Path) -> None:
    child = subprocess.Popen(FOREVER, start_new_session=True)
    remember(tmp_path, [child.pid])
    assert end_leftovers(tmp_path) == 1
    assert child.wait(timeout=10) == -signal.SIGTERM
    assert end_leftovers(tmp_path) == 0


def test_a_process_that_got_the_same_id_later_is_not_touched(tmp_path: Path) -> None:
    started = psutil.Process().create_time()
    (tmp_path / "up.json").write_text(f"[[{os.getpid()}, {started - 1}]]")
    assert end_leftovers(tmp_path) == 0


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '{"a": 1}'])
def test_a_spoilt_note_of_what_ran_is_ignored(tmp_path: Path, text: str) -> None:
    (tmp_path / "up.json").write_text(text)
    assert end_leftovers(tmp_path) == 0


def test_nothing_is_left_behind_when_nothing_ran(tmp_path: Path) -> None:
    forget(tmp_path)
    assert end_leftovers(tmp_path) == 0


def test_an_address_of_another_machine_is_refused() -> None:
    steps.check_port("127.0.0.1", 0)
    with pytest.raises(CommandError, match=r"Cannot listen on 192\.0\.2\.1:8000"):
        steps.check_port("192.0.2.1", 8000)


def test_the_web_server_runs_the_event_loop_with_so_many_threads_behind_it() -> None:
    command = programs.web("127.0.0.1", 8000)
    assert "config.asgi:application" in command
    assert command[command.index("--interface") + 1] == "asginl"
    behind = asgi.application.behind
    assert isinstance(behind, WSGIMiddleware)
    assert behind.executor._max_workers == settings.WEB_THREADS


def _next_line(child: Child) -> str:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if line := child.revive():
            return line
        time.sleep(0.02)
    raise AssertionError("nothing happened")


def _wait(is_done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_done():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)
