"""The state store in an SQLite file."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from sharectl.model.records import ANY_ENTRY, EVERYTHING, ContentMark, Lease
from sharectl.model.state_urls import path_in_state_url
from sharectl.state.columns import collection_paused, is_storable
from sharectl.state.contract import (
    LockedError,
    StateBusyError,
    StateError,
    StateRefusedError,
    StateUnavailableError,
)
from sharectl.state.lock import SYSTEM_CLOCK
from sharectl.state.rows import expect_whole_state
from sharectl.state.sqlite import files, leases
from sharectl.state.sqlite.changes import MixedError, apply_changes, replace_content
from sharectl.state.sqlite.errors import translated
from sharectl.state.sqlite.migrations import MIGRATIONS, back_up, check_version, migrate
from sharectl.state.sqlite.reader import SqliteReader, history_lines, is_used, read_document
from sharectl.state.sqlite.snapshots import Snapshots

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sharectl.model.kinds import Address
    from sharectl.model.records import Change, HistoryFilter, HistoryLine, Holder, LockStatus, Scope
    from sharectl.state.contract import StateReader, UsageNotes
    from sharectl.state.lock import Clock
    from sharectl.state.sqlite.migrations import Migration
    from sharectl.state.sqlite.snapshots import Snapshot

_Item = TypeVar("_Item")
_FIRST_POLL_SECONDS: Final = 0.05
_LONGEST_POLL_SECONDS: Final = 1.0
_SHORTEST_BUSY_SECONDS: Final = 3.0  # whoever waits for no holder waits for commits all the same
_UNLOCK_BUSY_SECONDS: Final = 5.0
_PULLED: Final = "push a document that `sharectl state pull` wrote"


def open_store(
    path: Path, *, create: bool, clock: Clock = SYSTEM_CLOCK, migrations: Sequence[Migration] = MIGRATIONS
) -> SqliteStore:
    """Open the state at `path`; raises StateError where there is something that cannot be used, and changes nothing then.

    With `create` a missing file is made (directories with mode 0700, the file with 0600) and a file of an older version is
    migrated, after a copy beside it. Without, a missing file reads as an empty state with lineage "" and serial 0, an older
    file is read as it would be after the migration, and nothing is written.
    """
    store = SqliteStore(files.locate(path), clock=clock, migrations=migrations)
    store.prepare(create=create)
    return store


def open_url(url: str, *, create: bool) -> SqliteStore:
    """See StoreKind."""
    return open_store(Path(path_in_state_url(url)), create=create)


def is_at(url: str) -> bool:
    """See StoreKind."""
    return Path(path_in_state_url(url)).exists()


def set_aside(url: str) -> str:
    """See StoreKind; SQLite's files beside the state go with it."""
    return str(files.set_aside(Path(path_in_state_url(url))))


