"""The database engine: lost connections are seen without asking the server."""

from __future__ import annotations

from contextlib import closing

import pytest
from django.db import close_old_connections, connection, connections
from django.test.utils import CaptureQueriesContext

from config.postgres.base import DatabaseWrapper

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_settings_use_it() -> None:
    assert isinstance(connections["default"], DatabaseWrapper)


def test_an_open_connection_is_usable_and_asking_costs_no_query() -> None:
    connection.ensure_connection()
    with CaptureQueriesContext(connection) as queries:
        assert connection.is_usable()
    assert len(queries) == 0


def test_a_connection_that_the_server_has_ended_is_not_usable() -> None:
    connection.ensure_connection()
    mine = connection.connection.info.backend_pid
    with closing(connection.copy()) as other, other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [mine])
    assert not connection.is_usable()
    connection.close()


def test_a_request_after_a_lost_connection_gets_a_new_one() -> None:
    connection.ensure_connection()
    mine = connection.connection.info.backend_pid
    with closing(connection.copy()) as other, other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [mine])
    close_old_connections()  # as at the start of every request
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


def test_a_closed_connection_is_not_usable() -> None:
    connection.close()
    assert not connection.is_usable()
