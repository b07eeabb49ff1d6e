"""What keeps account of customers' trees and payers follows their changes, in the same transaction.

Imports go one way only, so apps above join here when they are ready.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Final

from django.db import transaction

Follow = Callable[[Collection[int]], AbstractContextManager[None]]
"""Stands around a change of these rows: locks before it, follows it afterwards."""


class Followers:
    """Those who follow one kind of change."""

    def __init__(self) -> None:
        self._all: list[Follow] = []

    def join(self, follow: Follow) -> None:
        """Let `follow` stand around every such change from now on; called once, when its app is ready."""
        self._all.append(follow)

    @contextmanager
    def around(self, ids: Collection[int]) -> Iterator[None]:
        """A transaction in which these rows may change; nothing is locked before it. Without any, no more."""
        with transaction.atomic(), ExitStack() as stack:
            for follow in self._all if ids else ():
                stack.enter_context(follow(ids))
            yield


moves: Final = Followers()
"""Of workspaces, organizations or payers, which change their place; by the ids of their customers."""
closings: Final = Followers()
"""Of payers, which are closed; by their ids."""
