"""docs/plan-files.md tells the truth."""

from __future__ import annotations

import re

import pytest

from config.environment import BASE_DIR
from pricing.catalog import Catalog, read_plan
from pricing.catalog.overrides import IN_A_CONTRACT, IN_A_PHASE
from pricing.catalog.plans import PlanTerms
from pricing.cycles import Anchor, Interval, Proration
from pricing.models import PlanVersion
from pricing.plans import apply_catalog, publish_drafts
from tests.pricing.documents import catalog_of_text

DOC = (BASE_DIR / "docs" / "plan-files.md").read_text()


@pytest.fixture
def catalog() -> Catalog:
    """The document's example."""
    [example] = re.findall(r"```yaml\n(.*?)```", DOC, re.DOTALL)
    return catalog_of_text(example, "plan-files.md")


def test_the_example_is_valid_and_says_all_that_it_shows(catalog: Catalog) -> None:
    assert list(catalog.meters) == ["tokens", "calls", "images"]
    assert list(catalog.features) == ["sso", "workspaces"]
    assert len(catalog.cost_rates) == 1
    assert catalog.unknown_meters() == []
    terms = catalog.plans["pro"]
    assert isinstance(terms, PlanTerms)
    assert [component.key for component in terms.components] == ["tok", "img", "calls"]
    assert (terms.interval, terms.anchor, terms.proration) == (
        Interval.MONTH,
        Anchor.CALENDAR,
        Proration.SECOND,
    )
    assert terms.margin_floor is not None
    assert terms.trial_days == 14
    assert read_plan(terms.content()) == terms


@pytest.mark.django_db
def test_the_example_is_applied_and_published(catalog: Catalog) -> None:
    done = [str(one) for one in apply_catalog(catalog)]
    assert done == [
        "meter tokens: created",
        "meter calls: created",
        "meter images: created",
        "cost rate openai completion usage.tokens: created",
        "coupon launch: created",
        "plan pro: draft v1 created",
    ]
    assert [str(version) for version in publish_drafts()] == ["pro v1"]
    assert [str(version) for version in PlanVersion.objects.order_by("pk")] == ["pro v1", "pro v1 phase 1"]
    assert set(PlanVersion.objects.values_list("status", flat=True)) == {"published"}


def test_every_section_and_field_of_a_plan_is_described() -> None:
    names = [name for name in PlanTerms.__dataclass_fields__ if name not in ("key", "trial_days", "net_days")]
    for name in [
        *names,
        "plan",
        "trial",
        "payment_terms",
        "meters",
        "features",
        "cost_rates",
        "coupons",
        "plans",
    ]:
        assert f"`{name}" in DOC or f"{name}:" in DOC, name


def test_every_override_is_described() -> None:
    for name in {*IN_A_CONTRACT, *IN_A_PHASE}:
        assert f"`{name}`" in DOC, name


def test_every_verb_of_the_command_is_described() -> None:
    verbs = re.findall(r"^manage.py plans (\w+)", DOC, re.MULTILINE)
    assert verbs == ["validate", "diff", "apply", "publish", "retire", "export", "schema"]
