"""Copies of a state: one file each, whole and checked, a bounded number for each lineage."""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from sharectl.model.frozen import NamedTuple
from sharectl.model.records import ContentMark
from sharectl.private import draft_of, make_private, sweep_drafts
from sharectl.state.document import LINEAGE
from sharectl.state.sqlite import files
from sharectl.state.sqlite.errors import damaged, translated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sharectl.state.contract import KeepsCopies
    from sharectl.state.document import Document

_TIME: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_NAME: Final = re.compile(rf"{_TIME.pattern}-[0-9]{{1,19}}\.db")
_STAMP: Final = "%Y%m%dT%H%M%SZ"
_SHORT: Final = 8
_HEADER_BYTES: Final = 19
_WRITE_VERSION: Final = 18
_WITH_LOG: Final = b"\x02"
"""What the header of a file with a write-ahead log has as its write version (https://www.sqlite.org/fileformat.html): a copy has none."""
_CHECKED_WHOLE_BYTES: Final = 16 << 20


class Copy(NamedTuple):
    """A copy: `taken_at` is UTC, ISO 8601; `command`, `user` and `host` are of the last run that the state knew, where it knew one."""

    path: Path
    taken_at: str
    serial: int
    mark: ContentMark
    operations: int
    command: str = ""
    user: str = ""
    host: str = ""
    run_id: str = ""

    @property
    def lineage(self) -> str:
        """Which state it is a copy of."""
        return self.mark.lineage

    @property
    def name(self) -> str:
        """The name by which people choose it: the beginning of the lineage, the serial, and when."""
        return self.name_at(datetime.fromisoformat(self.taken_at))

    def name_at(self, moment: datetime) -> str:
        """Return the name that it would have if it were taken then."""
        return f"{self.lineage[:_SHORT]}-{self.serial}-{moment.astimezone(UTC).strftime(_STAMP)}"


def read_mark(connection: sqlite3.Connection, location: Path) -> ContentMark:
    """Return the mark of what the open transaction sees."""
    row = connection.execute(
        "SELECT lineage, (SELECT count(*) FROM resource), (SELECT coalesce(max(sequence), 0) FROM history),"
        " (SELECT coalesce(max(sequence), 0) FROM operation) FROM meta"
    ).fetchone()
    if row is None or [type(value) for value in row] != [str, int, int, int] or not LINEAGE.fullmatch(row[0]):
        raise damaged(location, "it does not say which state it is")
    return ContentMark(*row)


def write_copy_of(connection: sqlite3.Connection, target: Path) -> None:
    """Write what `connection` sees to `target`, durable and with mode 0600, and check it before it gets its name.

    Raises OSError, sqlite3.Error, and StateCorruptError where the copy is not sound.
    """
    with draft_of(target) as draft, closing(sqlite3.connect(draft, isolation_level=None)) as destination:
        destination.execute("PRAGMA synchronous = OFF")  # the whole file is made durable once
        connection.backup(destination)
        destination.execute("PRAGMA journal_mode = DELETE")
        _expect_same(connection, destination, target)


def write_document(document: Document, target: Path) -> None:
    """Write a state file that holds `document` to `target`, durable and with mode 0600, and check it before it gets its name.

    Raises OSError, sqlite3.Error, StateCorruptError, and what reading the document does.
    """
    from sharectl.state.sqlite.changes import replace_content  # noqa: PLC0415 - only for a state that is no file
    from sharectl.state.sqlite.migrations import MIGRATIONS, migrate  # noqa: PLC0415 - as above

    with draft_of(target) as draft, closing(sqlite3.connect(draft, isolation_level=None)) as destination:
        destination.execute("PRAGMA synchronous = OFF")  # the whole file is made durable once
        migrate(destination, target, MIGRATIONS)
        destination.execute("BEGIN")
        replace_content(destination, document)
        destination.execute("COMMIT")
        files.expect_sound(destination, target)


def _expect_same(source: sqlite3.Connection, copy: sqlite3.Connection, target: Path) -> None:
    """Raise StateCorruptError where the copy is not what it was made from.

    Every row of a small copy is read; of a large one, of which that would take longer than making it, the size and what it
    says of itself are compared. Its source was read as a whole when the lock was taken, and the copy is again when it is brought back.
    """
    pages = [connection.execute("PRAGMA page_count").fetchone()[0] for connection in (source, copy)]
    size_bytes = pages[1] * copy.execute("PRAGMA page_size").fetchone()[0]
    if pages[0] != pages[1] or read_mark(source, target) != read_mark(copy, target):
        raise damaged(target, "the copy is not what it was made from")
    if size_bytes <= _CHECKED_WHOLE_BYTES:
        files.expect_sound(copy, target)


