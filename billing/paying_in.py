"""Where payers pay in, as the operator has said (`TOLLGATE_TOP_UP_URL`): told where money is what lacks."""

from __future__ import annotations

from django.conf import settings


def pay_in_url(payer_id: str) -> str:
    """The address for the payer of this public id; empty where the operator named none."""
    return str(settings.TOP_UP_URL).replace("{billing_entity}", payer_id)
