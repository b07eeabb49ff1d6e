"""A replay of a payer's versions over its stored events is what was really charged, to the last decimal."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.properties.conftest import PROFILE
from tests.properties.history import History


@pytest.mark.django_db
def test_any_history_is_what_its_replay_comes_to() -> None:
    run_state_machine_as_test(History, settings=settings(PROFILE))