def keep_copy(store: KeepsCopies, base: Path, keep: int, now: datetime) -> Path | None:
    """Write a copy of `store` under `base`, unless the newest there holds the same, and remove the oldest beyond `keep`.

    Return the folder of the lineage where a copy was written, or None. Raises OSError, sqlite3.Error and StateError.
    """
    mark, serial = store.content_mark()
    folder = base / mark.lineage
    if not mark.lineage:
        return None  # nothing has ever been written
    newest = newest_in(folder)
    if newest is not None and newest.mark == mark and follows(store, newest):
        return None
    make_private(folder)
    sweep_drafts(folder)
    made = folder / name_of_next(folder, now, serial)
    store.write_copy(made)
    drop_oldest(made, keep)
    return folder


def name_of_next(folder: Path, now: datetime, serial: int) -> str:
    """Return the name of the next copy in the folder of a lineage.

    The time in it is after that of all copies there, also where one of them was taken by a clock that ran ahead: the newest is found by it.
    """
    stamp = now.astimezone(UTC).strftime(_STAMP)
    last = max((name.partition("-")[0] for name in _names(folder)), default="")
    if last > stamp:
        with suppress(ValueError, OverflowError):  # no time that there is, or the last one
            stamp = (datetime.strptime(last, _STAMP).replace(tzinfo=UTC) + timedelta(seconds=1)).strftime(_STAMP)
    return f"{stamp}-{serial}.db"


def drop_oldest(made: Path, keep: int) -> None:
    """Remove the oldest copies beside the one that was just made, all but `keep`; that one stays, also where the clock was set back."""
    for name in sorted(_names(made.parent), key=lambda name: (name == made.name, _written(made.parent, name)))[:-keep]:
        with suppress(OSError):
            (made.parent / name).unlink()


def copies_in(folder: Path) -> list[Copy]:
    """Return the copies in the folder of a lineage, newest first; those that cannot be read are left out."""
    names = sorted(_names(folder), key=lambda name: _written(folder, name), reverse=True)
    found = (_read(folder / name) for name in names)
    return [copy for copy in found if copy is not None]


def newest_in(folder: Path) -> Copy | None:
    """Return the copy that was written last in the folder of a lineage; None where there is none, or it cannot be read."""
    names = _names(folder)
    return _read(folder / max(names, key=lambda name: _written(folder, name))) if names else None


def follows(store: KeepsCopies, copy: Copy) -> bool:
    """Tell whether the state comes after a copy of its lineage, or is the same, as far as the runs tell. Raises StateError."""
    return not copy.run_id or store.has_run(copy.run_id)


def _written(folder: Path, name: str) -> tuple[str, int, int]:
    """Return when a copy was written: the second that its name says, and of several in one the time of the file, and the serial."""
    second, _, serial = name.removesuffix(".db").partition("-")
    try:
        return second, (folder / name).stat().st_mtime_ns, int(serial)
    except OSError:
        return "", 0, 0


def lineage_folders(base: Path) -> Iterator[Path]:
    """Yield the folders of lineages under `base`."""
    with suppress(OSError), os.scandir(base) as entries:  # a machine may keep those of many projects
        names = sorted(entry.name for entry in entries if LINEAGE.fullmatch(entry.name) and entry.is_dir())
        yield from (base / name for name in names)


def _names(folder: Path) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if _NAME.fullmatch(name)]  # noqa: PTH208 - names are what is matched
    except OSError:
        return []


def _read(path: Path) -> Copy | None:
    try:
        return read_copy(path) if _NAME.fullmatch(path.name) else None
    except Exception:  # noqa: BLE001 - a copy that cannot be read, for any reason, does not count
        return None


def read_copy(path: Path) -> Copy:
    """Return what a copy says of itself; its name says when it was taken, or else the time of the file. Raises StateError."""
    with translated(path), closing(files.connect_still(path)) as connection:
        mark = read_mark(connection, path)
        serial, operations = connection.execute("SELECT serial, (SELECT count(*) FROM operation) FROM meta").fetchone()
        run = connection.execute(
            "SELECT command, user, host, run_id FROM run ORDER BY sequence DESC LIMIT 1"
        ).fetchone()
        taken = _time_in(path.name) or datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
    return Copy(path, taken.isoformat().replace("+00:00", "Z"), serial, mark, operations, *(run or ()))


def _time_in(name: str) -> datetime | None:
    """Return the time that is in the name of a file; None where there is none, or no such time."""
    named = _TIME.search(name)
    with suppress(ValueError):
        return datetime.fromisoformat(named[0]) if named else None
    return None


def replaces(copy: Copy, path: Path) -> bool:
    """Tell whether the file at `path` holds nothing that `copy` lacks: an earlier copy of the same state, and no state that is worked with. Raises StateError."""
    with translated(path), path.open("rb") as file:
        is_state = file.read(_HEADER_BYTES)[_WRITE_VERSION:] == _WITH_LOG
    earlier = read_copy(path)
    if is_state or earlier.lineage != copy.lineage or earlier.serial > copy.serial:
        return False
    with translated(copy.path), closing(files.connect_still(copy.path)) as connection:
        known = "SELECT 1 FROM run WHERE run_id = ?"
        return not earlier.run_id or connection.execute(known, (earlier.run_id,)).fetchone() is not None
