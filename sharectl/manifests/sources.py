"""Find and read the files that hold manifests, whatever lies in their way."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

from sharectl.diagnostics import Diagnostic, Source, error

if TYPE_CHECKING:
    from collections.abc import Sequence

PROJECT_FILE: Final = "sharectl.yaml"
STANDARD_INPUT: Final = "-"
STANDARD_INPUT_NAME: Final = "<stdin>"
MAX_FILE_BYTES: Final = 64 << 20
_SUFFIXES: Final = (".yaml", ".yml")
_OPEN_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class SourceFile(NamedTuple):
    """A file's content, under the name that the user (or the folder) gave it; `real_path` is None for standard input."""

    path: str
    data: bytes
    real_path: str | None


@dataclass(slots=True)
class Sources:
    """All that was read, in the order of the sources and sorted within each folder; and what could not be."""

    files: list[SourceFile] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)


def read_sources(names: Sequence[str], *, base_directory: Path, stdin: BinaryIO | None = None) -> Sources:
    """Return the content of the files, folders and `-` in `names`; relative names are under `base_directory`.

    A file that is reached twice is read once. A link found in a folder must not lead out of that folder or of `base_directory`.
    """
    sources = Sources()
    seen: set[tuple[int, int]] = set()
    for name in names:
        if name == STANDARD_INPUT:
            _read_standard_input(sources, stdin)
            continue
        path = os.path.join(base_directory, name)  # noqa: PTH118 - strings: a hundred thousand paths pass here
        if os.path.isdir(path):  # noqa: PTH112 - as above
            roots = (os.path.realpath(path), os.path.realpath(base_directory))
            for shown, full, is_link in _walk(name, path, roots, sources):
                _read(shown, full, sources, seen, roots if is_link else ())
        else:
            _read(name, path, sources, seen, ())
    return sources


def _read(shown: str, path: str, sources: Sources, seen: set[tuple[int, int]], roots: tuple[str, ...]) -> None:
    if roots and not _is_within(os.path.realpath(path), roots):
        summary = f"cannot read {shown}: the link leads out of the manifests' folder"
        _refuse(sources, shown, summary, "put the file itself here, or name it on the command line")
        return
    try:
        identity, data = read_regular_file(path)
    except OSError as failure:
        summary = f"cannot read {shown}: {_reason(failure, path)}"
        _refuse(sources, shown, summary, "mend the file or its permissions, or take it out of the manifests")
    else:
        if identity not in seen:
            seen.add(identity)
            sources.files.append(SourceFile(shown, data, path))


def read_regular_file(path: str) -> tuple[tuple[int, int], bytes]:
    """Return the identity (device, inode) and content of a regular file; raises OSError for anything else, and never waits."""
    descriptor = os.open(path, _OPEN_FLAGS)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, "it is a folder", path)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is a pipe, socket or device, not a file", path)
        if status.st_size > MAX_FILE_BYTES:
            raise OSError(errno.EFBIG, f"it is larger than {MAX_FILE_BYTES >> 20} MiB", path)
        return (status.st_dev, status.st_ino), _read_all(descriptor, status.st_size)
    finally:
        os.close(descriptor)


def _read_all(descriptor: int, size: int) -> bytes:
    data = os.read(descriptor, size + 1)
    if len(data) == size:
        return data
    parts = [data]
    while data and sum(map(len, parts)) <= MAX_FILE_BYTES:
        data = os.read(descriptor, 1 << 20)
        parts.append(data)
    return b"".join(parts)


def _walk(shown: str, path: str, roots: tuple[str, ...], sources: Sources) -> list[tuple[str, str, bool]]:
    found: list[tuple[str, str, bool]] = []
    visited: set[tuple[int, int]] = set()
    folders = [(shown, path)]
    while folders:
        shown, path = folders.pop()
        try:
            status = os.stat(path)  # noqa: PTH116 - strings: a hundred thousand paths pass here
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            with os.scandir(path) as entries:
                for entry in entries:
                    if not entry.name.startswith("."):
                        _sort_entry(entry, shown, roots, folders, found)
        except OSError as failure:
            _refuse(sources, shown, f"cannot read the folder {shown}: {_reason(failure, path)}", "mend its permissions")
    return sorted(found)


def _sort_entry(
    entry: os.DirEntry[str],
    shown: str,
    roots: tuple[str, ...],
    folders: list[tuple[str, str]],
    found: list[tuple[str, str, bool]],
) -> None:
    name = entry.name if shown in {"", "."} else f"{shown.rstrip('/')}/{entry.name}"
    is_link = entry.is_symlink()
    if entry.name.endswith(_SUFFIXES):
        if entry.name != PROJECT_FILE:
            found.append((name, entry.path, is_link))
    elif entry.is_dir(follow_symlinks=False) or (
        is_link and entry.is_dir() and _is_within(os.path.realpath(entry.path), roots)
    ):
        folders.append((name, entry.path))


def _is_within(path: str, roots: tuple[str, ...]) -> bool:
    return any(path == root or path.startswith(root.rstrip("/") + "/") for root in roots)


def _read_standard_input(sources: Sources, stdin: BinaryIO | None) -> None:
    if stdin is None:
        _refuse(sources, STANDARD_INPUT_NAME, "there is no standard input to read", "pipe manifests in, or name a file")
        return
    if any(file.real_path is None for file in sources.files):
        return
    data = stdin.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        _refuse(
            sources,
            STANDARD_INPUT_NAME,
            f"standard input is larger than {MAX_FILE_BYTES >> 20} MiB",
            "split it into files",
        )
        return
    sources.files.append(SourceFile(STANDARD_INPUT_NAME, data, None))


def _refuse(sources: Sources, shown: str, summary: str, remedy: str) -> None:
    sources.diagnostics.append(error("manifest.unreadable", summary, remedy=remedy, source=Source(shown, 1, 1)))


def _reason(failure: OSError, path: str) -> str:
    if failure.errno == errno.ENOENT and Path(path).is_symlink():
        return "the link leads nowhere"
    if failure.errno == errno.ELOOP:
        return "the link leads in a circle"
    if failure.errno == errno.ENXIO:
        return "it is a socket or device, not a file"
    return {errno.ENOENT: "it does not exist", errno.EACCES: "permission denied"}.get(
        failure.errno or 0, failure.strerror or str(failure)
    )
