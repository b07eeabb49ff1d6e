"""`manage.py plans validate|apply|publish`: plan files into drafts, drafts into published versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.audit import Source, audited
from core.errors import TollgateError
from pricing.catalog import Catalog, CatalogError, load_catalog
from pricing.models import Plan, PlanVersion
from pricing.plans import apply_catalog, publish_drafts


class Command(BaseCommand):
    """Exits with 0 when all is well, with 1 when a file is wrong or the database refuses."""

    help = "Validate plan files, make drafts of them, publish drafts. docs/plan-files.md has the format."
    requires_system_checks = ()
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        """One verb and what it is about."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        validate = verbs.add_parser("validate", help="check files; needs no database")
        validate.add_argument("path", metavar="PATH", help="a plan file, or a directory of them")
        apply = verbs.add_parser("apply", help="make or update the draft of every plan, all or nothing")
        apply.add_argument("path", metavar="PATH", help="a plan file, or a directory of them")
        publish = verbs.add_parser("publish", help="freeze drafts, so that subscriptions may start on them")
        publish.add_argument("plans", metavar="PLAN", nargs="*", help="the key of a plan")
        publish.add_argument("--all", action="store_true", help="publish every draft, all or nothing")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        """Run the verb; CommandError (exit code 1) says what is wrong."""
        try:
            with audited(Source.COMMAND):
                getattr(self, f"_{verb}")(**options)
        except CatalogError as error:
            for problem in error.problems:
                self.stderr.write(str(problem))
            count = len(error.problems)
            raise CommandError(f"{count} problem{'s' if count > 1 else ''}; nothing was changed.") from error
        except TollgateError as error:
            raise CommandError(error.message) from error

    def _validate(self, path: str, **options: Any) -> None:
        catalog = load_catalog(Path(path))
        for problem in catalog.unknown_meters():
            self.stdout.write(f"Note: {problem}")
        self.stdout.write(f"Valid: {_counts(catalog)}.")

    def _apply(self, path: str, **options: Any) -> None:
        for done in apply_catalog(load_catalog(Path(path))):
            self.stdout.write(str(done))

    def _publish(self, plans: list[str], all: bool, **options: Any) -> None:  # noqa: A002 (the option's name)
        if bool(plans) == all:
            raise CommandError("Name the plans to publish, or say --all.")
        known = set(Plan.objects.filter(key__in=plans).values_list("key", flat=True))
        unknown = [key for key in plans if key not in known]
        if unknown:
            raise CommandError(f"There is no plan {unknown[0]!r}.")
        published = publish_drafts(None if all else plans)
        for version in published:
            self.stdout.write(f"plan {version.plan.key}: v{version.number} published")
        for key in sorted(known - {version.plan.key for version in published}):
            latest = PlanVersion.objects.filter(plan__key=key).order_by("-number").first()
            state = f"v{latest.number} is {latest.status}" if latest else "there is no version"
            self.stdout.write(f"plan {key}: no draft to publish, {state}")
        if all and not published:
            self.stdout.write("No plan has a draft.")


def _counts(catalog: Catalog) -> str:
    nouns = {
        "plan": len(catalog.plans),
        "meter": len(catalog.meters),
        "feature": len(catalog.features),
        "cost rate": len(catalog.cost_rates),
    }
    return ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for noun, count in nouns.items() if count)
