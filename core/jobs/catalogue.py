"""What jobs there are: the rows of the schedule (`settings.JOBS`), each with what its task says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, Final

from django.conf import settings
from django.utils.module_loading import import_string

from core.errors import NotFound

_WORDS: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


@dataclass(frozen=True)
class Job:
    """A scheduled task. `name` is Celery's: `billing.tasks.close_periods`."""

    name: str
    every: timedelta

    @property
    def title(self) -> str:
        """`Close periods`."""
        return self.name.rpartition(".")[2].replace("_", " ").capitalize()

    @property
    def every_seconds(self) -> float:
        """The interval."""
        return self.every.total_seconds()

    @cached_property
    def task(self) -> Any:
        """The task itself."""
        return import_string(self.name)

    @property
    def does(self) -> str:
        """The first paragraph of the task's docstring, without its full stop."""
        text = (self.task.__doc__ or "").strip().split("\n\n", 1)[0]
        return " ".join(text.split()).rstrip(".")

    @property
    def interval(self) -> str:
        """How often: `10 seconds`, `minute`, `hour`."""
        return interval_text(self.every_seconds)


def jobs() -> list[Job]:
    """All jobs, in the order in which `run_due` runs them."""
    return [Job(row.task, timedelta(seconds=row.every)) for row in settings.JOBS]


def find_job(name: str) -> Job:
    """The job of this name; raises NotFound."""
    for job in jobs():
        if job.name == name:
            return job
    raise NotFound("not_found", f"There is no job {name[:80]!r}.")


def interval_text(seconds: float) -> str:
    """Seconds in words: `minute`, `10 seconds`, `2 hours`."""
    for length, word in _WORDS:
        if seconds >= length and seconds % length == 0:
            number = int(seconds // length)
            return word if number == 1 else f"{number} {word}s"
    return f"{seconds:g} seconds"
