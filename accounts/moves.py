"""Moves in customers' trees: whoever keeps account of what stands where follows in the same transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Final

from django.db import transaction

Follow = Callable[[Collection[int]], AbstractContextManager[None]]
"""Stands around a move of something of these customers: locks before it, follows it afterwards."""
_followers: Final[list[Follow]] = []


def follow_moves(follow: Follow) -> None:
    """Let `follow` stand around every move from now on; called once, when its app is ready."""
    _followers.append(follow)


@contextmanager
def moving(customer_ids: Collection[int]) -> Iterator[None]:
    """A transaction in which workspaces, organizations or payers of these customers may change their place.

    Nothing of theirs is locked before it. Without a customer, it is a transaction only.
    """
    with transaction.atomic(), ExitStack() as stack:
        for follow in _followers if customer_ids else ():
            stack.enter_context(follow(customer_ids))
        yield
