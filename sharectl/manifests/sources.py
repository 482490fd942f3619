"""Read the files that hold manifests: those that are named, those in folders, and standard input; and tell what a git checkout leaves out."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING, BinaryIO, Final

from sharectl.manifests.files import MAX_FILE_BYTES, read_regular_file, why_unreadable
from sharectl.manifests.folders import FoundFile, Walk, printable, unreadable
from sharectl.model.canonical import blake2b
from sharectl.model.diagnostics import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from sharectl.manifests.compiled import CompiledFile
    from sharectl.model.diagnostics import Diagnostic

    Known = Callable[[str, os.stat_result], CompiledFile | None]


STANDARD_INPUT: Final = "-"
STANDARD_INPUT_NAME: Final = "<stdin>"
LOST_LISTS: Final = (
    "if kustomize wrote this: it leaves out kinds whose name ends in List (before 5.5), and gives them a prefix that rules do not get. Keep "
    "ClientLists in a file that it does not build, and name that with another -f (docs/kustomize.md)."
)
"""What to say where standard input lacks a ClientList."""


class SourceFile:
    """A file under the name that the user (or the folder) gave it; `real_path` and `status` are None for standard input.

    `compiled` is what the cache holds of it: then it is read only if its text is asked for.
    """

    __slots__ = ("_data", "_digest", "compiled", "path", "real_path", "status")

    def __init__(
        self,
        path: str,
        real_path: str | None,
        status: os.stat_result | None,
        data: bytes | None,
        compiled: CompiledFile | None = None,
    ) -> None:
        """Keep what was read."""
        self.path = path
        self.real_path = real_path
        self.status = status
        self.compiled = compiled
        self._data = data
        self._digest = b""

    @property
    def data(self) -> bytes:
        """The content; empty where the file has another one, or has gone, since it was first looked at."""
        if self._data is not None:
            return self._data
        try:
            status, data = read_regular_file(str(self.real_path))
        except OSError:
            return b""
        is_same = self.status is not None and _identity(status) == _identity(self.status)
        return data if is_same or _digest(data) == self._digest else b""

    def forget(self) -> None:
        """Let go of the content, which can be read again."""
        if self.real_path is not None and self._data is not None:
            self._digest = _digest(self._data)
            self._data = None


def _digest(data: bytes) -> bytes:
    return blake2b(data).digest()


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


class Sources:
    """All that was read, in the order of the sources and sorted within each folder; and what could not be."""

    def __init__(self, base_directory: Path, known: Known | None = None) -> None:
        """Read relative to a folder; `known` returns what a file was compiled to, by its path and status: then it is not read."""
        self.files: list[SourceFile] = []
        self.diagnostics: list[Diagnostic] = []
        self._base_directory = base_directory
        self._known = known
        self._seen: set[tuple[int, ...]] = set()

    def read(self, name: str) -> None:
        """Read a file or a folder; a file that is reached twice is read once."""
        path = os.path.join(self._base_directory, name)  # noqa: PTH118 - strings: a hundred thousand paths pass here
        if os.path.isdir(path):  # noqa: PTH112 - as above
            self._read_folder(printable(name), path)
        else:
            self._read_file(FoundFile(printable(name), path, is_link=False))

    def read_standard_input(self, stdin: BinaryIO | None) -> None:
        """Read standard input, unless that was done already."""
        if stdin is None:
            self._refuse(STANDARD_INPUT_NAME, "there is no standard input to read", "pipe manifests in, or name a file")
        elif all(file.real_path is not None for file in self.files):
            data = stdin.read(MAX_FILE_BYTES + 1)
            if len(data) <= MAX_FILE_BYTES:
                self.files.append(SourceFile(STANDARD_INPUT_NAME, None, None, data))
            else:
                summary = f"standard input is larger than {MAX_FILE_BYTES >> 20} MiB"
                self._refuse(STANDARD_INPUT_NAME, summary, "split it into files")

    def drop_needless_warnings(self) -> None:
        """Drop the warnings of files that were skipped for their names and are named themselves."""
        if self.diagnostics:
            read = {os.path.normpath(file.path) for file in self.files}
            self.diagnostics = [
                found
                for found in self.diagnostics
                if found.code != "manifest.skipped"
                or found.source is None
                or os.path.normpath(found.source.path) not in read
            ]

    def _read_folder(self, shown: str, path: str) -> None:
        real, base = os.path.realpath(path), os.path.realpath(self._base_directory)
        top, around = working_tree(base), working_tree(real)
        walk = Walk((real, base) if top is None else (real, base, top))
        walk.folder(shown, path)
        for file in sorted(walk.files):
            if file.is_link and not walk.allows(file.path):
                summary = f"cannot read {file.shown}: the link leads out of the manifests' folder"
                walk.refuse(file.shown, summary, "put the file itself here, or name it on the command line")
            else:
                self._read_file(file)
        if around is not None:
            walk.diagnostics += left_out(shown, real, around)
        self.diagnostics += walk.diagnostics
        if not walk.files and not walk.diagnostics and real != base:
            remedy = (
                "put manifests there, or do not name it; for a folder that is meant to be empty, "
                "a file none.yaml with a comment in it says so"
            )
            self._refuse(shown, f"there is no manifest in the folder {shown}", remedy)

    def _read_file(self, file: FoundFile) -> None:
        data = compiled = None
        try:
            if self._known is not None:
                status = os.stat(file.path)  # noqa: PTH116 - as above
                compiled = self._known(file.path, status)
            if compiled is None:
                status, data = read_regular_file(file.path)
        except OSError as failure:
            remedy = "fix the file or its permissions, or take it out of the manifests"
            if not os.path.lexists(file.path):
                remedy = _instead_of_missing(file)
            self._refuse(file.shown, f"cannot read {file.shown}: {why_unreadable(failure, file.path)}", remedy)
            return
        # A checkout meanwhile may reuse the inode of a file that was read and is gone.
        identity = status.st_dev, status.st_ino, status.st_ctime_ns
        if identity not in self._seen:
            self._seen.add(identity)
            self.files.append(SourceFile(file.shown, file.path, status, data, compiled))

    def _refuse(self, shown: str, summary: str, remedy: str) -> None:
        self.diagnostics.append(unreadable(shown, summary, remedy))


def read_sources(
    names: Sequence[str], *, base_directory: Path, stdin: BinaryIO | None = None, known: Known | None = None
) -> Sources:
    """Return the content of the files, folders and `-` in `names`; relative names are under `base_directory`.

    `known` is as in `Sources`. A link found in a folder must lead to a place in that folder, in `base_directory`, or in the git working
    tree around it.
    """
    sources = Sources(base_directory, known)
    for name in names:
        if name == STANDARD_INPUT:
            sources.read_standard_input(stdin)
        else:
            sources.read(name)
    sources.drop_needless_warnings()
    return sources


def _instead_of_missing(file: FoundFile) -> str:
    """Return what to name instead of a file or folder that is not there."""
    if set(file.shown) & set("*?["):
        return "name folders or files: a pattern is not expanded here"
    folder, name = os.path.split(file.path.rstrip("/"))
    try:
        beside = os.listdir(folder)  # noqa: PTH208 - strings, as everywhere here
    except OSError:
        beside = []
    near = did_you_mean(name, beside)
    return (
        f"{near} name a file or folder that is there" if near else f"name a file or folder that is there, from {folder}"
    )


_SUBMODULE_PATH: Final = r'(?m)^\s*path\s*=\s*"?(.*?)"?\s*$'
_SPARSE: Final = r"(?mi)^\s*sparsecheckout\s*=\s*(?:true|yes|on|1)\s*$"
_GIT_TIMEOUT_SECONDS: Final = 30
_MOST_NAMED: Final = 3


def working_tree(folder: str) -> str | None:
    """Return the top of the git working tree that the folder is in, None where it is in none; both are real paths."""
    while True:
        if os.path.lexists(f"{folder}/.git"):
            return folder
        parent = os.path.dirname(folder)  # noqa: PTH120 - as above
        if parent == folder:
            return None
        folder = parent


def left_out(shown: str, folder: str, top: str) -> Iterator[Diagnostic]:
    """Yield an error for what git knows in `folder` and has not put on disk; `top` is the working tree's. All are real paths."""
    for path in _submodules(top):
        inside = _below(shown, folder, path) if os.path.isdir(path) and not os.listdir(path) else None  # noqa: PTH112, PTH208 - as above
        if inside is not None:
            summary = f"the folder {inside} is empty: it is a git submodule that is not checked out"
            yield unreadable(inside, summary, "run `git submodule update --init` (in CI: check out with submodules)")
    yield from _sparse(shown, folder, top)


