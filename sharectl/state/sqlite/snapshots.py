"""Consistent views of the state file for any number of readers at once, none of which writes to it."""

from __future__ import annotations

import threading
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from sharectl.model.frozen import dataclass
from sharectl.state.contract import StateError, StateUnavailableError
from sharectl.state.sqlite import files
from sharectl.state.sqlite.errors import translated
from sharectl.state.sqlite.migrations import check_version, migrate

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from sharectl.state.sqlite.migrations import Migration

_IDLE_CONNECTIONS: Final = 4
_GONE_REMEDY: Final = (
    "put the file back, or bring back a copy that sharectl kept: `sharectl state restore` lists them; "
    "`sharectl import` adopts shares that a state does not know"
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An open read transaction: what it shows does not change. `version` is the one in the file, 0 where there is no file yet.

    `verify` is called after reading and raises StateUnavailableError where what was read cannot be trusted.
    """

    connection: sqlite3.Connection
    version: int
    verify: Callable[[], None]


class Snapshots:
    """Opens snapshots of one file, as it was first found; refuses to go on with another one in its place."""

    def __init__(self, path: Path, migrations: Sequence[Migration]) -> None:
        """Read the file at `path` as the newest of `migrations` leaves it."""
        self._path = path
        self._migrations = migrations
        self._identity: files.FileIdentity | None = None
        self._guard = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        self._migrated: dict[sqlite3.Connection, tuple[int, sqlite3.Connection]] = {}
        """Of an older file, what a connection last saw, as the migration leaves it, and which version of the data that was."""
        self.trusted = True
        """Whether all that was read so far was sound; a file that is not must not even be tidied up."""

    def is_present(self) -> bool:
        """Tell whether there is a file; raises StateError where it is unusable, or no longer the one that was found first."""
        with self._guard, translated(self._path):
            if self._identity is None:
                if not files.exists(self._path):
                    return False
                files.examine(self._path, len(self._migrations))
                self._identity = files.identity_of(self._path)
            self.expect_same()
            return True

    def expect_same(self) -> None:
        """Raise StateUnavailableError where the path no longer leads to the file that was found first."""
        found = files.identity_of(self._path)
        if found == self._identity:
            return
        what = "vanished" if found is None else "been replaced by another file"
        raise StateUnavailableError(str(self._path), f"the state file has {what} while it was in use", _GONE_REMEDY)

    @contextmanager
    def open(self) -> Iterator[Snapshot]:
        """Open a snapshot for the block; where there is no state yet, of an empty one without a lineage."""
        if not self.is_present():
            with closing(files.connect_memory()) as empty:
                migrate(empty, self._path, self._migrations)
                empty.execute("PRAGMA ignore_check_constraints = ON")
                empty.execute("UPDATE meta SET lineage = ''")
                yield Snapshot(empty, 0, self._do_nothing)
            return
        before = files.appearance_of(self._path)
        connection, blind = self._connect()
        verify = partial(self._expect_unchanged, before) if blind else self._do_nothing
        try:
            with translated(self._path):
                connection.execute("BEGIN")
                version = check_version(connection, self._path, len(self._migrations))
            if version == len(self._migrations):
                yield Snapshot(connection, version, verify)
            else:
                with translated(self._path):
                    copy = self._migrated_copy(connection)
                yield Snapshot(copy, version, verify)
        except StateError:
            if blind:
                verify()  # what looks damaged may only have been written while it was read
            self.trusted = False
            raise
        finally:
            connection.rollback()
            self._give_back(connection, blind=blind)

    def close(self) -> None:
        """Close what is idle; a snapshot that is still open is closed at its end."""
        with self._guard:
            self._closed = True
            for connection in self._idle:
                self._end(connection)
            self._idle.clear()

    def _connect(self) -> tuple[sqlite3.Connection, bool]:
        try:
            with translated(self._path):
                return self._take()
        except StateError:
            self.trusted = False
            raise

    def _take(self) -> tuple[sqlite3.Connection, bool]:
        with self._guard:
            if self._closed:
                raise StateUnavailableError(str(self._path), "it has been closed")
            if self._idle:
                return self._idle.pop(), False
        return files.connect_reader(self._path)

    def _give_back(self, connection: sqlite3.Connection, *, blind: bool) -> None:
        with self._guard:
            if not blind and not self._closed and len(self._idle) < _IDLE_CONNECTIONS:
                self._idle.append(connection)
                return
        self._end(connection)

    def _migrated_copy(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        """Return what the open transaction sees, migrated; made anew only if the file has been written since."""
        (data_version,) = connection.execute("PRAGMA data_version").fetchone()
        known = self._migrated.get(connection)
        if known is not None and known[0] == data_version:
            return known[1]
        copy = files.connect_memory()
        try:
            connection.backup(copy)
            migrate(copy, self._path, self._migrations)
        except BaseException:
            copy.close()
            raise
        if known is not None:
            known[1].close()
        self._migrated[connection] = data_version, copy
        return copy

    def _end(self, connection: sqlite3.Connection) -> None:
        """Close a connection, and what was made of what it saw."""
        connection.close()
        if connection in self._migrated:
            self._migrated.pop(connection)[1].close()

    def _do_nothing(self) -> None:
        """Trust what SQLite's own locks protect."""

    def _expect_unchanged(self, before: Sequence[tuple[int, ...]]) -> None:
        if files.appearance_of(self._path) != before:
            reason = "it was changed while it was read"
            raise StateUnavailableError(str(self._path), reason, "run the command again")
