"""The API and a model of it answer the same, whatever is sent in whatever order: docs/model.md."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.api_client import Api
from tests.model.machine import Agreement
from tests.model.world import make_prices

PROFILES = {"short": (16, 25), "medium": (300, 25), "thorough": (300, 60)}
"""Runs, and steps in each, by `HYPOTHESIS_PROFILE`."""


@pytest.mark.django_db
@pytest.mark.parametrize("same_every_time", [True, False], ids=["as ever", "at random"])
def test_the_api_answers_what_the_model_says(same_every_time: bool) -> None:
    runs, steps = PROFILES[os.environ.get("HYPOTHESIS_PROFILE", "short")]
    chosen = settings(
        max_examples=runs,
        stateful_step_count=steps,
        derandomize=same_every_time,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    Agreement.api = Api()
    Agreement.prices = make_prices(Agreement.api)
    Agreement.steps = 0
    run_state_machine_as_test(Agreement, settings=chosen)
    print(f"{Agreement.steps} steps agreed")  # `pytest -s` shows it
    assert Agreement.steps >= runs, "every run opens with a step"
