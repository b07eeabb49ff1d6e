from __future__ import annotations

from collections.abc import Iterator

import pytest

from core import clock
from tests.scenarios.life import LifeStory
from tests.scenarios.money import Story


@pytest.fixture
def money() -> Iterator[Story]:
    """A story about money; its books are checked when it has been told."""
    story = Story()
    yield story
    story.audit()
    clock.use(None)


@pytest.fixture
def life() -> Iterator[LifeStory]:
    """A story about subscriptions; its books are checked when it has been told."""
    story = LifeStory()
    yield story
    story.audit()
    clock.use(None)
