"""Which process keeps the state file locked, as the kernel has it: SQLite itself does not say."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_LOCKS: Final = Path("/proc/locks")
_LINE_FIELDS: Final = 8
_STOPPED: Final = frozenset({"T", "t"})


def keeper_of(path: Path) -> str:
    """Return who holds a lock for writing on the file or SQLite's shared memory, in words and with the way out; "" where it cannot be told.

    The lock of a writer stands on the shared memory, that of a program that wants the file for itself on the file.
    """
    inodes = set()
    for file in (path, path.with_name(f"{path.name}-shm")):
        try:
            inodes.add(file.stat().st_ino)
        except OSError:
            continue
    for process_id in _writers(inodes):
        name = _command_of(process_id)
        if _state_of(process_id) in _STOPPED:
            way = f"let it go on with `kill -CONT {process_id}`, or end it with `kill -9 {process_id}`: what it had begun to write is undone then"
            return f"process {process_id} ({name}), which has been stopped in the middle of a write; {way}"
        return f"process {process_id} ({name})"
    return ""


def _writers(inodes: set[int]) -> list[int]:
    """Return the processes that hold such a lock (proc_locks(5)), this one left out."""
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


def _state_of(process_id: int) -> str:
    try:
        text = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[0]


def _command_of(process_id: int) -> str:
    try:
        words = Path(f"/proc/{process_id}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "unknown"
    shown = " ".join(word.decode(errors="replace") for word in words[:6] if word)
    return "".join(character if character.isprintable() else "?" for character in shown)[:120] or "unknown"
