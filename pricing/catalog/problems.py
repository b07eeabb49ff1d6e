"""What is wrong in a plan file, and where: file, line and path, so that an editor or CI can point at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import InvalidRequest, TollgateError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend. `line` counts from 1; `path` is as in `components[0].tiers[1].up_to`."""

    code: str
    message: str
    path: str | None = None
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        """`plans/pro.yaml:12: components[0].model must be one of: per_unit, graduated.`"""
        where = f"{self.file}:{self.line}: " if self.line else f"{self.file}: " if self.file else ""
        says_path = not self.path or self.message.startswith(self.path)
        return f"{where}{'' if says_path else f'{self.path}: '}{self.message}"


class CatalogError(InvalidRequest):
    """Plan files that cannot be taken, with everything that is wrong in them.

    As an API error it is its first problem; `problems` has all of them in file order.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        first = problems[0]
        message = str(first) if first.file else first.message
        super().__init__(first.code, message, first.path)
        self.problems = tuple(problems)


def problem_of(error: TollgateError, file: str | None, line: int | None) -> Problem:
    """An error that a reader raised, as a problem of the file it was read from."""
    return Problem(error.code, error.message, error.param, file, line)
