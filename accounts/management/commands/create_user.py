"""`manage.py create_user EMAIL`: the first person who signs in, and any other."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from accounts.models import Customer, Membership, User
from accounts.permissions import STAFF_GROUPS
from accounts.users import add_member, add_to_staff, create_user, renew_password
from core.api.references import find_referenced
from core.audit import Source, audited
from core.commands import TollgateCommand


class Command(TollgateCommand):
    """Writes a new password, and nothing else, to standard output: it is told this once."""

    help = (
        "Let a person sign in, as staff or as a member of a customer, and print a new password, once. "
        "A person who is there already keeps the password and gets the right as well."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Who it is, and what they may do."""
        parser.add_argument("email", metavar="EMAIL", help="what the person signs in with")
        parser.add_argument("--name", default="", help="what the person is called")
        place = parser.add_mutually_exclusive_group(required=True)
        place.add_argument("--staff", choices=STAFF_GROUPS, help="staff of this group, instead of any other")
        place.add_argument("--customer", metavar="CUSTOMER", help="a member of this customer")
        place.add_argument(
            "--new-password", action="store_true", help="only a new password, the old one ends"
        )
        parser.add_argument(
            "--role", choices=Membership.Role.values, help="of a member (default: owner); needs --customer"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Make the user, or add to their rights; CommandError (exit code 1) says what is wrong."""
        if options["role"] and not options["customer"]:
            raise CommandError("--role is of a member: give --customer as well.")
        with audited(Source.COMMAND, "manage.py create_user"), transaction.atomic():
            user, password = self._user(options)
            says = self._admit(user, options)
        if password is None:
            self.stderr.write(f"{user.email} {says}, and keeps the password.")
            return
        self.stderr.write(f"{user.email} {says}. The password, to be changed after signing in:")
        self.stdout.write(password)

    def _user(self, options: dict[str, Any]) -> tuple[User, str | None]:
        """Whose e-mail address it is, and their password if it is new."""
        email = options["email"]
        user = User.objects.filter(email=email.strip().lower()).first()
        if user is None and options["new_password"]:
            raise CommandError(f"There is no user {email!r}.")
        is_new = user is None
        user = user or create_user(email=email, name=options["name"])
        return user, renew_password(user) if is_new or options["new_password"] else None

    def _admit(self, user: User, options: dict[str, Any]) -> str:
        """Give the right that was asked for; what to say of it."""
        if options["staff"]:
            add_to_staff(user, options["staff"])
            return f"is staff of the group {options['staff']}"
        if options["customer"]:
            customer = find_referenced(Customer.objects.all(), "cus", options["customer"])
            role = options["role"] or Membership.Role.OWNER.value
            add_member(user, customer, role)
            return f"is a member of {customer.name} with the role {role}"
        return "has a new password"
