"""Checking payers: all links over a batch of them, in a snapshot that the caller has opened."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import psycopg

from billing.reconciliation.batches import spans_of, whole
from billing.reconciliation.link import Checked, Finding, Scope
from billing.reconciliation.links import LINKS


def check_links(scope: Scope) -> dict[str, Checked]:
    """What each link of the inside comes to in a scope, by its name."""
    return {link.name: link.check(scope) for link in LINKS if not link.is_outside}


def check_outside(scope: Scope) -> dict[str, Checked]:
    """What each link of the outside comes to; its scope has no payers."""
    return {link.name: link.check(scope) for link in LINKS if link.is_outside}


def findings_of(raw: psycopg.Connection[Any], now: datetime) -> Iterator[tuple[str, Finding]]:
    """Everything that disagrees in an installation, from the first number on, with its link's name.

    In one piece: for tests and small installations. `raw` may be any connection.
    """
    with raw.transaction():
        checked = check_links(Scope(raw, whole(spans_of(raw)), now))
        for name, one in checked.items():
            for finding in one.findings:
                yield name, finding
