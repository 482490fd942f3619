"""The state store in PostgreSQL."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from sharectl.model.records import ANY_ENTRY, EVERYTHING, Lease
from sharectl.model.state_urls import parse_postgresql_url
from sharectl.state.columns import collection_paused
from sharectl.state.contract import LockedError, StateRefusedError, StateUnavailableError
from sharectl.state.empty import EmptyReader
from sharectl.state.lock import SYSTEM_CLOCK
from sharectl.state.postgresql import leases
from sharectl.state.postgresql.changes import apply_changes, replace_content
from sharectl.state.postgresql.commits import Commits
from sharectl.state.postgresql.connections import LONG_STATEMENT_SECONDS, Connections
from sharectl.state.postgresql.errors import line_of
from sharectl.state.postgresql.history import history_lines
from sharectl.state.postgresql.leases import Request
from sharectl.state.postgresql.reader import (
    PostgresqlReader,
    fetch,
    is_used,
    open_document,
)
from sharectl.state.postgresql.schema import (
    MIGRATIONS,
    READABLE_FROM,
    WITH_NOTES,
    WITH_PROMISES,
    migrate,
    quoted,
    read_meta,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from uuid import UUID

    from sharectl.model.kinds import Address
    from sharectl.model.records import Change, HistoryFilter, HistoryLine, Holder, LockStatus, Promise, Scope
    from sharectl.model.state_urls import PostgresqlPlace
    from sharectl.state.contract import StateReader, UsageNotes
    from sharectl.state.document import Document
    from sharectl.state.lock import Clock
    from sharectl.state.postgresql.absence import Absence
    from sharectl.state.postgresql.commits import Work
    from sharectl.state.postgresql.connections import Connection
    from sharectl.state.postgresql.schema import Migration

_FIRST_POLL_SECONDS: Final = 0.05
_LONGEST_POLL_SECONDS: Final = 1.0
_PATIENCE_SECONDS: Final = 15.0
_PULLED: Final = "push a document that `sharectl state pull` wrote"


def open_store(
    place: PostgresqlPlace, *, create: bool, clock: Clock = SYSTEM_CLOCK, migrations: Sequence[Migration] = MIGRATIONS
) -> PostgresqlStore:
    """Open the state at `place`; raises StateError where there is something that cannot be used, and changes nothing then.

    With `create` a missing state is made. Without, it reads as an empty one with lineage "" and serial 0. Tables of an older version are
    brought to the newest before the first thing is written.
    """
    store = PostgresqlStore(place, clock=clock, migrations=migrations)
    try:
        store.prepare(create=create)
    except BaseException:
        store.close()
        raise
    return store


def open_url(url: str, *, create: bool) -> PostgresqlStore:
    """See StoreKind."""
    return open_store(parse_postgresql_url(url), create=create)


def is_at(url: str) -> bool:
    """See StoreKind."""
    store = open_url(url, create=False)
    try:
        return store.is_present()
    finally:
        store.close()


def set_aside(url: str) -> str:
    """See StoreKind: the schema gets another name."""
    place = parse_postgresql_url(url)
    connections = Connections(place)
    try:
        with connections.lent() as connection:
            number = 1
            select = "SELECT 1 FROM pg_namespace WHERE nspname = %s"
            while fetch(connection, select, (f"{place.schema}_damaged_{number}",)):
                number += 1
            aside = f"{place.schema}_damaged_{number}"
            connection.execute(f"ALTER SCHEMA {quoted(place.schema)} RENAME TO {quoted(aside)}")
    finally:
        connections.close()
    return f"the schema {aside}"


class PostgresqlStore:
    """A StateStore in one schema of a database; `open_store` makes it.

    Commits, heartbeats and readings each have a connection and a transaction of their own, so that none waits for another.
    """

    def __init__(self, place: PostgresqlPlace, *, clock: Clock, migrations: Sequence[Migration]) -> None:
        """Use the schema at `place`; nothing is touched yet."""
        self._place = place
        self._schema = quoted(place.schema)
        self._clock = clock
        self._migrations = migrations
        self._connections = Connections(place)
        self._commits = Commits(self._connections, self._schema, place.location, clock, len(migrations))
        self._guard = threading.Lock()
        self._version = 0
        self._passing_mark: str | None = None

    @property
    def location(self) -> str:
        """Host, database and schema."""
        return self._place.location

    def prepare(self, *, create: bool) -> None:
        """Look at the schema, or make it; raises StateError."""
        with self._connections.lent() as connection:
            self._version = read_meta(connection, self._schema, self.location, len(self._migrations)).version
            if not self._version and create:
                migrate(connection, self._schema, self.location, self._migrations)
                self._version = len(self._migrations)

    def is_present(self) -> bool:
        """Tell whether there is a state."""
        return self._version > 0

    @contextmanager
    def read(self) -> Iterator[StateReader]:
        """See StateStore."""
        if not self._is_readable():
            yield EmptyReader()
            return
        with self._connections.reading() as connection:
            yield PostgresqlReader(connection, self._schema, self.location)

    def commit(self, lease: Lease, changes: Sequence[Change]) -> None:
        """See StateStore. A server that goes away is waited for within the lease."""
        if not changes:
            self._expect_held(lease)
            return

        def make(connection: Connection, _commit_id: UUID, together: bool) -> None:  # noqa: FBT001 - see Work
            leases.expect_within(connection, self._schema, lease, changes, self.location)
            apply_changes(connection, self._schema, changes, together=together)

        self._commit(lease, make)

    def acquire(
        self, holder: Holder, *, duration_seconds: float, wait_seconds: float = 0.0, scope: Scope = EVERYTHING
    ) -> Lease:
        """See StateStore."""
        self._expect_writable()
        request = Request(uuid4(), holder, scope, duration_seconds)
        deadline_seconds = time.monotonic() + wait_seconds
        pause_seconds = _FIRST_POLL_SECONDS
        while True:
            try:
                return self._connections.repeated(
                    lambda connection: self._take(connection, request),
                    patience_seconds=_PATIENCE_SECONDS,
                )
            except LockedError:
                left_seconds = deadline_seconds - time.monotonic()
                if left_seconds <= 0:
                    raise
            self._connections.pause(min(pause_seconds, left_seconds))
            pause_seconds = min(2 * pause_seconds, _LONGEST_POLL_SECONDS)

    def renew(self, lease: Lease) -> None:
        """See StateStore."""
        self._expect_writable()
        patience_seconds = min(_PATIENCE_SECONDS, lease.duration_seconds / 6)
        if not self._connections.repeated(
            lambda connection: leases.renew(connection, self._schema, lease), patience_seconds=patience_seconds
        ):
            self._expect_held(lease)

    def release(self, lease: Lease) -> None:
        """See StateStore. A server that has gone away is not waited for: the lease runs out by itself."""
        if self.is_present():
            self._free(lease.token, patience_seconds=1.0)

    def leases(self) -> tuple[LockStatus, ...]:
        """See StateStore."""
        if not self.is_present():
            return ()
        with self._connections.lent() as connection:
            return tuple(leases.read_leases(connection, self._schema, self._clock, self.location))

    def lock_status(self, scope: Scope = EVERYTHING) -> LockStatus | None:
        """See StateStore."""
        return next((status for status in self.leases() if status.scope.touches(scope)), None)

    def break_lock(self, token: int) -> bool:
        """See StateStore."""
        if not self.is_present():
            return False
        return self._free(token, patience_seconds=_PATIENCE_SECONDS)

    def promise(self, lease: Lease, room: Mapping[tuple[str, str], int]) -> Sequence[Promise]:
        """See KeepsPromises."""
        self._expect_writable()
        return self._connections.repeated(
            lambda connection: leases.promise(connection, self._schema, lease, room, self._clock, self.location),
            patience_seconds=_PATIENCE_SECONDS,
        )

    def promises(self) -> Sequence[Promise]:
        """See KeepsPromises."""
        if not self._is_readable() or self._version < WITH_PROMISES:
            return ()
        with self._connections.lent() as connection:
            return leases.read_promises(connection, self._schema, self._clock, self.location)

    def history(
        self, *, address: Address | None = None, limit: int | None = None, among: HistoryFilter = ANY_ENTRY
    ) -> Iterator[HistoryLine]:
        """See StateStore."""
        if self._is_readable():
            yield from history_lines(self._connections, self._schema, address, limit, among)

    def export_document(self) -> Iterator[bytes]:
        """See StateStore; the format is in docs/state.md."""
        from sharectl.state.document import Document, compose  # noqa: PLC0415 - only two commands need it

        if not self._is_readable():
            yield from compose(Document("", 0, (), (), (), (), ()))
            return
        with self._document() as document:
            yield from compose(document)

    def import_document(self, lease: Lease, document: bytes, *, force: bool = False) -> None:
        """See StateStore. The document is checked as a whole before anything is changed."""
        from sharectl.state.document import DocumentError, parse_whole, refuse_loss  # noqa: PLC0415 - only two commands need it

        try:
            with collection_paused():
                content = parse_whole(document)
        except DocumentError as error:
            raise StateRefusedError(self.location, f"the document is not taken: {error}", _PULLED) from error
        if not lease.scope.is_everything:
            raise StateRefusedError(self.location, "the lease is not for everything")

        def bring(connection: Connection, commit_id: UUID, _together: bool) -> None:  # noqa: FBT001 - see Work
            with open_document(connection, self._schema, self.location, beside=commit_id) as current:
                # A state that holds nothing and has done nothing yet has nothing to lose, whatever its lineage.
                if not force and (is_used(connection, self._schema) or current.operations):
                    refuse_loss(content, current, self.location)
            replace_content(connection, self._schema, content)
            self._commits.set_serial(connection, commit_id, content.serial)

        self._commit(lease, bring, LONG_STATEMENT_SECONDS)

    def write_copy(self, target: Path) -> None:
        """See WritesCopies."""
        from sharectl.state.sqlite.copies import write_document  # noqa: PLC0415 - only for a backup
        from sharectl.state.sqlite.errors import translated as translated_of_file  # noqa: PLC0415 - as above

        if not self._is_readable():
            raise StateUnavailableError(self.location, "there is no state")
        with translated_of_file(target), self._document() as document:
            write_document(document, target)

    @contextmanager
    def _document(self) -> Iterator[Document]:
        """Yield everything but the lock; rows are read as they are asked for, until the block ends."""
        from sharectl.state.postgresql.usage import read_notes  # noqa: PLC0415 - only a few commands need it

        with (
            self._connections.reading() as connection,
            open_document(connection, self._schema, self.location) as document,
        ):
            yield replace(document, notes=read_notes(connection, self._schema)) if self._has_notes else document

    def usage_notes(self) -> UsageNotes:
        """See KeepsUsage."""
        from sharectl.state.postgresql.usage import NotesInTables  # noqa: PLC0415 - only after an apply or a refresh, and where use is shown

        has_notes = self._is_readable() and self._has_notes
        return NotesInTables(self._connections, self._schema, self.location, has_notes=has_notes)

    @property
    def _has_notes(self) -> bool:
        return self._version >= WITH_NOTES

    def mark_moved(self, lease: Lease, mark: str | None) -> None:
        """See CanMove."""
        update = f"UPDATE {self._schema}.meta SET moved_to = %s"  # noqa: S608 - a checked name
        self._commit(lease, lambda connection, _id, _together: connection.execute(update, (mark,)))

    def go_on_moving(self, mark: str) -> None:
        """See CanMove."""
        self._passing_mark = mark

    def moved_to(self) -> str | None:
        """See CanMove."""
        with self._connections.lent() as connection:
            return read_meta(connection, self._schema, self.location, len(self._migrations)).moved_to

    def doubts(self) -> str:
        """See TellsDoubts."""
        with self._connections.lent() as connection:
            settings = fetch(
                connection,
                "SELECT name FROM pg_settings WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off'",
            )
        off = " and ".join(sorted(name for (name,) in settings))
        return f"the server runs with {off} off" if off else ""

    def tell_waiting(self, tell: Callable[[str], object]) -> None:
        """See TellsWaiting."""
        self.absence.tell = lambda problem: tell(line_of(problem))

    @property
    def absence(self) -> Absence:
        """How long the server has been away, for others who ask it in the same run."""
        return self._connections.absence

    def close(self) -> None:
        """See StateStore."""
        self._connections.close()

    def _free(self, token: int, patience_seconds: float) -> bool:
        return self._connections.repeated(
            lambda connection: leases.free(connection, self._schema, token), patience_seconds=patience_seconds
        )

    def _expect_held(self, lease: Lease) -> None:
        with self._connections.lent() as connection:
            held = f"SELECT 1 FROM {self._schema}.lease WHERE token = %s"  # noqa: S608 - a checked name
            if not fetch(connection, held, (lease.token,)):
                raise leases.lost(connection, self._schema, lease, self._clock, self.location)

    def _take(self, connection: Connection, request: Request) -> Lease:
        lease = leases.take(connection, self._schema, self.location, request, self._clock, self._passing_mark)
        self._commits.forget_old(connection)
        return lease

    def _commit(self, lease: Lease, work: Work, granted_seconds: int | None = None) -> None:
        self._expect_writable()
        self._commits.once(lease, work, granted_seconds)

    def _is_readable(self) -> bool:
        """Tell whether there is a state; one that was made meanwhile counts. Raises StateError where it cannot be read."""
        if not self._version:
            with self._connections.lent() as connection:
                self._version = read_meta(connection, self._schema, self.location, len(self._migrations)).version
        if 0 < self._version < READABLE_FROM:
            raise StateUnavailableError(
                self.location,
                f"its tables have version {self._version}, from an older sharectl",
                "`sharectl apply` brings them to this version",
            )
        return self._version > 0

    def _expect_writable(self) -> None:
        """Bring the tables to the newest version, unless an older sharectl is at work on them. Raises StateError and LockedError."""
        with self._guard:
            if self._version == len(self._migrations):
                return
            if not self._is_readable():
                raise StateUnavailableError(
                    self.location, "there is no state", "run `sharectl apply`, which makes one, or correct the URL"
                )
            status = self.lock_status()
            if status is not None and not status.expired:
                raise LockedError(self.location, status)
            with self._connections.lent() as connection:
                migrate(connection, self._schema, self.location, self._migrations)
            self._version = len(self._migrations)