class SqliteStore:
    """A StateStore in one SQLite file; `open_store` makes it.

    Writing goes through one guarded connection. Each reading has a connection and a transaction of its own, so that readers
    wait for no one. Commits are durable through the write-ahead log with `synchronous = FULL`.
    """

    def __init__(self, path: Path, *, clock: Clock, migrations: Sequence[Migration]) -> None:
        """Use the file at the resolved `path`; nothing is touched yet."""
        self._path = path
        self._clock = clock
        self._migrations = migrations
        self._snapshots = Snapshots(path, migrations)
        self._guard = threading.RLock()
        self._closed = threading.Event()
        self._writer: sqlite3.Connection | None = None
        self._passing_mark: str | None = None
        self._writer_identities: tuple[files.FileIdentity | None, ...] = ()

    @property
    def location(self) -> str:
        """The path of the file."""
        return str(self._path)

    def prepare(self, *, create: bool) -> None:
        """Look at the file, or make it; raises StateError."""
        if not self._snapshots.is_present() and create:
            files.create(self._path, self._migrations)
            self._snapshots.is_present()

    @contextmanager
    def read(self) -> Iterator[StateReader]:
        """See StateStore."""
        with self._snapshots.open() as snapshot:
            yield SqliteReader(snapshot, self._path)

    def commit(self, lease: Lease, changes: Sequence[Change]) -> None:
        """See StateStore."""
        try:
            self._commit(lease, changes, together=True)
        except MixedError:
            self._commit(lease, changes, together=False)

    def _commit(self, lease: Lease, changes: Sequence[Change], *, together: bool) -> None:
        with self._transaction(lease) as connection:
            leases.expect_within(connection, lease, changes, self._path)
            apply_changes(connection, changes, together=together)
            if changes:
                connection.execute("UPDATE meta SET serial = serial + 1")

    def acquire(
        self, holder: Holder, *, duration_seconds: float, wait_seconds: float = 0.0, scope: Scope = EVERYTHING
    ) -> Lease:
        """See StateStore. Before the first lease, the file is checked for damage as a whole."""
        deadline_seconds = time.monotonic() + wait_seconds
        pause_seconds = _FIRST_POLL_SECONDS
        while True:
            patience_seconds = max(_SHORTEST_BUSY_SECONDS, deadline_seconds - time.monotonic())
            try:
                with self._transaction(patience_seconds=patience_seconds) as connection:
                    return leases.take(
                        connection, self._path, holder, scope, duration_seconds, self._clock, self._passing_mark
                    )
            except (LockedError, StateBusyError) as refused:
                left_seconds = deadline_seconds - time.monotonic()
                if left_seconds <= 0:
                    raise self._as_locked(refused, scope) from refused
            if self._closed.wait(min(pause_seconds, left_seconds)):
                raise StateUnavailableError(self.location, "it has been closed")
            pause_seconds = min(2 * pause_seconds, _LONGEST_POLL_SECONDS)

    def renew(self, lease: Lease) -> None:
        """See StateStore."""
        with self._transaction(lease) as connection:
            leases.renew(connection, lease, self._clock)

    def release(self, lease: Lease) -> None:
        """See StateStore."""
        self.break_lock(lease.token)

    def leases(self) -> tuple[LockStatus, ...]:
        """See StateStore."""
        with self._snapshots.open() as snapshot, translated(self._path):
            found = leases.read_leases(snapshot.connection, self._clock, self._path)
            snapshot.verify()
        return tuple(found)

    def lock_status(self, scope: Scope = EVERYTHING) -> LockStatus | None:
        """See StateStore."""
        return next((status for status in self.leases() if status.scope.touches(scope)), None)

    def break_lock(self, token: int) -> bool:
        """See StateStore."""
        if not self._snapshots.is_present():
            return False
        with self._transaction(patience_seconds=_UNLOCK_BUSY_SECONDS, breaking=token) as connection:
            return leases.free(connection, token)

    def history(
        self, *, address: Address | None = None, limit: int | None = None, among: HistoryFilter = ANY_ENTRY
    ) -> Iterator[HistoryLine]:
        """See StateStore. All lines come from one snapshot, taken when the first is asked for."""
        if not all(text is None or is_storable(text) for text in (address, among.run_id, among.user, among.since)):
            return
        with self._snapshots.open() as snapshot:
            yield from self._each(snapshot, history_lines(snapshot.connection, address, limit, among))

    def _each(self, snapshot: Snapshot, items: Iterator[_Item]) -> Iterator[_Item]:
        while True:
            with translated(self._path):
                item = next(items, None)
                snapshot.verify()
            if item is None:
                return
            yield item

    def export_document(self) -> Iterator[bytes]:
        """See StateStore; the format is in docs/state.md."""
        from sharectl.state.document import compose  # noqa: PLC0415 - only two commands need it

        with self._snapshots.open() as snapshot:
            with translated(self._path):
                files.expect_sound(snapshot.connection, self._path)
                document = read_document(snapshot.connection, self._path)
            yield from self._each(snapshot, compose(document))

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
        with self._transaction(lease) as connection:
            current = read_document(connection, self._path)
            # A state that holds nothing and has done nothing yet has nothing to lose, whatever its lineage.
            if not force and (is_used(connection) or current.operations):
                refuse_loss(content, current, self.location)
            replace_content(connection, content)

    def content_mark(self) -> tuple[ContentMark, int]:
        """See KeepsCopies."""
        from sharectl.state.sqlite.copies import read_mark  # noqa: PLC0415 - only where something was changed

        with self._snapshots.open() as snapshot:
            if not snapshot.version:
                return ContentMark("", 0, 0, 0), 0
            with translated(self._path):
                mark = read_mark(snapshot.connection, self._path)
                serial = snapshot.connection.execute("SELECT serial FROM meta").fetchone()[0]
                snapshot.verify()
            return mark, serial

    def write_copy(self, target: Path) -> None:
        """See WritesCopies."""
        from sharectl.state.sqlite.copies import write_copy_of  # noqa: PLC0415 - only where something was changed

        with self._snapshots.open() as snapshot:
            if not snapshot.version:
                raise StateUnavailableError(self.location, "there is no state file")
            with translated(target):
                write_copy_of(snapshot.connection, target)

    def has_run(self, run_id: str) -> bool:
        """See KeepsCopies."""
        with self._snapshots.open() as snapshot, translated(self._path):
            return bool(snapshot.connection.execute("SELECT 1 FROM run WHERE run_id = ?", (run_id,)).fetchone())

    def usage_notes(self) -> UsageNotes:
        """See KeepsUsage."""
        from sharectl.state.sqlite.usage import NotesInFile  # noqa: PLC0415 - only after an apply or a refresh, and where use is shown

        return NotesInFile(self._path, self._snapshots, self._transaction, len(self._migrations))

    def mark_moved(self, lease: Lease, mark: str | None) -> None:
        """See CanMove."""
        with self._transaction(lease) as connection:
            connection.execute("UPDATE meta SET moved_to = ?", (mark,))

    def go_on_moving(self, mark: str) -> None:
        """See CanMove."""
        self._passing_mark = mark

    def moved_to(self) -> str | None:
        """See CanMove."""
        with self._snapshots.open() as snapshot, translated(self._path):
            row = snapshot.connection.execute("SELECT moved_to FROM meta").fetchone()
            return None if row is None else row[0]

    def close(self) -> None:
        """See StateStore. SQLite's files beside the state are merged into it and removed if no other process needs them."""
        self._closed.set()
        self._snapshots.close()
        with self._guard:
            if self._writer is not None:
                self._writer.close()
                self._writer = None
        # What stays behind when tidying fails is complete, and the next process merges it.
        with suppress(sqlite3.Error, OSError, StateError):
            if self._snapshots.trusted and self._snapshots.is_present() and files.has_sidecars(self._path):
                files.tidy(self._path)

    def _as_locked(self, refused: LockedError | StateBusyError, scope: Scope) -> LockedError | StateBusyError:
        """Say of a file that is kept locked who holds the lock in it, where that can be read."""
        if isinstance(refused, LockedError):
            return refused
        try:
            status = self.lock_status(scope)
        except StateError:
            return refused
        if status is None:
            return refused
        remedy = f"; {refused.remedy}" if refused.remedy else ""
        return LockedError(self.location, replace(status, reason=f"{refused.reason}{remedy}"), scope)

    @contextmanager
    def _transaction(
        self,
        lease: Lease | None = None,
        *,
        patience_seconds: float = files.BUSY_TIMEOUT_SECONDS,
        breaking: int | None = None,
    ) -> Iterator[sqlite3.Connection]:
        """Open a transaction that is durable when the block ends, or changes nothing; with `lease` it must be the newest.

        Another process that writes is waited for up to `patience_seconds`, and no longer than for any commit. The holder of the token
        `breaking`, which is to be taken away, does not keep an older file from being migrated.
        """
        with self._guard, translated(self._path):
            connection = self._open_writer(breaking)
            self._expect_same_files()
            is_impatient = patience_seconds < files.BUSY_TIMEOUT_SECONDS
            try:
                if is_impatient:
                    _wait_at_most(connection, patience_seconds)
                connection.execute("BEGIN IMMEDIATE")
            finally:
                if is_impatient:
                    _wait_at_most(connection, files.BUSY_TIMEOUT_SECONDS)
            try:
                check_version(connection, self._path, len(self._migrations))
                if lease is not None:
                    leases.expect_held(connection, lease, self._clock, self._path)
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                connection.rollback()
                raise
            self._expect_same_files()

    def _open_writer(self, breaking: int | None) -> sqlite3.Connection:
        if self._closed.is_set():
            raise StateUnavailableError(self.location, "it has been closed")
        if self._writer is None:
            with self._snapshots.open() as snapshot:
                if not snapshot.version:
                    raise StateUnavailableError(
                        self.location,
                        "there is no state file",
                        "run `sharectl apply`, which makes one, or correct the path",
                    )
                version = snapshot.version
                # While the snapshot is open, closing the writer after a bad finding merges no log into the file.
                writer = files.connect_writer(self._path)
                try:
                    files.expect_sound(writer, self._path)
                except BaseException:
                    writer.close()
                    with translated(self._path):
                        expect_whole_state(SqliteReader(snapshot, self._path))  # which names the row
                    raise
            try:
                files.prepare_writing(writer, self._path)
                self._migrate(writer, version, breaking)
                self._writer_identities = files.identities_with_sidecars(self._path)
            except BaseException:
                writer.close()
                raise
            _wait_at_most(writer, files.BUSY_TIMEOUT_SECONDS)
            self._writer = writer
        return self._writer

    def _migrate(self, writer: sqlite3.Connection, version: int, breaking: int | None) -> None:
        """Bring an older file to the newest version, unless an older sharectl is at work on it."""
        if version == len(self._migrations):
            # Reading makes SQLite create its files beside the state, which must stay the same from now on.
            check_version(writer, self._path, version)
            return
        status = self.lock_status()
        if status is not None and not status.expired and status.token != breaking:
            raise LockedError(self.location, status)
        back_up(writer, self._path, version)
        migrate(writer, self._path, self._migrations)

    def _expect_same_files(self) -> None:
        """Raise StateUnavailableError where commits would go to files that have no name any more."""
        self._snapshots.expect_same()
        if files.identities_with_sidecars(self._path) != self._writer_identities:
            raise StateUnavailableError(
                self.location,
                "SQLite's files beside the state (-wal, -shm) have been removed while they were in use",
                "leave them alone while sharectl runs, and run the command again",
            )


def _wait_at_most(connection: sqlite3.Connection, seconds: float) -> None:
    """Let statements wait no longer than this for another process that writes."""
    connection.execute(f"PRAGMA busy_timeout = {round(seconds * 1000)}")
