"""A payer and its key, whose calls a gateway counts."""

from __future__ import annotations

import pytest

from accounts.keys import register_fingerprint
from accounts.models import ApiKey
from accounts.secrets import fingerprint
from tests.billing.world import Tenant, make_meter, make_tenant, make_version

PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "1"}


@pytest.fixture
def tenant() -> Tenant:
    make_meter()
    return make_tenant(make_version([PER_TOKEN]), balance="1000")


@pytest.fixture
def key(tenant: Tenant) -> ApiKey:
    return register_fingerprint(workspace=tenant.workspace, name="k", fingerprint=fingerprint("the secret"))
