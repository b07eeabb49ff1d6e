"""The port to payment providers, its adapter for files, and loading what a provider lists."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Protocol

from django.db import transaction

from accounts.currencies import check_currency
from accounts.models import BillingEntity
from billing.imports.rows import Row, format_of, open_file, read_rows
from billing.models import PaymentStatement, ProviderPayment
from core import clock
from core.api.references import find_referenced
from core.errors import InvalidRequest, TollgateError
from core.instants import parse_instant
from core.numbers import parse_price
from core.texts import clean_text

ROWS_MAX: Final = 100_000
FIELDS: Final = ("id", "kind", "amount", "currency", "at", "reference", "billing_entity")
_PROVIDER: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_ID: Final = re.compile(r"[^\s,;()\[\]\"']{1,150}")
INSTANT: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class PaymentRow:
    """One thing that happened at a provider; `amount` > 0. `billing_entity` is ours, where the list says."""

    id: str
    kind: str
    amount: Decimal
    currency: str
    at: datetime
    reference: str = ""
    billing_entity: str | None = None


class PaymentProvider(Protocol):
    """Where payments come from."""

    @property
    def name(self) -> str:
        """The word before the colon in `stripe:pi_1`."""
        ...

    def payments(self) -> Iterable[PaymentRow]:
        """All that happened in the range that is asked for; raises TollgateError for a row that is wrong."""
        ...


@dataclass(frozen=True, slots=True)
class FileProvider:
    """A provider's export as CSV with a header, or JSONL; also .gz. Columns are named as `PaymentRow`'s."""

    name: str
    path: Path
    format: str | None = None

    def payments(self) -> Iterator[PaymentRow]:
        """The file's rows; an error names the line."""
        with (
            open_file(self.path) as (stream, _),
            closing(read_rows(stream, self.format or format_of(self.path))) as rows,
        ):
            yield from payments_in(rows)


def payments_in(rows: Iterable[Row]) -> Iterator[PaymentRow]:
    """The payments of a file's rows; InvalidRequest names the line of one that is wrong."""
    for row in rows:
        try:
            payment = read_payment(row.filled())
        except TollgateError as error:
            raise InvalidRequest(error.code, f"Line {row.line}: {error.message}", error.param) from error
        yield payment


def read_payment(values: Mapping[str, Any]) -> PaymentRow:
    """A payment from its fields; raises InvalidRequest. Columns that we do not know are left out."""
    external_id = clean_text(values.get("id"), "id", max_length=150)
    if not _ID.fullmatch(external_id):
        says = "id may hold no space, comma, semicolon, quote or bracket."
        raise InvalidRequest("invalid_id", says, "id")
    kind = values.get("kind", ProviderPayment.Kind.PAYMENT.value)
    if kind not in ProviderPayment.Kind.values:
        raise InvalidRequest("invalid_kind", "kind is payment, refund or payout.", "kind")
    amount = parse_price(values.get("amount"), "amount")
    if amount <= 0:
        raise InvalidRequest(
            "invalid_amount", "amount must be above 0; a refund says so by its kind.", "amount"
        )
    reference, entity = values.get("reference"), values.get("billing_entity")
    return PaymentRow(
        external_id,
        kind,
        amount,
        check_currency(clean_text(values.get("currency"), "currency", max_length=12)),
        parse_instant(values.get("at"), "at"),
        clean_text(reference, "reference") if reference else "",
        clean_text(entity, "billing_entity") if entity else None,
    )


