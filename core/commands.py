"""What the commands of `manage.py` share."""

from __future__ import annotations

from argparse import RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, ClassVar, ParamSpec, TypeVar

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.errors import TollgateError
from core.jsonio import EXIT_OK, run_door

P = ParamSpec("P")
T = TypeVar("T")


def _in_one_sentence(run: Callable[P, T]) -> Callable[P, T]:
    @wraps(run)
    def told(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return run(*args, **kwargs)
        except TollgateError as error:
            raise CommandError(error.message) from error

    return told


class TollgateCommand(BaseCommand):
    """A command that says what is wrong in one sentence (exit code 1).

    Its help ends with `epilog`, in lines as they stand there.
    """

    epilog: ClassVar[str] = ""
    execute = _in_one_sentence(BaseCommand.execute)

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """A parser that keeps the lines of the epilog."""
        if self.epilog:
            kwargs |= {"epilog": self.epilog, "formatter_class": RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)


class DocumentCommand(BaseCommand):
    """A command that answers a JSON document, or each item of an array in its place, by `answer`.

    It needs no database and no server. A bad item is answered by its error; then the exit code is 2.
    """

    answer: ClassVar[Callable[[Any], Any]]
    requires_system_checks = ()
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        """One file."""
        parser.add_argument("file", metavar="FILE", help="a JSON file, or - for standard input")

    def handle(self, *args: Any, file: str, **options: Any) -> None:
        """Print the answer; exit with 2 if any item had an error."""
        text, exit_code = run_door(file, type(self).answer)
        self.stdout.write(text)
        if exit_code != EXIT_OK:
            raise SystemExit(exit_code)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """CommandError where the file cannot be read."""
    try:
        yield
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror or error}.") from error
