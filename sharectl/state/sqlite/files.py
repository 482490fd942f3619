"""The state file on disk: where it is, whether it is ours, how it comes to be, and the connections to it."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from sharectl.model.frozen import NamedTuple
from sharectl.private import draft_of, make_private, sync_directory
from sharectl.state.contract import RESTORE_REMEDY, StateCorruptError, StateNotOursError, StateUnavailableError
from sharectl.state.sqlite.errors import damaged, from_system, not_ours, translated
from sharectl.state.sqlite.migrations import APPLICATION_ID, check_version, migrate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sharectl.state.sqlite.migrations import Migration

BUSY_TIMEOUT_SECONDS: Final = 15.0
_READING_TIMEOUT_SECONDS: Final = 5.0  # readers wait only while the log of a process that was killed is merged
FLAG_CONVERTER: Final = "sharectl_flag"
"""SQLite results in a column named `x [sharectl_flag]` become bools on connections made here: anything but 0 is true."""
_SIDECARS: Final = ("-wal", "-shm")
_PAGE_CACHE_KIB: Final = 16 * 1024
_LEAST_BYTES: Final = 48 * 1024
"""What an empty state of the first version takes; later ones take more."""
_LOOKS: Final = 50
_PAUSE_SECONDS: Final = 0.01

sqlite3.register_converter(FLAG_CONVERTER, b"0".__ne__)


class FileIdentity(NamedTuple):
    """Which file a path led to; the same path may lead to another one later."""

    device: int
    inode: int


def locate(path: Path) -> Path:
    """Return the absolute path of the state file, symbolic links followed; raises StateUnavailableError where they lead nowhere."""
    with translated(path):
        if path.is_symlink() and not path.exists():
            raise StateUnavailableError(
                str(path),
                f"it is a symbolic link to {path.readlink()}, which is not there",
                "mount or restore what the link points to, or remove the link to begin with an empty state",
            )
        return path.resolve()


def identity_of(path: Path) -> FileIdentity | None:
    """Return what `path` leads to now, or None where there is nothing."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return FileIdentity(status.st_dev, status.st_ino)


def sidecar(path: Path, suffix: str) -> Path:
    """Return the path of SQLite's own file beside the state: `-wal` or `-shm`."""
    return path.parent / f"{path.name}{suffix}"  # of the root, too, which has no name


def identities_with_sidecars(path: Path) -> tuple[FileIdentity | None, ...]:
    """Return the identities of the state file and of SQLite's files beside it."""
    return (identity_of(path), *(identity_of(sidecar(path, suffix)) for suffix in _SIDECARS))


def has_sidecars(path: Path) -> bool:
    """Tell whether SQLite's files stand beside the state."""
    return any(sidecar(path, suffix).exists() for suffix in _SIDECARS)


def exists(path: Path) -> bool:
    """Tell whether there is a state file.

    Raises StateCorruptError where only its log is left: what the log holds would be lost, or end up in a file that it does
    not belong to. SQLite ties a log to a database by nothing but its name.
    """
    with translated(path):
        if identity_of(path) is not None:
            return True
        if _has_unmerged_log(path):
            if identity_of(path) is not None:
                return True  # another process has made the file and its log between the two looks
            raise damaged(
                path, f"the file is missing, but {sidecar(path, '-wal').name}, the log of its latest changes, is there"
            )
        return False


def examine(path: Path, known_version: int) -> None:
    """Refuse a file that is not a sound state file of a version up to `known_version`, without touching it or its neighbours.

    The look takes no lock, so that a writer may be merging its log into the file at that moment. What looks wrong counts only
    where the file did not change meanwhile; where it never keeps still, it is left to the reading under SQLite's locks to judge.
    """
    for _ in range(_LOOKS):
        before = appearance_of(path)
        try:
            _look_at(path, known_version)
        except (StateCorruptError, StateNotOursError):
            if appearance_of(path) == before:
                raise
        else:
            return
        time.sleep(_PAUSE_SECONDS)
    if not has_sidecars(path):
        _look_at(path, known_version)