def _submodules(top: str) -> Iterator[str]:
    try:
        with open(f"{top}/.gitmodules", encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123 - as above
            text = file.read(1 << 20)
    except OSError:
        return
    for path in re.findall(_SUBMODULE_PATH, text):
        yield os.path.normpath(f"{top}/{path}")


def _below(shown: str, folder: str, path: str) -> str | None:
    """Return how a path below the folder is shown; None for one that is elsewhere, or within a hidden folder."""
    if path == folder:
        return shown
    inside = path.removeprefix(folder.rstrip("/") + "/")
    if inside == path or any(part.startswith(".") for part in inside.split("/")):
        return None
    return inside if shown in {"", "."} else f"{shown.rstrip('/')}/{inside}"


def _sparse(shown: str, folder: str, top: str) -> Iterator[Diagnostic]:
    if not _is_sparse(top):
        return
    # A folder of the checkout may hold a repository of its own, of which nothing is asked here.
    settings = ("-c", "core.fsmonitor=false", "-c", "safe.bareRepository=explicit")
    command = ["git", *settings, "ls-files", "-t", "-z", "--", ":(icase)*.yaml", ":(icase)*.yml"]
    try:
        listed = subprocess.run(  # noqa: S603 - fixed words; the folder is not part of the command
            command, cwd=folder, capture_output=True, check=True, timeout=_GIT_TIMEOUT_SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        summary = "this is a sparse git checkout, and git does not say what it leaves out"
        remedy = "install git, or check everything out: `git sparse-checkout disable`"
        yield unreadable(shown, summary, remedy)
        return
    absent = [
        inside
        for line in listed.stdout.decode(errors="backslashreplace").split("\0")
        if line.startswith("S ") and (inside := _below(shown, folder, f"{folder}/{line[2:]}")) is not None
        if not os.path.lexists(f"{folder}/{line[2:]}")
    ]
    if absent:
        named = ", ".join(absent[:_MOST_NAMED]) + (", …" if len(absent) > _MOST_NAMED else "")
        summary = f"the sparse git checkout leaves out files that may hold manifests ({len(absent)}): {named}"
        remedy = "add their folders with `git sparse-checkout add`, or disable it"
        yield unreadable(shown, summary, remedy)


def _is_sparse(top: str) -> bool:
    """Tell whether the working tree's own configuration makes it a sparse one."""
    pointer = _first_line(f"{top}/.git").removeprefix("gitdir: ")
    own = os.path.normpath(os.path.join(top, pointer)) if pointer else f"{top}/.git"  # noqa: PTH118 - as above
    if not os.path.exists(f"{own}/info/sparse-checkout"):  # noqa: PTH110 - as above
        return False
    common = _first_line(f"{own}/commondir")
    shared = os.path.normpath(f"{own}/{common}") if common else own
    return any(
        re.search(_SPARSE, _text(path)) for path in (f"{own}/config.worktree", f"{shared}/config", f"{own}/config")
    )


def _first_line(path: str) -> str:
    return _text(path).partition("\n")[0]


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123 - as above
            return file.read(1 << 20)
    except OSError:
        return ""
