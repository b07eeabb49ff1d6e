from __future__ import annotations

from typing import Any, ClassVar

import pghistory
from django.contrib.auth.base_user import BaseUserManager
from django.contrib.auth.models import AbstractUser
from django.db import models

from accounts.models.customers import Customer


class UserManager(BaseUserManager["User"]):
    """Makes users that sign in with their e-mail address."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """A user with this e-mail address; without a password they cannot sign in by one."""
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        """A member of staff with every right."""
        return self.create_user(email, password, **(fields | {"is_staff": True, "is_superuser": True}))


@pghistory.track(exclude=["password", "last_login"])
class User(AbstractUser):
    """A person who signs in: the operator's staff (`is_staff`) or a member of customers."""

    username = None  # type: ignore[assignment]
    email = models.EmailField(unique=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects = UserManager()  # type: ignore[assignment,misc]

    def __str__(self) -> str:
        return self.email


@pghistory.track(pghistory.InsertEvent("insert"), pghistory.DeleteEvent("delete"), obj_field=None)
class GroupMember(User.groups.through):  # type: ignore[name-defined,misc]
    """That a user is in a group, as the audit trail sees it."""

    class Meta:
        proxy = True


@pghistory.track(
    pghistory.InsertEvent("insert"), pghistory.UpdateEvent("update"), pghistory.DeleteEvent("delete")
)
class Membership(models.Model):
    """What a user may do in one customer: owners manage, billing pays, members look."""

    class Role(models.TextChoices):
        OWNER = "owner"
        BILLING = "billing"
        MEMBER = "member"

    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=8, choices=Role, default=Role.MEMBER)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "customer"], name="one_membership")]
