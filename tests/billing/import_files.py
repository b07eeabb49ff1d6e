"""Files to import, and the command that does it."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from django.core.management import call_command

from metering.models import UsageBucket
from tests.billing.world import Tenant, make_meter, make_tenant, make_version

REAL = Path(__file__).resolve().parents[3] / "shared/data/azure-llm-2023/code.csv"
HISTORY = datetime(2023, 1, 1, tzinfo=UTC)
HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
TRACE = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
    "2023-11-16 18:17:03.9799600,4808,10\r\n"
    "2023-11-16 18:17:04.0319600,3180,8\r\n"
    "2023-11-16 19:14:19.9280160,549,173"
)
TOKENS = (
    "--map=occurred_at=TIMESTAMP",
    "--map=properties.input_tokens=ContextTokens",
    "--map=properties.output_tokens=GeneratedTokens",
    "--set=event=completion",
    "--set=properties.provider=openai",
    "--set=properties.model=gpt-4o",
)


def token_tenant() -> Tenant:
    """Pays for input and output tokens since 2023."""
    components = []
    for name, price in (("input", "0.000005"), ("output", "0.00002")):
        make_meter(f"{name}_tokens")
        components.append({"key": name, "meter": f"{name}_tokens", "model": "per_unit", "unit_price": price})
    return make_tenant(make_version(components), starts_at=HISTORY)


def run(path: Path, *options: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = 0
    try:
        call_command("import_usage", str(path), *options, stdout=out, stderr=err)
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    return code, out.getvalue(), err.getvalue()


def a_file(folder: Path, content: str | bytes, name: str = "trace.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def in_workspace(tenant: Tenant) -> str:
    return f"--set=workspace={tenant.workspace.public_id}"


def sums() -> dict[int, Decimal]:
    found: dict[int, Decimal] = {}
    for bucket in UsageBucket.objects.all():
        found[bucket.meter_id] = found.get(bucket.meter_id, Decimal(0)) + bucket.quantity
    return found
