"""Connections to the database of a state: opened as they are needed, kept while they are sound, one transaction at a time on each."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

import psycopg
from psycopg import sql

from sharectl.private import SecretError, read_secret
from sharectl.state.contract import StateUnavailableError
from sharectl.state.postgresql.absence import Absence
from sharectl.state.postgresql.errors import HungServerError, UnansweredError, is_passing, translated
from sharectl.state.postgresql.patience import UNLIMITED_SECONDS, PatientConnection, is_answering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from psycopg.sql import Composable

    from sharectl.model.state_urls import PostgresqlPlace

    Connection = PatientConnection

_Result = TypeVar("_Result")

_IDLE_CONNECTIONS: Final = 4
_COMMIT_SECONDS: Final = 15.0
_LONG_COMMIT_SECONDS: Final = 600.0
_AT_ONCE_SECONDS: Final = 30.0
"""How long an answer is waited for. Without an end PostgreSQL waits for a synchronous standby that has gone away, before it says that a commit is made."""
_USUAL_STATEMENT_SECONDS: Final = 60
LONG_STATEMENT_SECONDS: Final = 600
"""What the server grants a statement that reads, or that replaces everything."""
_READING_PATIENCE_SECONDS: Final = 15.0
_FIRST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 1.0
_DEFAULTS: Final = {
    "application_name": "sharectl",
    "connect_timeout": "10",
    "target_session_attrs": "read-write",  # a standby lags behind, and cannot be written
    # A server that has vanished from the network is noticed in half a minute, within a lease.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
}
_FIXED: Final = {
    "client_encoding": "utf8",
    # Given empty, so that the environment (PGHOSTADDR, PGOPTIONS) leads nowhere else and changes no session.
    "hostaddr": "",
    "options": "",
}

# A session whose client the network has lost is ended before those who wait for its locks give up. Backslashes in strings are
# what they are in the standard, whatever the database is set to: psycopg escapes arrays of bytes for nothing else. Each statement
# sees what was committed before it: who has waited for a lock sees what its holder has done.
_WRITING: Final = (
    "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = on; SET LOCAL lock_timeout = '15s'; SET LOCAL statement_timeout = '{seconds}s';"
    " SET LOCAL idle_in_transaction_session_timeout = '10s'; SET LOCAL standard_conforming_strings = on"
)
_READING: Final = (
    f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '{LONG_STATEMENT_SECONDS}s'"
)


@contextmanager
def _answered_within(connection: Connection, seconds: float) -> Iterator[None]:
    """Let each answer be waited for so long; one that does not come is not asked for any more, and the connection is closed.

    Nothing is cancelled: PostgreSQL would say of a commit that its standby has not got that it is made.
    """
    connection.patience_seconds = seconds
    try:
        yield
    finally:
        connection.patience_seconds = None


class Connections:
    """Connections to one place; `lend` gives one out for a block. Used from any thread.

    Nothing is prepared, and nothing is set beyond a transaction: PgBouncer in transaction mode gives each transaction another session.
    """

    def __init__(self, place: PostgresqlPlace) -> None:
        """Connect to `place` when that is first needed."""
        self._place = place
        self._location = place.location
        self._guard = threading.Lock()
        self._idle: list[PatientConnection] = []
        self._closed = threading.Event()
        self._was_reached = False
        self.absence = Absence()
        """May be shared with others who ask the same server."""

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that sees one moment, from its first question on. Raises StateError."""
        patience_seconds = _READING_PATIENCE_SECONDS
        with translated(self._location):
            self.absence.refuse(patience_seconds)
            with self._begun(_READING, LONG_STATEMENT_SECONDS, patience_seconds) as (connection, _):
                yield connection

    def repeated(self, work: Callable[[Connection], _Result], *, patience_seconds: float) -> _Result:
        """Do as `repeated_after` without a question before."""
        return self.repeated_after("SELECT", lambda connection, _: work(connection), patience_seconds)

    def repeated_after(
        self,
        question: str,
        work: Callable[[Connection, Sequence[tuple[Any, ...]]], _Result],
        patience_seconds: float,
        granted_seconds: int | None = None,
    ) -> _Result:
        """Return what `work` makes of a transaction that writes, and that has been committed then.

        Each of its statements may take `granted_seconds`, or what is usual. It is given the answer to the `question`, which goes to the server together with the beginning of the transaction.
        Where the server goes away, or undoes it in favour of another, it is done again from the beginning, until the server has been
        away for `patience_seconds`, whoever has met that first: `work` has to be right when an earlier try was committed and its answer lost, or is still at it and
        keeps what this one wants. A server that could never be reached is not waited for. Raises StateError.
        """
        since_seconds = time.monotonic()
        pause_seconds = _FIRST_PAUSE_SECONDS
        commit_seconds = _COMMIT_SECONDS if granted_seconds is None else _LONG_COMMIT_SECONDS
        granted_seconds = granted_seconds or _USUAL_STATEMENT_SECONDS
        is_in_doubt = False
        with translated(self._location):
            self.absence.refuse(patience_seconds)
            while True:
                is_committing = False
                asked_seconds = time.monotonic()
                try:
                    beginning = f"{_WRITING.format(seconds=granted_seconds)}; {question}"
                    with self._begun(beginning, granted_seconds) as (connection, rows):
                        result = work(connection, rows)
                        is_committing = True
                        _commit(connection, commit_seconds)
                        self.absence.ended()
                        return result
                except psycopg.Error as error:
                    is_held_by_itself = is_in_doubt and isinstance(error, psycopg.errors.LockNotAvailable)
                    is_worth_it = is_passing(error) or is_held_by_itself
                    since_seconds = min(since_seconds, self._failed(asked_seconds, error, is_away=is_held_by_itself))
                    has_stood_still = isinstance(error, psycopg.errors.IdleInTransactionSessionTimeout)
                    if has_stood_still:  # this process, and the server was there
                        since_seconds = time.monotonic()
                    left_seconds = max(since_seconds + patience_seconds - time.monotonic(), 0.0)
                    if is_held_by_itself and not left_seconds:
                        message = "an earlier try is still being committed"
                        raise UnansweredError(message) from error
                    if not self._was_reached or not is_worth_it or not (left_seconds or has_stood_still):
                        raise
                    is_in_doubt = is_in_doubt or is_committing
                self.pause(min(pause_seconds, left_seconds))
                pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)

    def _failed(self, asked_seconds: float, error: psycopg.Error, *, is_away: bool = False) -> float:
        """Return since when the server has been away, for what was asked then; it was not where it refused."""
        if self._was_reached and (is_away or is_passing(error, by_absence=True)):
            return self.absence.failed(asked_seconds, error)
        return asked_seconds

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that writes, and that is committed at the end of the block. Raises StateError.

        It is made once: where the answer is lost, nobody knows whether it has been committed.
        """
        beginning = _WRITING.format(seconds=_USUAL_STATEMENT_SECONDS)
        with translated(self._location), self._begun(beginning, _USUAL_STATEMENT_SECONDS) as (connection, _):
            yield connection
            _commit(connection, _COMMIT_SECONDS)
        self.absence.ended()

    def at_once(self, statements: Sequence[Composable]) -> list[list[tuple[Any, ...]]]:
        """Return the rows of each statement, made in one transaction that writes and is committed: all of it in one round trip.

        Where the answer is lost, nobody knows whether it has been committed; on a connection that was cut off while it was idle it
        is made again, so that it has to be right when it is made twice. Raises StateError.
        """
        text = sql.SQL("; ").join(
            [sql.SQL(_WRITING.format(seconds=_USUAL_STATEMENT_SECONDS)), *statements, sql.SQL("COMMIT")]
        )
        with translated(self._location):
            while True:
                connection = self._idle_one()
                was_idle = connection is not None
                asked_seconds = time.monotonic()
                try:
                    connection = connection or self._connect()
                    with _answered_within(connection, _AT_ONCE_SECONDS):
                        rows = _rows_of(connection.execute(text))[-len(statements) - 1 : -1]
                    self.absence.ended()
                except psycopg.Error as error:
                    if (
                        connection is None
                        or not was_idle
                        or not is_passing(error)
                        or isinstance(error, UnansweredError)
                    ):
                        self._failed(asked_seconds, error)
                        raise
                    connection.close()
                else:
                    return rows
                finally:
                    if connection is not None:
                        self._give_back(connection)

    @contextmanager
    def lent(self) -> Iterator[Connection]:
        """Yield a connection outside of any transaction. Raises StateError."""
        with translated(self._location), self._begun("SELECT", UNLIMITED_SECONDS) as (connection, _):
            yield connection

    def pause(self, seconds: float) -> None:
        """Wait; raises StateUnavailableError where the store is closed meanwhile."""
        if self._closed.wait(seconds):
            raise StateUnavailableError(self._location, "it has been closed")

    def close(self) -> None:
        """Close what is idle; a connection that is lent is closed when it is given back."""
        self._closed.set()
        self._close_idle()

    def _close_idle(self) -> None:
        with self._guard:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @contextmanager
    def _begun(
        self, beginning: str, granted_seconds: float, patience_seconds: float = 0.0
    ) -> Iterator[tuple[Connection, list[tuple[Any, ...]]]]:
        connection, rows = self._take_patiently(beginning, granted_seconds, patience_seconds)
        try:
            yield connection, rows
        finally:
            self._give_back(connection)

    def _take_patiently(
        self, beginning: str, granted_seconds: float, patience_seconds: float
    ) -> tuple[Connection, list[tuple[Any, ...]]]:
        """Do what `_take` does, and wait for a server that has gone away; one that could never be reached is not waited for."""
        since_seconds = time.monotonic()
        while True:
            asked_seconds = time.monotonic()
            try:
                return self._take(beginning, granted_seconds)
            except psycopg.Error as error:
                since_seconds = min(since_seconds, self._failed(asked_seconds, error))
                is_over = time.monotonic() >= since_seconds + patience_seconds
                if is_over or not self._was_reached or not is_passing(error):
                    raise
            self.pause(_LONGEST_PAUSE_SECONDS / 4)

    def _take(self, beginning: str, granted_seconds: float) -> tuple[Connection, list[tuple[Any, ...]]]:
        """Return a connection on which `beginning` has been executed, and the last rows of that; one that was idle may have been cut off meanwhile."""
        while True:
            idle = self._idle_one()
            connection = idle or self._connect()
            connection.granted_seconds = granted_seconds
            try:
                rows = _rows_of(connection.execute(beginning.encode()))[-1]
            except psycopg.Error as error:
                connection.close()
                if isinstance(error, HungServerError):
                    self._close_idle()  # they lead to the same
                if idle is None or isinstance(error, UnansweredError):
                    raise
            except BaseException:
                connection.close()
                raise
            else:
                return connection, rows

    def _idle_one(self) -> Connection | None:
        if self._closed.is_set():
            raise StateUnavailableError(self._location, "it has been closed")
        with self._guard:
            return self._idle.pop() if self._idle else None

    def _give_back(self, connection: Connection) -> None:
        with suppress(psycopg.Error):
            connection.rollback()
        is_sound = not connection.closed and connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        with self._guard:
            if is_sound and not self._closed.is_set() and len(self._idle) < _IDLE_CONNECTIONS:
                self._idle.append(connection)
                return
        connection.close()

    def _connect(self) -> Connection:
        parameters: dict[str, Any] = {**_FIXED, **_DEFAULTS, **self._place.parameters}
        reference = self._place.password_from
        if reference is not None:
            try:
                parameters["password"] = read_secret(*reference)
            except SecretError as error:
                remedy = "put the password there, or correct the reference"
                raise StateUnavailableError(self._location, str(error), remedy) from error
        connection = PatientConnection.connect(autocommit=True, prepare_threshold=None, **parameters)
        connection.answers_beside = lambda: is_answering(parameters, connection)
        self._was_reached = True
        return connection


def _commit(connection: Connection, seconds: float) -> None:
    """Commit; where nothing is heard of that for so long, nobody knows whether it is made. Raises psycopg.Error."""
    with _answered_within(connection, seconds):
        connection.execute("COMMIT")


def _rows_of(cursor: psycopg.Cursor[tuple[Any, ...]]) -> list[list[tuple[Any, ...]]]:
    """Return the rows of each result."""
    found = [cursor.fetchall() if cursor.description is not None else []]
    while cursor.nextset():
        found.append(cursor.fetchall() if cursor.description is not None else [])
    return found