def appearance_of(path: Path) -> Sequence[tuple[int, ...]]:
    """Return what tells that the file or its log was written between two moments."""
    found = []
    for name in (path, sidecar(path, "-wal")):
        with suppress(OSError):
            status = name.stat()
            found.append((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    return found


def _look_at(path: Path, known_version: int) -> None:
    """Do what `examine` says, once.

    The file is read through SQLite even so: closing a descriptor of our own would drop the locks that other connections of
    this process hold on the file (a rule of POSIX).
    """
    with translated(path):
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise not_ours(path, "it is not a regular file")
        if not os.access(path, os.R_OK):
            raise from_system(path, PermissionError(13, "unreadable"))
        if status.st_size == 0:
            raise damaged(path, "it is empty; it was cut off, for sharectl never leaves an empty file")
    # While the log holds changes, the file may lag behind them, even half-way: a kill or a full disk ends a merge
    # at any page. What that looks like is left to the reading with the log.
    lags = _has_unmerged_log(path)
    try:
        with translated(path), closing(_connect(path, "mode=ro&immutable=1")) as connection:
            application_id = connection.execute("PRAGMA application_id").fetchone()[0]
            if application_id != APPLICATION_ID:
                raise not_ours(path, "it is an SQLite file of another program")
            check_version(connection, path, known_version)
            if lags:
                return
            expected_bytes = (
                connection.execute("PRAGMA page_count").fetchone()[0]
                * connection.execute("PRAGMA page_size").fetchone()[0]
            )
    except StateCorruptError as problem:
        if getattr(problem.__cause__, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
            raise not_ours(path, "it does not begin as an SQLite file does") from problem
        if lags:
            return
        raise _as_told(path, status.st_size, problem) from problem
    if status.st_size < expected_bytes:
        raise damaged(path, f"it is cut off after {status.st_size} of {expected_bytes} bytes")


def _as_told(path: Path, size_bytes: int, problem: StateCorruptError) -> StateCorruptError:
    """Return what is said of a damaged file: one of a size that no state has may never have been whole."""
    if size_bytes >= _LEAST_BYTES:
        return problem
    reason = f"it ends after {size_bytes} bytes, and no state is that small: it was cut off, or never whole"
    fresh = "where it never held anything, as the command that made it found no space left, free space, remove it and run that again"
    return StateCorruptError(str(path), reason, f"{fresh}; else {RESTORE_REMEDY}")


def create(path: Path, migrations: Sequence[Migration]) -> None:
    """Make an empty state at `path`, durable and with mode 0600; where another process was faster, its file stands.

    The file is made whole under another name and then linked, so that no process ever sees a part of it.
    """
    with translated(path):
        for made in make_private(path.parent):
            sync_directory(made.parent)
        try:
            with draft_of(path, is_new=True) as draft:
                try:
                    with closing(_connect(draft, "mode=rw")) as connection:
                        prepare_writing(connection, path)
                        migrate(connection, path, migrations)
                        # Closing merges the log too, and keeps to itself that there was no space for it.
                        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                finally:
                    for suffix in _SIDECARS:
                        sidecar(draft, suffix).unlink(missing_ok=True)
        except FileExistsError:
            return
        except OSError as error:
            if error.filename2 is None:
                raise
            reason = f"the file cannot be put in place under its name ({error.strerror})"
            remedy = "put the state on a local file system with hard links"
            raise StateUnavailableError(str(path), reason, remedy) from error


def can_be_written(path: Path) -> bool:
    """Tell whether there is a file that this user may write, with SQLite's files beside it."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def connect_writer(path: Path) -> sqlite3.Connection:
    """Return a connection that can write; it is not used for that before `prepare_writing`."""
    if not os.access(path, os.W_OK):
        raise StateUnavailableError(
            str(path), "it cannot be written", "make it writable for this user, or remount its file system for writing"
        )
    return _connect(path, "mode=rw")


def prepare_writing(connection: sqlite3.Connection, path: Path) -> None:
    """Make the commits of `connection` durable when they return, through a write-ahead log, and hold them to the schema."""
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StateUnavailableError(
            str(path),
            "its file system offers no shared memory, which SQLite's write-ahead log needs",
            "put the state on a local file system",
        )
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    # Pages as they were before a statement or a savepoint, should it be undone: as files they were most of what a commit writes.
    connection.execute("PRAGMA temp_store = MEMORY")
    # macOS alone needs to be told that fsync means the disk.
    connection.execute("PRAGMA fullfsync = ON")
    connection.execute("PRAGMA checkpoint_fullfsync = ON")


def expect_sound(connection: sqlite3.Connection, path: Path) -> None:
    """Read every page and every row; raises StateCorruptError at the first that is damaged.

    On a connection that can write the rows are held against the CHECK constraints too; SQLite leaves those out of a schema
    that it opened for reading only.
    """
    finding = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if finding != "ok":
        raise damaged(path, finding)


def connect_reader(path: Path) -> tuple[sqlite3.Connection, bool]:
    """Return a connection that cannot write, and whether it is blind to writers.

    Where this user may not write, and no writer has left shared memory to read with, SQLite would need to make files of
    its own, which would then stand in their owner's way. A file whose log is empty is read without them; whoever
    reads so must check that the file did not change meanwhile.
    """
    if can_be_written(path):
        return _connect(path, "mode=ro"), False
    if sidecar(path, "-shm").exists():
        return _connect(path, "mode=ro&readonly_shm=1"), False
    if _has_unmerged_log(path):
        raise StateUnavailableError(
            str(path),
            f"its latest changes are in {sidecar(path, '-wal').name}, which this user cannot read along with it",
            "copy the file and the -wal file beside it to a directory of your own, and read them there",
        )
    return _connect(path, "mode=ro&immutable=1"), True


def connect_still(path: Path) -> sqlite3.Connection:
    """Return a connection to a file that is not written any more, such as a copy; it makes no files beside it."""
    return _connect(path, "mode=ro&immutable=1")


def connect_memory() -> sqlite3.Connection:
    """Return a connection to an empty private database."""
    return _configured(":memory:")


def set_aside(path: Path) -> Path:
    """Give a damaged state another name, with SQLite's files beside it, so that another can take its place; return that name."""
    with translated(path):
        number = 1
        while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists() or sidecar(aside, "-wal").exists():
            number += 1
        for suffix in ("", *_SIDECARS):
            with suppress(FileNotFoundError):
                sidecar(path, suffix).rename(sidecar(aside, suffix))
        sync_directory(path.parent)
    return aside


def tidy(path: Path) -> None:
    """Let SQLite merge its log and remove its files beside the state, if no other process uses them."""
    if not can_be_written(path):
        return
    with closing(_connect(path, "mode=rw", patience_seconds=0.0)) as connection:
        connection.execute("SELECT 1 FROM meta").fetchone()


def _connect(path: Path, parameters: str, patience_seconds: float = _READING_TIMEOUT_SECONDS) -> sqlite3.Connection:
    return _configured(f"file:{quote(str(path))}?{parameters}", patience_seconds)


def _configured(target: str, patience_seconds: float = _READING_TIMEOUT_SECONDS) -> sqlite3.Connection:
    connection = sqlite3.connect(
        target,
        uri=target.startswith("file:"),
        timeout=patience_seconds,
        isolation_level=None,
        check_same_thread=False,
        detect_types=sqlite3.PARSE_COLNAMES,
    )
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute(f"PRAGMA cache_size = -{_PAGE_CACHE_KIB}")
    except BaseException:
        connection.close()
        raise
    return connection


def _has_unmerged_log(path: Path) -> bool:
    try:
        return sidecar(path, "-wal").stat().st_size > 0
    except (FileNotFoundError, NotADirectoryError):
        return False
