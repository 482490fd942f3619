"""From what SQLite and the operating system say to the errors of the store's contract."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sharectl.state.contract import (
    RESTORE_REMEDY,
    DamagedRowError,
    StateBusyError,
    StateCorruptError,
    StateError,
    StateNotOursError,
    StateRefusedError,
    StateUnavailableError,
)
from sharectl.state.lock import process_fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BUSY_REMEDY: Final = "another program keeps the file locked; find it with `fuser` and try again when it has ended"

_SPACE_REMEDY: Final = (
    "free space on the file system that holds the state, or raise its quota, and run the command again"
)
_READ_ONLY_REMEDY: Final = (
    "make the file and its directory writable for this user, or remount the file system for writing"
)
_PERMISSION_REMEDY: Final = "ask its owner for permission, or run the command as the user that owns it"
_MEDIUM_REMEDY: Final = "look at the kernel log for errors of the disk or file system that holds the state"

_UNAVAILABLE: Final[dict[int, tuple[str, str]]] = {
    sqlite3.SQLITE_FULL: ("there is no space left for it", _SPACE_REMEDY),
    sqlite3.SQLITE_READONLY: ("it cannot be written", _READ_ONLY_REMEDY),
    sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", _READ_ONLY_REMEDY),
    sqlite3.SQLITE_PERM: ("access is denied", _PERMISSION_REMEDY),
    sqlite3.SQLITE_IOERR_SHMSIZE: ("there is no space left for SQLite's shared memory beside it", _SPACE_REMEDY),
    sqlite3.SQLITE_IOERR: ("reading or writing it failed", _MEDIUM_REMEDY),
}
_CORRUPT: Final = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_FORMAT,
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_SCHEMA,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_IOERR_SHORT_READ,
    }
)
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_REFUSED: Final = frozenset({sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG})
_PRIMARY_CODE_MASK: Final = 0xFF
_LOCKS: Final = Path("/proc/locks")
_LINE_FIELDS: Final = 8
_STOPPED: Final = frozenset({"T", "t"})


@contextmanager
def translated(location: Path | str) -> Iterator[None]:
    """Let only errors of the contract out of the block, whatever SQLite or the operating system raise in it."""
    try:
        yield
    except sqlite3.Error as error:
        raise from_sqlite(location, error) from error
    except OSError as error:
        raise from_system(location, error) from error
    except DamagedRowError as error:
        raise StateCorruptError(str(location), error.reason, error.remedy) from error
    except UnicodeDecodeError as error:  # SQLite quotes what is damaged in the schema
        raise damaged(location, "a text in it is not UTF-8") from error
    except (UnicodeEncodeError, OverflowError) as error:
        reason = f"a value cannot be stored: {error}"
        raise StateRefusedError(str(location), reason, "use text that is valid Unicode and sizes below 8EiB") from error


def from_sqlite(location: Path | str, error: sqlite3.Error) -> StateError:
    """Return the contract's error for SQLite's.

    Codes are SQLite's own (https://www.sqlite.org/rescode.html). An error without a code comes from Python: from
    binding a value of a type that SQLite does not have, or from decoding a text, which only damage can have made undecodable.
    """
    place = str(location)
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is None:
        if isinstance(error, sqlite3.ProgrammingError):
            return StateRefusedError(place, f"a value cannot be stored ({error})")
        return StateCorruptError(place, f"it is damaged ({error})", RESTORE_REMEDY)
    if code in _CORRUPT or code & _PRIMARY_CODE_MASK in _CORRUPT:
        return StateCorruptError(place, f"it is damaged ({error})", RESTORE_REMEDY)
    if code & _PRIMARY_CODE_MASK in _REFUSED:
        return StateRefusedError(place, f"the change contradicts what the state holds ({error})")
    if code & _PRIMARY_CODE_MASK in _BUSY:
        return _busy(location)
    known = _UNAVAILABLE.get(code) or _UNAVAILABLE.get(code & _PRIMARY_CODE_MASK)
    reason, remedy = known or ("SQLite cannot use it", _MEDIUM_REMEDY)
    return StateUnavailableError(place, f"{reason} ({error})", remedy)


def _busy(location: Path | str) -> StateBusyError:
    keeper = _keeper_of(Path(location))
    if not keeper:
        return StateBusyError(str(location), "another process keeps it locked in the middle of a write", BUSY_REMEDY)
    who, _, way = keeper.partition("; ")
    return StateBusyError(
        str(location), f"it is kept locked by {who}", way or "wait for it to end, and run the command again"
    )


def from_system(location: Path | str, error: OSError) -> StateUnavailableError:
    """Return the contract's error for the operating system's."""
    remedies = {
        errno.ENOSPC: _SPACE_REMEDY,
        errno.EDQUOT: _SPACE_REMEDY,
        errno.EROFS: _READ_ONLY_REMEDY,
        errno.EACCES: _PERMISSION_REMEDY,
        errno.EPERM: _PERMISSION_REMEDY,
    }
    number = error.errno or errno.EIO
    return StateUnavailableError(str(location), os.strerror(number), remedies.get(number, _MEDIUM_REMEDY))


def damaged(location: Path | str, what: str) -> StateCorruptError:
    """Return the error for a file whose damage was recognised here: `what` says by what."""
    return StateCorruptError(str(location), f"it is damaged: {what}", RESTORE_REMEDY)


def not_ours(location: Path | str, what: str) -> StateNotOursError:
    """Return the error for a file that is something else: `what` says what it is, or lacks."""
    return StateNotOursError(
        str(location),
        f"this is not a state file of sharectl: {what}",
        "name another path for the state (`state.file` in sharectl.yaml); if this once was the state, move it away, and `sharectl state restore` brings a copy back",
    )


def _keeper_of(path: Path) -> str:
    """Return which process holds a lock for writing on the file or SQLite's shared memory, as the kernel has it, in words and with the way out.

    The lock of a writer stands on the shared memory, that of a program that wants the file for itself on the file.
    """
    files = {}
    for file in (path, path.with_name(f"{path.name}-shm")):
        try:
            found = file.resolve()
            files[found.name] = found.stat()
        except (OSError, RuntimeError):
            continue
    for process_id in _writers({found.st_ino for found in files.values()}):
        if not _has_open(process_id, files):
            continue
        name = _command_of(process_id)
        if (process_fields(process_id) or [""])[0] in _STOPPED:
            way = f"let it go on with `kill -CONT {process_id}`, or end it with `kill -9 {process_id}`: what it had begun to write is undone then"
            return f"process {process_id} ({name}), which has been stopped in the middle of a write; {way}"
        return f"process {process_id} ({name})"
    return ""


def _writers(inodes: set[int]) -> list[int]:
    """Return the processes that hold such a lock (proc_locks(5)), this one left out; the numbers may be those of files elsewhere."""
    try:
        lines = _LOCKS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        fields = line.split()
        if len(fields) != _LINE_FIELDS or fields[3] != "WRITE":
            continue
        if fields[5].rpartition(":")[2] in map(str, inodes) and fields[4].isdigit() and int(fields[4]) != os.getpid():
            found.append(int(fields[4]))
    return found


def _has_open(process_id: int, files: Mapping[str, os.stat_result]) -> bool:
    """Tell whether the process has one of these files open, by their names; False also where nobody may look.

    Files on several file systems have the same number, and the device in proc_locks(5) is not always that of stat(2). Only what has the
    name is looked at: others may be on storage that does not answer.
    """
    try:
        for descriptor in Path(f"/proc/{process_id}/fd").iterdir():
            with suppress(OSError):  # it may have been closed meanwhile
                file = files.get(descriptor.readlink().name)
                if file is not None and os.path.samestat(descriptor.stat(), file):
                    return True
    except OSError:
        pass
    return False


def _command_of(process_id: int) -> str:
    try:
        words = Path(f"/proc/{process_id}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "unknown"
    shown = " ".join(word.decode(errors="replace") for word in words[:6] if word)
    return "".join(character if character.isprintable() else "?" for character in shown)[:120] or "unknown"
