from __future__ import annotations

from collections.abc import Iterator

import pytest

from core import clock
from tests.scenarios.money import Story


@pytest.fixture
def money() -> Iterator[Story]:
    """A story about money; its books are checked when it has been told."""
    story = Story()
    yield story
    story.audit()
    clock.use(None)
