"""What may be done to what gateways and providers said, and to messages; see `corruption`."""

from __future__ import annotations

from tests.reconciliation.corruption import Corruption

OUTSIDE: tuple[Corruption, ...] = (
    Corruption(
        "A gateway's count is raised",
        "UPDATE billing_gatewaycount SET calls = calls + 3",
        "gateway_counts",
        "count_too_high",
        "-3",
        "calls",
    ),
    Corruption(
        "A gateway's count is lowered",
        "UPDATE billing_gatewaycount SET calls = 0",
        "gateway_counts",
        "count_too_low",
        "1",
        "calls",
    ),
    Corruption(
        "A top-up no longer names its payment",
        "UPDATE billing_topup SET reference = 'cash' WHERE reference = 'stripe:pi_1'",
        "provider_payments",
        "payment_missing_here",
        "-50",
    ),
    Corruption(
        "A payment is gone from a provider's list",
        "DELETE FROM billing_providerpayment WHERE external_id = 'pi_2'",
        "provider_payments",
        "payment_missing_there",
        "50",
    ),
    Corruption(
        "A provider's amount is changed",
        "UPDATE billing_providerpayment SET amount = 55 WHERE external_id = 'pi_1'",
        "provider_payments",
        "payment_amount_differs",
        "-5",
    ),
    Corruption(
        "A provider's currency is changed",
        "UPDATE billing_providerpayment SET currency = 'EUR' WHERE external_id = 'pi_1'",
        "provider_payments",
        "payment_currency_differs",
        "-50",
        "EUR",
    ),
    Corruption(
        "A top-up names a payment that has been booked",
        "UPDATE billing_topup SET reference = 'stripe:pi_1' WHERE reference = 'stripe:pi_2'",
        "provider_payments",
        "payment_booked_twice",
        "50",
    ),
    Corruption(
        "A message is kept from going out",
        "UPDATE billing_outboxmessage SET created_at = created_at - interval '2 hours' WHERE kind = 'test'",
        "outbox",
        "message_waiting",
        "-1",
        "rows",
    ),
)
