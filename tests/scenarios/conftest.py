from __future__ import annotations

from collections.abc import Iterator

import pytest

from core import clock
from tests.scenarios.changes import PriceChanges
from tests.scenarios.life import LifeStory
from tests.scenarios.limits import LimitStory
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


@pytest.fixture
def story() -> Iterator[LimitStory]:
    """A story about limits and holds; its books are checked when it has been told."""
    told = LimitStory()
    yield told
    told.audit()
    clock.use(None)


@pytest.fixture
def changes(money: Story) -> PriceChanges:
    """Changes of prices per token, in a story about money."""
    money.meter("tok")
    return PriceChanges(money)
