"""An embedded server that cannot be started just now is a database that is away."""

from __future__ import annotations

import psycopg
import pytest
from django.db import OperationalError, connection
from django.db.backends.postgresql import base

from config.embedded import ServerError
from config.embedded.installation import POSTGRES
from config.failures import sentence
from core.api.errors import as_tollgate_error

pytestmark = pytest.mark.django_db
SAID = "PostgreSQL did not start: another one still goes down"


@pytest.fixture
def failure(monkeypatch: pytest.MonkeyPatch) -> OperationalError:
    """What a caller meets then."""

    def refuse(*_: object) -> None:
        raise psycopg.OperationalError("connection refused")

    def fail() -> None:
        raise ServerError(SAID)

    monkeypatch.setattr(base.DatabaseWrapper, "get_new_connection", refuse)
    monkeypatch.setattr(POSTGRES, "start", fail)
    fresh = connection.copy()
    with pytest.raises(OperationalError) as caught:
        fresh.ensure_connection()
    return caught.value


def test_a_caller_hears_that_it_is_us_and_may_try_again(failure: OperationalError) -> None:
    error = as_tollgate_error(failure)
    assert (error.status, error.code) == (503, "unavailable")


def test_whoever_typed_a_command_hears_why(failure: OperationalError) -> None:
    assert sentence(failure) == f"The database does not answer: {SAID}"
