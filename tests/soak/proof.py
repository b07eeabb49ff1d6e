"""`python -m tests.soak.proof`: recompute all charges and replay all payers of the installation of its
environment; prints a line for whatever does not come to what is stored."""

from __future__ import annotations

import os
from collections.abc import Iterator

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from accounts.models import BillingEntity  # noqa: E402
from billing.recompute import charges_of, is_proved, recompute_charges  # noqa: E402
from billing.replay import replay_differences  # noqa: E402


def differences() -> Iterator[str]:
    """What is not what its events come to."""
    for payer in BillingEntity.objects.order_by("pk"):
        for difference in replay_differences(payer):
            yield f"the replay of {payer.public_id} differs: {difference}"
        for stored, again in recompute_charges(charges_of(payer.customer_id, payer.pk)):
            if not is_proved(stored, again):
                yield f"{stored.public_id} is not proved: {stored.lines} against {again}"


if __name__ == "__main__":
    for line in differences():
        print(line)
