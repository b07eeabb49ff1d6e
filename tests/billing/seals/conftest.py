"""A payer whose book is sealed."""

from __future__ import annotations

import pytest

from tests.billing.seals.sealed import PER_TOKEN, use
from tests.billing.world import Tenant, make_meter, make_tenant, make_version


@pytest.fixture
def tenant(db: None) -> Tenant:
    """One who paid 100 in and used 3 times; number 1 is the top-up."""
    make_meter()
    made = make_tenant(make_version([PER_TOKEN]), balance="100")
    use(made, 3)
    return made
