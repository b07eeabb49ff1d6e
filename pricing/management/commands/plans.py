"""`manage.py plans validate|diff|apply|publish|retire|export|schema`: plan files in, versions, files out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from django.core.management.base import CommandError, CommandParser

from core.audit import Source, audited
from core.commands import TollgateCommand
from pricing.catalog import Catalog, CatalogError, load_catalog
from pricing.catalog.schema import plan_file_schema
from pricing.diff_text import diff_lines
from pricing.exporting import export_plans
from pricing.models import Plan
from pricing.plan_diffs import diff_catalog
from pricing.plans import apply_catalog, publish_drafts
from pricing.versions import own_versions, retire_version

EXIT_CHANGES: Final = 2
PATH: Final = "a plan file, or a directory of them"


class Command(TollgateCommand):
    """Exits with 0 when all is well, with 1 when a file is wrong or the database refuses.

    `diff` exits with 2 when something is different from what is published.
    """

    help = (
        "Validate plan files, show what they would change and for whom, make drafts of them, publish and"
        " retire versions, export what is published. docs/plan-files.md has the format."
    )
    requires_system_checks = ()
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        """One verb and what it is about."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        validate = verbs.add_parser("validate", help="check files; needs no database")
        validate.add_argument("path", metavar="PATH", help=PATH)
        diff = verbs.add_parser("diff", help="what would change, and for whom; exits with 2 if anything does")
        diff.add_argument("path", metavar="PATH", help=PATH)
        diff.add_argument("--json", action="store_true", help="as JSON")
        apply = verbs.add_parser("apply", help="make or update the draft of every plan, all or nothing")
        apply.add_argument("path", metavar="PATH", help=PATH)
        publish = verbs.add_parser("publish", help="freeze drafts, so that subscriptions may start on them")
        publish.add_argument("plans", metavar="PLAN", nargs="*", help="the key of a plan")
        publish.add_argument("--all", action="store_true", help="publish every draft, all or nothing")
        retire = verbs.add_parser("retire", help="let nobody start on a version any more")
        retire.add_argument("plan", metavar="PLAN", help="the key of a plan")
        retire.add_argument("number", metavar="NUMBER", type=int, help="the version's number")
        export = verbs.add_parser("export", help="the latest published versions as a plan file")
        export.add_argument("plans", metavar="PLAN", nargs="*", help="the key of a plan; none: all plans")
        verbs.add_parser("schema", help="the JSON Schema of plan files; needs no database")

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

    def _validate(self, path: str, **options: Any) -> None:
        catalog = load_catalog(Path(path))
        for problem in catalog.unknown_meters():
            self.stdout.write(f"Note: {problem}")
        self.stdout.write(f"Valid: {_counts(catalog)}.")

    def _diff(self, path: str, **options: Any) -> None:
        found = diff_catalog(load_catalog(Path(path)))
        self.stdout.write(_json(found.as_dict()) if options["json"] else "\n".join(diff_lines(found)))
        if found.has_changes:
            sys.exit(EXIT_CHANGES)

    def _apply(self, path: str, **options: Any) -> None:
        for done in apply_catalog(load_catalog(Path(path))):
            self.stdout.write(str(done))

    def _publish(self, plans: list[str], all: bool, **options: Any) -> None:  # noqa: A002 (the option's name)
        if bool(plans) == all:
            raise CommandError("Name the plans to publish, or say --all.")
        known = Plan.objects.in_bulk(plans, field_name="key")
        for key in plans:
            if key not in known:
                raise CommandError(f"There is no plan {key!r}.")
        published = publish_drafts(None if all else plans)
        for version in published:
            self.stdout.write(f"plan {version.plan.key}: v{version.number} published")
        for key in sorted(known.keys() - {version.plan.key for version in published}):
            latest = own_versions(known[key]).order_by("-number").first()
            state = f"v{latest.number} is {latest.status}" if latest else "there is no version"
            self.stdout.write(f"plan {key}: no draft to publish, {state}")
        if all and not published:
            self.stdout.write("No plan has a draft.")

    def _retire(self, plan: str, number: int, **options: Any) -> None:
        found = Plan.objects.filter(key=plan).first()
        version = None if found is None else own_versions(found).filter(number=number).first()
        if version is None:
            raise CommandError(f"There is no version {number} of a plan {plan!r}.")
        retire_version(version)
        self.stdout.write(f"plan {plan}: v{number} retired")

    def _export(self, plans: list[str], **options: Any) -> None:
        self.stdout.write(export_plans(plans), ending="")

    def _schema(self, **options: Any) -> None:
        self.stdout.write(_json(plan_file_schema()))


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _counts(catalog: Catalog) -> str:
    nouns = {
        "plan": len(catalog.plans),
        "meter": len(catalog.meters),
        "feature": len(catalog.features),
        "cost rate": len(catalog.cost_rates),
        "coupon": len(catalog.coupons),
    }
    return ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for noun, count in nouns.items() if count)
