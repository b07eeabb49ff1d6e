"""Notes are taken once, by whoever comes first; several processes count together."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from config.environment import BASE_DIR
from core import telemetry
from core.telemetry import Notebook, forget_dead_gauges

COUNTING = """
import sys
from core.telemetry import REGISTRY
from prometheus_client import Counter, Gauge
Counter("calls", "c", ("kind",), registry=REGISTRY).labels("a").inc(float(sys.argv[1]))
Gauge("waiting", "w", registry=REGISTRY, multiprocess_mode="livesum").set(5)
"""
ASKING = """
from core.telemetry import exposition
print(exposition([]).decode())
"""


def test_every_note_is_taken_once_and_in_order() -> None:
    taken: list[int] = []
    notebook = Notebook(taken.extend)
    for number in range(100):
        notebook.note(number)
    notebook.flush()
    notebook.flush()
    assert taken == list(range(100))


def test_notes_are_taken_without_being_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "EVERY_SECONDS", 0.02)
    taken: list[int] = []
    notebook = Notebook(taken.extend)
    notebook.note(1)
    deadline = time.monotonic() + 10
    while not taken and time.monotonic() < deadline:
        time.sleep(0.01)
    assert taken == [1]


def test_a_figure_that_fails_ends_nothing() -> None:
    def fail(notes: list[int]) -> None:
        raise RuntimeError

    notebook = Notebook(fail)
    notebook.note(1)
    notebook.flush()
    notebook.note(2)
    notebook.flush()


def test_processes_count_together_and_a_dead_ones_queue_is_gone(tmp_path: Path) -> None:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    environment["DJANGO_SETTINGS_MODULE"] = "config.settings"

    def run(script: str, *words: str) -> str:
        command = [sys.executable, "-c", script, *words]
        done = subprocess.run(
            command, env=environment, cwd=BASE_DIR, check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout

    run(COUNTING, "2")
    run(COUNTING, "3")
    assert len(list(tmp_path.glob("gauge_livesum_*.db"))) == 2
    told = run(ASKING)
    assert 'calls_total{kind="a"} 5.0' in told
    assert "waiting 5" not in told
    assert list(tmp_path.glob("gauge_livesum_*.db")) == []


def test_the_queue_of_a_living_process_stays(tmp_path: Path) -> None:
    mine = tmp_path / f"gauge_livesum_{os.getpid()}.db"
    counter = tmp_path / "counter_999999999.db"
    for path in (mine, counter):
        path.touch()
    forget_dead_gauges(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([mine, counter])
