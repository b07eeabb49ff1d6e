"""Whatever happens to payers, in whatever order, the books agree and every charge is proved."""

from __future__ import annotations

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.properties.conftest import PROFILE
from tests.properties.machine import Money


@pytest.mark.django_db
def test_any_interleaving_of_charges_and_payments_keeps_the_books() -> None:
    run_state_machine_as_test(Money, settings=PROFILE)
