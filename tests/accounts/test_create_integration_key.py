"""`manage.py create_integration_key`"""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts.audit import changes_of
from accounts.credentials import authenticate_key
from accounts.models import IntegrationKey
from tests.accounts.conftest import Clock

pytestmark = pytest.mark.django_db


def create(*arguments: str) -> str:
    out = StringIO()
    call_command("create_integration_key", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_it_prints_the_secret_and_nothing_else() -> None:
    secret = create("gateway").removesuffix("\n")
    assert authenticate_key(secret).scopes == {"admin"}
    assert IntegrationKey.objects.get().name == "gateway"


def test_scopes_and_expiry_are_as_asked(at: Clock) -> None:
    secret = create("x", "--scope", "read", "--scope", "events:write", "--expires-at", "2026-03-11T00:00:00Z")
    record = authenticate_key(secret.strip())
    assert record.scopes == {"read", "events:write"}
    assert record.valid_until == at.instant.replace(day=11, hour=0)


@pytest.mark.parametrize(
    "arguments",
    [
        ("",),
        ("x", "--scope", "root"),
        ("x", "--expires-at", "soon"),
        ("x", "--expires-at", "2020-01-01T00:00:00Z"),
        (),
    ],
)
def test_wrong_arguments_are_one_sentence(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        create(*arguments)
    assert not IntegrationKey.objects.exists()


def test_the_trail_says_that_a_command_did_it() -> None:
    create("gateway")
    assert changes_of(IntegrationKey.objects.get())[0].source == "command"
