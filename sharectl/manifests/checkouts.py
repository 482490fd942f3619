"""Tell what a git checkout leaves out of the folders with manifests: submodules that are empty, files that are sparse."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import Source, error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.model.diagnostics import Diagnostic

_SUBMODULE_PATH: Final = re.compile(r'^\s*path\s*=\s*"?(.*?)"?\s*$', re.MULTILINE)
_SPARSE: Final = re.compile(r"^\s*sparsecheckout\s*=\s*(?:true|yes|on|1)\s*$", re.MULTILINE | re.IGNORECASE)
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
            yield error(
                "manifest.unreadable",
                f"the folder {inside} is empty: it is a git submodule that is not checked out",
                remedy="run `git submodule update --init` (in CI: check out with submodules)",
                source=Source(inside, 1, 1),
            )
    yield from _sparse(shown, folder, top)


def _submodules(top: str) -> Iterator[str]:
    try:
        with open(f"{top}/.gitmodules", encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123 - as above
            text = file.read(1 << 20)
    except OSError:
        return
    for path in _SUBMODULE_PATH.findall(text):
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
    command = ["git", "-c", "core.fsmonitor=false", "ls-files", "-t", "-z", "--", ":(icase)*.yaml", ":(icase)*.yml"]
    try:
        listed = subprocess.run(  # noqa: S603 - fixed words; the folder is not part of the command
            command, cwd=folder, capture_output=True, check=True, timeout=_GIT_TIMEOUT_SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        summary = "this is a sparse git checkout, and git does not say what it leaves out"
        remedy = "install git, or check everything out: `git sparse-checkout disable`"
        yield error("manifest.unreadable", summary, remedy=remedy, source=Source(shown, 1, 1))
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
        yield error("manifest.unreadable", summary, remedy=remedy, source=Source(shown, 1, 1))


def _is_sparse(top: str) -> bool:
    """Tell whether the working tree's own configuration makes it a sparse one."""
    own = _git_directory(top)
    if not os.path.exists(f"{own}/info/sparse-checkout"):  # noqa: PTH110 - as above
        return False
    common = _first_line(f"{own}/commondir")
    shared = os.path.normpath(f"{own}/{common}") if common else own
    return any(_SPARSE.search(_text(path)) for path in (f"{own}/config.worktree", f"{shared}/config", f"{own}/config"))


def _git_directory(top: str) -> str:
    pointer = _first_line(f"{top}/.git").removeprefix("gitdir: ")
    return os.path.normpath(os.path.join(top, pointer)) if pointer else f"{top}/.git"  # noqa: PTH118 - as above


def _first_line(path: str) -> str:
    return _text(path).partition("\n")[0]


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123 - as above
            return file.read(1 << 20)
    except OSError:
        return ""
