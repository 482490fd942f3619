"""Walk a folder for manifests, and say a word about everything in it that might be one and is not read."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.manifests.files import PROJECT_FILE, SUFFIXES, read_regular_file, why_unreadable
from sharectl.manifests.skipped import (
    holds_yaml,
    is_storage,
    may_hide_manifests,
    may_hold_manifest,
    skipped_file,
    skipped_folder,
)
from sharectl.model.diagnostics import Source, error

if TYPE_CHECKING:
    from sharectl.model.diagnostics import Diagnostic

_KIND: Final = re.compile(rb"""^kind[ \t]*:[ \t]*["']?([A-Za-z]+)""", re.MULTILINE)
_LEADS_OUT: Final = "the link leads out of the manifests' folder, and of the git working tree around it"


class FoundFile(NamedTuple):
    """A file to read: its name as shown, its path, and whether it is a link."""

    shown: str
    path: str
    is_link: bool


@dataclass(slots=True)
class Walk:
    """What one folder and those below it hold. A link is followed where it leads to a place within `roots`."""

    roots: tuple[str, ...]
    files: list[FoundFile] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    _folders: list[tuple[str, str]] = field(default_factory=list)

    def folder(self, shown: str, path: str) -> None:
        """Walk the folder at `path`, shown as `shown`; its files are found in no particular order."""
        visited: set[tuple[int, int]] = set()
        self._folders.append((shown, path))
        while self._folders:
            shown, path = self._folders.pop()
            try:
                status = os.stat(path)  # noqa: PTH116 - strings: a hundred thousand paths pass here
                if (status.st_dev, status.st_ino) in visited:
                    continue
                visited.add((status.st_dev, status.st_ino))
                with os.scandir(path) as entries:
                    for entry in entries:
                        self._entry(entry, shown, is_root=len(visited) == 1)
            except OSError as failure:
                self.refuse(
                    shown, f"cannot read the folder {shown}: {why_unreadable(failure, path)}", "mend its permissions"
                )

    def refuse(self, shown: str, summary: str, remedy: str) -> None:
        """Record that something cannot be read."""
        self.diagnostics.append(error("manifest.unreadable", summary, remedy=remedy, source=Source(shown, 1, 1)))

    def _entry(self, entry: os.DirEntry[str], folder: str, *, is_root: bool) -> None:
        name = entry.name
        shown = name if folder in {"", "."} else f"{folder.rstrip('/')}/{name}"
        if not name.isascii():
            shown = printable(shown)
        if name.startswith("."):
            self._hidden(entry, shown)
        elif name.endswith(SUFFIXES) or name.lower().endswith(SUFFIXES):
            if name != PROJECT_FILE:
                self.files.append(FoundFile(shown, entry.path, entry.is_symlink()))
            elif not is_root:
                self._project_file(entry, shown)
        elif entry.is_dir(follow_symlinks=False):
            self._folder(entry, shown)
        elif entry.is_symlink():
            self._link(entry, shown)
        elif may_hold_manifest(name):
            self._add(skipped_file(shown, entry.path))

    def _hidden(self, entry: os.DirEntry[str], shown: str) -> None:
        if may_hold_manifest(entry.name) and not entry.is_dir(follow_symlinks=False):
            self._add(skipped_file(shown, entry.path))
        elif may_hide_manifests(entry.name) and entry.is_dir(follow_symlinks=False):
            self._add(skipped_folder(shown, entry.path))

    def _project_file(self, entry: os.DirEntry[str], shown: str) -> None:
        """Refuse a project file in a folder below that holds manifests: nobody reads them."""
        try:
            _, data = read_regular_file(entry.path)
        except OSError as failure:
            self.refuse(shown, f"cannot read {shown}: {why_unreadable(failure, entry.path)}", "mend or remove the file")
            return
        kinds = {kind.decode() for kind in _KIND.findall(data)} - {"Project"}
        if kinds:
            summary = f"{shown} holds manifests ({', '.join(sorted(kinds))}), which are not read: the name is that of a project's settings"
            self.refuse(shown, summary, "rename the file")

    def _folder(self, entry: os.DirEntry[str], shown: str) -> None:
        if not is_storage(entry.path):
            self._folders.append((shown, entry.path))
            return
        with os.scandir(entry.path) as entries:
            for inside in entries:
                if inside.name.endswith(SUFFIXES) and inside.is_file(follow_symlinks=False):
                    summary = f"{shown}/{inside.name} is not read: {shown} is the storage of a backend"
                    self.refuse(shown, summary, "keep manifests out of the storage")
                    return

    def _link(self, entry: os.DirEntry[str], shown: str) -> None:
        """Follow a link to a folder; one to a place that may hold manifests and must not be read, or that is not there, is an error."""
        try:
            is_folder = stat.S_ISDIR(os.stat(entry.path).st_mode)  # noqa: PTH116 - strings, as above
        except OSError as failure:
            summary = f"cannot read {shown}: {why_unreadable(failure, entry.path)}"
            self.refuse(shown, summary, "mend the link or remove it: there may be manifests behind it")
            return
        if not is_folder:
            if may_hold_manifest(entry.name) or may_hold_manifest(os.path.basename(os.path.realpath(entry.path))):  # noqa: PTH119 - strings, as above
                self._add(skipped_file(shown, os.path.realpath(entry.path)))
        elif self.allows(entry.path):
            self._folder(entry, shown)
        elif holds_yaml(os.path.realpath(entry.path)):
            remedy = (
                "put the folder itself here, or name it on the command line (-f); where it holds no manifests, "
                "let `manifests` in sharectl.yaml name the folders that do"
            )
            self.refuse(shown, f"cannot read {shown}: {_LEADS_OUT}", remedy)

    def allows(self, path: str) -> bool:
        """Tell whether the path, all links followed, is within one of the roots."""
        real = os.path.realpath(path)
        return any(real == root or real.startswith(root.rstrip("/") + "/") for root in self.roots)

    def _add(self, diagnostic: Diagnostic | None) -> None:
        if diagnostic is not None:
            self.diagnostics.append(diagnostic)


def printable(name: str) -> str:
    r"""Return a file's name with the bytes that are not UTF-8 as `\xNN`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
