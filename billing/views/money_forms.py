"""What staff fill in to move money, and the verb behind each form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from django import forms

from accounts.models import BillingEntity
from billing.models import CreditGrant
from billing.reports.spans import midnight
from billing.views.customer_filters import DATE
from billing.wallets import adjust, grant_credit, top_up
from core.numbers import INTEGER_DIGITS_MAX, PRICE_DECIMALS_MAX

Values = Mapping[str, Any]


def amount_field(**options: Any) -> forms.DecimalField:
    """An amount as precise as the ledger keeps it."""
    return forms.DecimalField(
        max_digits=INTEGER_DIGITS_MAX + PRICE_DECIMALS_MAX,
        decimal_places=PRICE_DECIMALS_MAX,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
        **options,
    )


class TopUpForm(forms.Form):
    """Value that was paid in."""

    amount = amount_field(min_value=Decimal(0))
    reference = forms.CharField(max_length=200, required=False, help_text="A bank reference or a number.")
    expires_on = forms.DateField(
        required=False, widget=DATE, label="Good until", help_text="The last day; empty: for ever."
    )


class GrantForm(forms.Form):
    """Credit that is given."""

    amount = amount_field(min_value=Decimal(0))
    name = forms.CharField(max_length=200, required=False)
    priority = forms.IntegerField(
        initial=50, min_value=0, max_value=1000, help_text="The lower number burns first."
    )
    components = forms.CharField(
        required=False, label="Only for", help_text="Component keys with spaces between; empty: all."
    )
    expires_on = forms.DateField(
        required=False, widget=DATE, label="Good until", help_text="The last day; empty: for ever."
    )

    def clean_components(self) -> str:
        """Each key is short enough for the grant that it limits."""
        words = str(self.cleaned_data["components"]).split()
        if any(len(word) > 100 for word in words):
            raise forms.ValidationError("A component key has at most 100 characters.")
        return " ".join(words)


class AdjustmentForm(forms.Form):
    """A correction."""

    amount = amount_field(help_text="Positive puts value into the wallet, negative takes it out.")
    reason = forms.CharField(max_length=1000, widget=forms.Textarea(attrs={"rows": 3}))

    def clean_amount(self) -> Decimal:
        """A correction of nothing is none."""
        amount: Decimal = self.cleaned_data["amount"]
        if not amount:
            raise forms.ValidationError("The amount must not be 0.")
        return amount


@dataclass(frozen=True)
class Operation:
    """One way of moving money. `run` gets payer, values and who; `namespace`: of its idempotency keys."""

    title: str
    verb: str
    effect: str
    form: type[forms.Form]
    namespace: str
    run: Callable[[BillingEntity, Values, str], object]


def _top_up(payer: BillingEntity, values: Values, by: str) -> object:
    expires_at = _end_of(values["expires_on"], payer)
    return top_up(payer, values["amount"], reference=values["reference"], expires_at=expires_at, by=by)


def _grant(payer: BillingEntity, values: Values, by: str) -> object:
    return grant_credit(
        payer,
        values["amount"],
        kind=CreditGrant.Kind.PROMOTIONAL,
        name=values["name"],
        priority=values["priority"],
        components=values["components"].split(),
        expires_at=_end_of(values["expires_on"], payer),
    )


def _adjust(payer: BillingEntity, values: Values, by: str) -> object:
    return adjust(payer, values["amount"], reason=values["reason"], by=by)


def _end_of(day: date | None, payer: BillingEntity) -> datetime | None:
    """The midnight after a day on the payer's clock."""
    return None if day is None else midnight(day + timedelta(days=1), ZoneInfo(payer.time_zone))


OPERATIONS: Final[Mapping[str, Operation]] = {
    "top-up": Operation(
        "Top up",
        "Top up",
        "The wallet rises at once, as value that was paid in. Nobody's card is charged by this.",
        TopUpForm,
        "top_ups.page",
        _top_up,
    ),
    "grant": Operation(
        "Grant credit",
        "Grant",
        "The wallet rises at once, as credit that is given away.",
        GrantForm,
        "credit_grants.page",
        _grant,
    ),
    "adjustment": Operation(
        "Adjust the wallet",
        "Adjust",
        "The wallet changes at once; the reason stays with it. A later correction is another adjustment.",
        AdjustmentForm,
        "adjustments.page",
        _adjust,
    ),
}
