"""The field `ramps` of a plan: phases in order, overrides that fit, whole terms for each of them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from core.errors import InvalidRequest
from pricing.catalog import PlanTerms, content_hash, phase_terms, read_plan
from tests.pricing.documents import FULL_PLAN, PER_CALL, catalog_of, plan_document

CHEAPER = {"components": {"calls": {"unit_price": "0.005"}}}


def plan(*ramps: dict[str, Any], **fields: Any) -> PlanTerms:
    """A plan that prices calls at 0.01, with these phases."""
    return read_plan(
        {"plan": "pro", "currency": "USD", "components": [PER_CALL], "ramps": list(ramps)} | fields
    )


def refused(*ramps: Any, **fields: Any) -> tuple[str, str | None]:
    """(code, param) of what stands against the phases."""
    with pytest.raises(InvalidRequest) as caught:
        plan(*ramps, **fields)
    return caught.value.code, caught.value.param


def price(terms: PlanTerms) -> str:
    """What a call costs."""
    found: str = terms.components[0].definition["unit_price"]
    return found


def test_a_phase_begins_after_months_or_on_a_date() -> None:
    by_months = plan({"after_months": 3, "overrides": CHEAPER}).ramps
    by_date = plan({"starts_on": "2027-01-31", "overrides": CHEAPER}).ramps
    assert (by_months[0].after_months, by_months[0].starts_on) == (3, None)
    assert (by_date[0].after_months, by_date[0].starts_on) == (None, date(2027, 1, 31))


def test_the_terms_of_a_phase_are_whole() -> None:
    terms = plan({"after_months": 3, "overrides": CHEAPER}, name="Pro", minimum_spend="5")
    phase = phase_terms(terms, 1)
    assert (price(terms), price(phase)) == ("0.01", "0.005")
    assert (phase.name, phase.minimum_spend, phase.ramps) == ("Pro", Decimal(5), ())


def test_phases_do_not_add_up() -> None:
    terms = plan(
        {"after_months": 3, "overrides": CHEAPER},
        {"after_months": 6, "overrides": {"minimum_spend": "100"}},
    )
    second = phase_terms(terms, 2)
    assert (price(second), second.minimum_spend) == ("0.01", Decimal(100))


def test_a_one_off_fee_is_not_paid_again_in_a_phase() -> None:
    terms = plan({"after_months": 3, "overrides": CHEAPER}, one_off_fees=[{"key": "setup", "amount": "5"}])
    assert [fee.key for fee in terms.one_off_fees] == ["setup"]
    assert phase_terms(terms, 1).one_off_fees == ()


def test_the_canonical_form_reads_back_and_has_one_notation() -> None:
    terms = plan({"after_months": 3, "overrides": {"minimum_spend": "10.00"}})
    assert terms.content()["ramps"] == [{"after_months": 3, "overrides": {"minimum_spend": "10"}}]
    assert read_plan(terms.content()) == terms
    same = plan({"after_months": "3", "overrides": {"minimum_spend": "10"}})
    assert content_hash(same.content()) == content_hash(terms.content())
    assert "ramps" not in plan().content()


def test_a_plan_with_everything_reads_back() -> None:
    terms = read_plan(FULL_PLAN)
    assert read_plan(terms.content()) == terms
    first, second = phase_terms(terms, 1), phase_terms(terms, 2)
    calls = first.components[0].definition
    assert (calls["unit_price"], "included" in calls) == ("0.02", False)
    assert [fee.key for fee in second.base_fees] == ["platform"]
    assert second.minimum_spend == 0
    assert first.minimum_spend == 100


@pytest.mark.parametrize(
    ("phase", "code", "param"),
    [
        ({"overrides": CHEAPER}, "required", "ramps[0].after_months"),
        ({"after_months": 3}, "required", "ramps[0].overrides"),
        ({"after_months": 3, "overrides": {}}, "required", "ramps[0].overrides"),
        ({"after_months": 3, "overrides": []}, "invalid_type", "ramps[0].overrides"),
        ({"after_months": 0, "overrides": CHEAPER}, "number_out_of_range", "ramps[0].after_months"),
        ({"after_months": 1201, "overrides": CHEAPER}, "number_out_of_range", "ramps[0].after_months"),
        ({"after_months": "x", "overrides": CHEAPER}, "invalid_type", "ramps[0].after_months"),
        ({"starts_on": "2027-02-30", "overrides": CHEAPER}, "invalid_date", "ramps[0].starts_on"),
        ({"starts_on": "2027-1-3", "overrides": CHEAPER}, "invalid_date", "ramps[0].starts_on"),
        (
            {"starts_on": "2027-01-01", "after_months": 3, "overrides": CHEAPER},
            "not_applicable",
            "ramps[0].starts_on",
        ),
        ({"after_months": 3, "overrides": CHEAPER, "name": "x"}, "unknown_key", "ramps[0].name"),
        (
            {"after_months": 3, "overrides": {"trial": {"days": 3}}},
            "unknown_key",
            "ramps[0].overrides.trial",
        ),
        (
            {"after_months": 3, "overrides": {"components": {"nope": None}}},
            "unknown_key",
            "ramps[0].overrides.components.nope",
        ),
        (
            {"after_months": 3, "overrides": {"components": {"calls": {"unit_price": "x"}}}},
            "invalid_decimal",
            "ramps[0].overrides.components.calls.unit_price",
        ),
        (5, "invalid_type", "ramps[0]"),
    ],
)
def test_what_does_not_fit_is_said_with_its_path(phase: Any, code: str, param: str) -> None:
    assert refused(phase) == (code, param)


def test_phases_come_in_order_of_time_and_of_one_kind() -> None:
    three, six = ({"after_months": months, "overrides": CHEAPER} for months in (3, 6))
    january, march = ({"starts_on": f"2027-0{month}-01", "overrides": CHEAPER} for month in (1, 3))
    assert refused(six, three) == ("invalid_value", "ramps[1].after_months")
    assert refused(three, three) == ("invalid_value", "ramps[1].after_months")
    assert refused(march, january) == ("invalid_value", "ramps[1].starts_on")
    assert refused(three, march) == ("not_applicable", "ramps[1].starts_on")
    assert refused(january, six) == ("not_applicable", "ramps[1].after_months")
    assert len(plan(three, six).ramps) == len(plan(january, march).ramps) == 2


def test_there_are_at_most_a_hundred_phases() -> None:
    phases = [{"after_months": month, "overrides": CHEAPER} for month in range(1, 102)]
    assert refused(*phases) == ("too_large", "ramps")


def test_the_path_of_a_phase_begins_with_that_of_the_plan() -> None:
    phase = {"after_months": 3, "overrides": {"components": {"nope": None}}}
    with pytest.raises(InvalidRequest) as caught:
        catalog_of({"plans": [{"plan": "p", "currency": "USD", "ramps": [phase]}]})
    assert caught.value.param == "plans[0].ramps[0].overrides.components.nope"


def test_a_plan_names_the_meters_of_its_phases_too() -> None:
    image = {"meter": "images", "model": "per_unit", "unit_price": "1"}
    phase = {"after_months": 3, "overrides": {"components": {"img": image}}}
    assert plan(phase).meters == ("calls", "images")
    [problem] = catalog_of(plan_document(ramps=[phase])).unknown_meters()
    assert (problem.code, problem.path) == ("unknown_meter", "ramps[0].overrides")
    assert "'images'" in problem.message
