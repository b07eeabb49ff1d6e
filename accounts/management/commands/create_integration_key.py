"""`manage.py create_integration_key NAME`: the first key of an installation, and any other."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from accounts.integration_keys import issue_integration_key
from accounts.models.keys import Scope
from core.audit import Source, audited
from core.commands import TollgateCommand
from core.instants import parse_instant


class Command(TollgateCommand):
    """Writes the secret, and nothing else, to standard output: it is told this once."""

    help = "Issue an integration key (tg_...) and print its secret, once."

    def add_arguments(self, parser: CommandParser) -> None:
        """What the key is called and may do."""
        parser.add_argument("name", metavar="NAME", help="what the key is for, such as gateway")
        parser.add_argument(
            "--scope",
            dest="scopes",
            action="append",
            choices=Scope.values,
            help="may be given several times; default: admin, which includes all",
        )
        parser.add_argument("--expires-at", metavar="INSTANT", help="such as 2027-01-01T00:00:00Z")

    def handle(
        self, *args: Any, name: str, scopes: list[str] | None, expires_at: str | None, **options: Any
    ) -> None:
        """Issue the key."""
        ends = parse_instant(expires_at, "--expires-at") if expires_at is not None else None
        with audited(Source.COMMAND, "manage.py create_integration_key"):
            issued = issue_integration_key(name=name, scopes=scopes or [Scope.ADMIN.value], expires_at=ends)
        key = issued.key
        self.stderr.write(f"{key.public_id} {key.name}, scopes {', '.join(key.scopes)}. Keep the secret:")
        self.stdout.write(issued.secret)
