"""docs/operations/running.md knows every due task and every setting that there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from config.environment import BASE_DIR
from config.schedule import DAY, HOUR, MINUTE, SCHEDULE

DOC: Final = (BASE_DIR / "docs" / "operations" / "running.md").read_text()
EVERY: Final = {"day": DAY, "hour": HOUR, "5 minutes": 5 * MINUTE, "minute": MINUTE, "10 seconds": 10.0}


def rows(words: str) -> list[list[str]]:
    """The cells of the table rows whose first cell is code of this form."""
    found = [line for line in DOC.splitlines() if re.match(rf"\| `{words}", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found]


def test_every_due_task_stands_there_in_order_with_how_often_it_runs() -> None:
    written = [(name.strip("`"), EVERY[every]) for name, every, _ in rows(r"\w+\.tasks\.")]
    assert written == [(due.task, due.every) for due in SCHEDULE]


def test_every_setting_stands_there() -> None:
    read = re.compile(r"""env\.\w+\(\s*"([A-Z_]+)\"""")
    used = {
        name for file in Path(BASE_DIR, "config").rglob("*.py") for name in read.findall(file.read_text())
    }
    written = {name for cells in rows("[A-Z_]+`") for name in re.findall(r"`([A-Z_]+)`", cells[0])}
    assert len(used) > 20
    assert used - written == set()
