"""docs/operations/running.md knows every due task and every setting that there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from config.environment import BASE_DIR
from config.management.commands.run_due import table
from core.jobs import jobs

DOC: Final = (BASE_DIR / "docs" / "operations" / "running.md").read_text()


def rows(words: str) -> list[list[str]]:
    """The cells of the table rows whose first cell is code of this form."""
    found = [line for line in DOC.splitlines() if re.match(rf"\| `{words}", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found]


def test_the_table_of_due_tasks_is_that_of_the_schedule_and_of_their_docstrings() -> None:
    assert table(jobs()) in DOC, "put in what `manage.py run_due --list` prints"


def test_every_task_says_in_one_line_what_it_does() -> None:
    assert [job.name for job in jobs() if not 10 < len(job.does) < 120 or job.does.endswith(".")] == []


def test_every_setting_stands_there() -> None:
    read = re.compile(r"""env\.\w+\(\s*"([A-Z_]+)\"""")
    used = {
        name for file in Path(BASE_DIR, "config").rglob("*.py") for name in read.findall(file.read_text())
    }
    written = {name for cells in rows("[A-Z_]+`") for name in re.findall(r"`([A-Z_]+)`", cells[0])}
    assert len(used) > 20
    assert used - written == set()
