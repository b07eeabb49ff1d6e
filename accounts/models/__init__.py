"""Who calls and who pays."""

from accounts.models.currencies import Currency
from accounts.models.customers import Customer, Organization, Workspace
from accounts.models.keys import ApiKey, IntegrationKey
from accounts.models.payers import BillingEntity, PayerAssignment
from accounts.models.users import Membership, User

__all__ = [
    "ApiKey",
    "BillingEntity",
    "Currency",
    "Customer",
    "IntegrationKey",
    "Membership",
    "Organization",
    "PayerAssignment",
    "User",
    "Workspace",
]