def load_payments(
    provider: PaymentProvider,
    *,
    covers_from: datetime | None = None,
    covers_until: datetime | None = None,
    name: str = "",
    by: str = "",
) -> PaymentStatement:
    """Load a provider's list, which is all that happened there in [covers_from, covers_until).

    By default from its first row to its last. What an older list said of that range and this one does not is
    superseded; the same list again adds nothing but its own row. Raises InvalidRequest: a wrong row, an id
    twice, a row outside of the range, an empty list without a range.
    """
    now = clock.now()
    if not _PROVIDER.fullmatch(provider.name):
        says = "provider is a word of small letters, digits, - and _, such as stripe."
        raise InvalidRequest("invalid_provider", says, "provider")
    rows = _by_id(provider.payments())
    start, end = _range(rows.values(), covers_from, covers_until, now)
    payers = _payers(rows.values())
    with transaction.atomic():
        standing = {
            row.external_id: row
            for row in ProviderPayment.objects.filter(provider=provider.name, superseded_at=None)
            .filter(happened_at__gte=start, happened_at__lt=end)
            .order_by("pk")
            .select_for_update()
        }
        elsewhere = ProviderPayment.objects.filter(
            provider=provider.name, superseded_at=None, external_id__in=rows.keys() - standing.keys()
        )
        standing |= {row.external_id: row for row in elsewhere.order_by("pk").select_for_update()}
        gone = [row for row in standing.values() if not _is_as(row, rows.get(row.external_id), payers)]
        kept = {row.external_id for row in standing.values()} - {row.external_id for row in gone}
        new = [row for row in rows.values() if row.id not in kept]
        statement = PaymentStatement.objects.create(
            provider=provider.name,
            name=name,
            covers_from=start,
            covers_until=end,
            rows=len(rows),
            added=len(new),
            superseded=len(gone),
            loaded_at=now,
            loaded_by=by,
        )
        ProviderPayment.objects.filter(pk__in=[row.pk for row in gone]).update(superseded_at=now)
        ProviderPayment.objects.bulk_create(
            [_payment(statement, row, payers) for row in new], batch_size=1000
        )
    return statement


def _payment(
    statement: PaymentStatement, row: PaymentRow, payers: Mapping[str, BillingEntity]
) -> ProviderPayment:
    payer = payers[row.billing_entity] if row.billing_entity else None
    return ProviderPayment(
        statement=statement,
        provider=statement.provider,
        external_id=row.id,
        kind=row.kind,
        amount=row.amount,
        currency=row.currency,
        happened_at=row.at,
        reference=row.reference,
        customer_id=payer.customer_id if payer else None,
        billing_entity_id=payer.pk if payer else None,
    )


def _is_as(old: ProviderPayment, row: PaymentRow | None, payers: Mapping[str, BillingEntity]) -> bool:
    """Whether a list says again what stands."""
    if row is None:
        return False
    payer = payers[row.billing_entity].pk if row.billing_entity else None
    return (row.kind, row.amount, row.currency, row.at, row.reference, payer) == (
        old.kind,
        old.amount,
        old.currency,
        old.happened_at,
        old.reference,
        old.billing_entity_id,
    )


def _by_id(payments: Iterable[PaymentRow]) -> dict[str, PaymentRow]:
    rows: dict[str, PaymentRow] = {}
    for row in payments:
        if rows.setdefault(row.id, row) != row:
            says = f"{row.id[:80]} stands in the list twice, and differently."
            raise InvalidRequest("id_twice", says, "id")
        if len(rows) > ROWS_MAX:
            raise InvalidRequest("too_many_rows", f"A list may have {ROWS_MAX:,} rows; load it in parts.")
    return rows


def _range(
    rows: Iterable[PaymentRow], start: datetime | None, end: datetime | None, now: datetime
) -> tuple[datetime, datetime]:
    instants = sorted(row.at for row in rows)
    if not instants and (start is None or end is None):
        raise InvalidRequest("empty_list", "A list without rows must say which time it covers.")
    start = start or instants[0]
    end = end or instants[-1] + INSTANT
    if end <= start:
        raise InvalidRequest("invalid_range", "covers_until must lie after covers_from.", "covers_until")
    if end > now + INSTANT:
        raise InvalidRequest("in_future", "The list reaches into the future.", "covers_until")
    if instants and not (start <= instants[0] and instants[-1] < end):
        raise InvalidRequest("outside_range", "A row lies outside of what the list covers.", "at")
    return start, end


def _payers(rows: Iterable[PaymentRow]) -> dict[str, BillingEntity]:
    """The payers that rows name; raises NotFound for one that is not here."""
    return {
        name: find_referenced(BillingEntity.objects.all(), "be", name)
        for name in {row.billing_entity for row in rows if row.billing_entity}
    }
