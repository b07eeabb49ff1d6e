"""The API and a model of it answer the same, whatever is sent in whatever order."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.api_client import Api
from tests.model.machine import Agreement
from tests.model.world import make_prices

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "30"))
STEPS = int(os.environ.get("MODEL_STEPS", "40"))


@pytest.mark.django_db
def test_the_api_answers_what_the_model_says() -> None:
    Agreement.api = Api()
    Agreement.prices = make_prices(Agreement.api)
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    chosen = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=checks,
        print_blob=True,
        phases=[Phase.generate] + ([Phase.shrink] if os.environ.get("MODEL_SHRINK") else []),
    )
    run_state_machine_as_test(Agreement, settings=chosen)
    print("steps:", Agreement.steps)
