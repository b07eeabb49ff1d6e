"""What tests of billing share."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core import partitions
from tests.accounts.caller import Caller, caller_with
from tests.billing.world import START


@pytest.fixture
def ready_months(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The months of these tests have their partitions, and the process knows it, as after a commit."""
    partitions.ensure_partitions(START, START + timedelta(days=360))
    monkeypatch.setattr(partitions, "_ready", {(START.year, month) for month in range(1, 13)})


@pytest.fixture
def caller() -> Caller:
    """A caller who may do everything."""
    return caller_with("admin")
