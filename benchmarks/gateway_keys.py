"""A key for each workspace of the world that is measured: what callers present to a gateway.

`python -m benchmarks.gateway_keys` registers them in the installation of its environment and prints them.
"""

from __future__ import annotations

import json
import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from accounts.models import ApiKey, Workspace  # noqa: E402
from accounts.secrets import API, new_secret  # noqa: E402
from core import clock  # noqa: E402


def register() -> list[str]:
    """Issue the keys by one statement; their secrets."""
    now, made = clock.now(), []
    for workspace in Workspace.objects.order_by("pk"):
        secret = new_secret(API)
        key = ApiKey(
            customer_id=workspace.customer_id,
            workspace=workspace,
            kind=ApiKey.Kind.ISSUED,
            name="Benchmark",
            prefix=secret.prefix,
            fingerprint=secret.fingerprint,
            created_at=now,
        )
        made.append((key, secret.text))
    ApiKey.objects.bulk_create(key for key, _ in made)
    return [text for _, text in made]


if __name__ == "__main__":
    print(json.dumps(register()))
