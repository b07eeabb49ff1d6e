"""COPY straight on libpq: psycopg's own takes four times the Python, which matters for a few hundred rows."""

from __future__ import annotations

import select
from typing import Any

import psycopg
from psycopg import errors, pq


def copy_in(connection: psycopg.Connection[Any], statement: bytes, data: bytes) -> None:
    """Run a `COPY ... FROM STDIN` with its data; raises the driver's errors.

    Begins a transaction where Django has asked for one, as every statement does.
    """
    libpq = connection.pgconn
    if not connection.autocommit and libpq.transaction_status == pq.TransactionStatus.IDLE:
        _require(libpq, libpq.exec_(b"BEGIN"), pq.ExecStatus.COMMAND_OK)
    _require(libpq, libpq.exec_(statement), pq.ExecStatus.COPY_IN)
    libpq.put_copy_data(data)
    libpq.put_copy_end()
    _require(libpq, _answer(libpq), pq.ExecStatus.COMMAND_OK)


def _require(libpq: pq.abc.PGconn, result: pq.abc.PGresult | None, status: pq.ExecStatus) -> None:
    if result is not None and result.status == status:
        return
    if result is None or libpq.status == pq.ConnStatus.BAD:
        raise psycopg.OperationalError("the connection to the database was lost")
    raise errors.error_from_result(result, encoding="utf-8")


def _answer(libpq: pq.abc.PGconn) -> pq.abc.PGresult | None:
    """Send what is still here and wait for the answer, without the interpreter lock; None: it was lost."""
    poll = select.poll()
    is_sending = libpq.flush() > 0
    poll.register(libpq.socket, select.POLLIN | (select.POLLOUT if is_sending else 0))
    while is_sending or libpq.is_busy():
        poll.poll()
        libpq.consume_input()
        if is_sending and not (is_sending := libpq.flush() > 0):
            poll.modify(libpq.socket, select.POLLIN)
    result = libpq.get_result()
    while result is not None and libpq.get_result() is not None:  # what follows says only that it is over
        pass
    return result
