"""Many prepared statements in one round trip, straight on libpq.

psycopg's own pipeline does the same at ten times the Python per statement, which on the path of a call was
more than the statements themselves cost the server (docs/performance.md). Statements are kept until
`run` and then sent together; their rows are there after it. Values go as text, so every placeholder is
cast in the statement (`%s::bigint[]`) or compared with a column that gives it its type.
"""

from __future__ import annotations

import select
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import count
from typing import Any, Final, cast
from weakref import WeakKeyDictionary

import psycopg
from psycopg import abc, errors, pq
from psycopg.adapt import AdaptersMap, Transformer
from psycopg.types.datetime import TimestamptzLoader

# As plain numbers: a member costs a look-up and a comparison in Python, several times a statement.
_ROWS: Final = int(pq.ExecStatus.TUPLES_OK)
_OK: Final = (int(pq.ExecStatus.COMMAND_OK), _ROWS)
_SYNC: Final = int(pq.ExecStatus.PIPELINE_SYNC)
_BAD: Final = int(pq.ConnStatus.BAD)
STALE: Final = (errors.InvalidSqlStatementName, errors.FeatureNotSupported)
"""What is prepared is no more what the server has: a table was changed under it, or it was deallocated. Every
later use would fail too, so the connection is closed; another attempt gets a new one."""
_BEGIN: Final = "BEGIN"
_COMMIT: Final = "COMMIT"


class Answer:
    """What a statement gave: rows (none before the pipeline ran), or how many rows it touched."""

    __slots__ = ("rowcount", "rows")

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.rowcount = -1

    def fetchall(self) -> list[tuple[Any, ...]]:
        """The rows."""
        return self.rows

    def fetchone(self) -> tuple[Any, ...] | None:
        """The first row; None when there is none."""
        return self.rows[0] if self.rows else None

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.rows)


class Pipeline:
    """Statements for one connection. A context manager that runs them unless the block raised.

    Begins a transaction where Django has asked for one. An error of any statement is raised as the
    driver's own, and the transaction is over then, as after any error.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self._queue: list[tuple[str, list[bytes | None], Answer]] = []

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.run()

    def execute(self, query: str, params: Sequence[Any] = ()) -> Answer:
        """Add a statement; its answer is filled when the pipeline has run."""
        answer = Answer()
        texts = [param.encode() if type(param) is str else _text(param) for param in params]
        self._queue.append((query, texts, answer))
        return answer

    def commit(self) -> None:
        """Commit with the last statement's round trip. Nothing may follow in this transaction."""
        self.execute(_COMMIT)

    def run(self) -> None:
        """Send what there is and read all answers."""
        queue, self._queue = self._queue, []
        if not queue:
            return
        libpq = self.connection.pgconn
        if not self.connection.autocommit and is_beginning(self.connection):
            queue.insert(0, (_BEGIN, [], Answer()))
        session = _session(self.connection)
        prepared = session.prepared
        libpq.enter_pipeline_mode()
        try:
            expected = _send(libpq, queue, prepared)
            results = _read(libpq)
        finally:
            _leave(libpq)
        for (query, answer), result in zip(expected, results, strict=True):
            if result.status not in _OK:
                error = errors.error_from_result(result, encoding="utf-8")
                if isinstance(error, STALE):
                    libpq.finish()
                raise error
            if answer is None:
                prepared.add(query)
            else:
                _fill(answer, result, session.rows)
        session.rows.set_pgresult(None)


class _Session:
    """What is kept of one connection: its prepared statements, and how it reads rows.

    psycopg prepares nothing here, or it would drop ours with its own. Instants are read by psycopg's own
    loader, in C; Django's is in Python and takes ten times as long. `connection`: none, so that what is kept
    of one does not keep it; instants come in UTC then, whatever the session's time zone. `number`: of the
    connections of this process.
    """

    connection = None

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.number = next(_session_numbers)
        self.prepared: set[str] = set()
        self.adapters = AdaptersMap(connection.adapters)
        self.adapters.register_loader("timestamptz", TimestamptzLoader)
        self.rows = Transformer(self)


_session_numbers: Final = count(1)
_sessions: Final[WeakKeyDictionary[psycopg.Connection[Any], _Session]] = WeakKeyDictionary()


def session_number(connection: psycopg.Connection[Any]) -> int:
    """A number that no other connection of this process ever had."""
    return _session(connection).number


def is_beginning(connection: psycopg.Connection[Any]) -> bool:
    """Whether the next statement is the first of its transaction."""
    return connection.pgconn.transaction_status == pq.TransactionStatus.IDLE


def _session(connection: psycopg.Connection[Any]) -> _Session:
    found = _sessions.get(connection)
    if found is None:
        found = _sessions[connection] = _Session(connection)
    return found


_names: Final[dict[str, tuple[bytes, bytes]]] = {}
_numbers: Final = count(1)


def _send(
    libpq: pq.abc.PGconn, queue: Sequence[tuple[str, list[bytes | None], Answer]], prepared: set[str]
) -> list[tuple[str, Answer | None]]:
    """Put all statements on their way; the answers to expect (None: of a preparation)."""
    expected: list[tuple[str, Answer | None]] = []
    new: set[str] = set()
    for query, params, answer in queue:
        name, text = _named(query)
        if query not in prepared and query not in new:
            libpq.send_prepare(name, text)
            expected.append((query, None))
            new.add(query)
        libpq.send_query_prepared(name, params)
        expected.append((query, answer))
    libpq.pipeline_sync()
    return expected


def _read(libpq: pq.abc.PGconn) -> list[pq.abc.PGresult]:
    """The results of all statements, waiting without the interpreter lock. Raises OperationalError."""
    poll = select.poll()
    is_sending = libpq.flush() > 0
    poll.register(libpq.socket, select.POLLIN | (select.POLLOUT if is_sending else 0))
    results: list[pq.abc.PGresult] = []
    while True:
        while not libpq.is_busy():
            result = libpq.get_result()
            if result is None:  # the end of one statement's results, or of everything
                if libpq.status == _BAD:
                    raise psycopg.OperationalError("the connection to the database was lost")
                continue
            if result.status == _SYNC:
                return results
            results.append(result)
        poll.poll()
        libpq.consume_input()
        if is_sending and not (is_sending := libpq.flush() > 0):
            poll.modify(libpq.socket, select.POLLIN)


def _leave(libpq: pq.abc.PGconn) -> None:
    """Back to ordinary use; a connection that broke in the middle is closed, so that nobody reuses it."""
    try:
        libpq.exit_pipeline_mode()
    except psycopg.Error:
        libpq.finish()


def _fill(answer: Answer, result: pq.abc.PGresult, rows: abc.Transformer) -> None:
    if result.status == _ROWS:
        rows.set_pgresult(result)
        answer.rows = cast(list[tuple[Any, ...]], rows.load_rows(0, result.ntuples, tuple))
        answer.rowcount = result.ntuples
    else:
        answer.rowcount = result.command_tuples or 0


def _named(query: str) -> tuple[bytes, bytes]:
    """The name under which a statement is prepared, and its text with numbered placeholders."""
    known = _names.get(query)
    if known is None:
        first, *rest = query.replace("%%", "%").split("%s")
        text = first + "".join(f"${number}{part}" for number, part in enumerate(rest, start=1))
        # Two threads may meet here: with two names, each would miss what the other has prepared.
        known = _names.setdefault(query, (b"tollgate_%d" % next(_numbers), text.encode()))
    return known


def _text(value: Any) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, str):
        return value.encode()
    return (value.isoformat() if isinstance(value, datetime) else str(value)).encode()
