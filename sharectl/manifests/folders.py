"""Walk a folder for manifests, and warn of everything in it that might be one and is not read."""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, Final

from sharectl.manifests.files import PROJECT_FILE, SUFFIXES, beginning_of, read_regular_file, why_unreadable
from sharectl.model.diagnostics import Source, error, warning
from sharectl.model.frozen import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.model.diagnostics import Diagnostic

_KIND: Final = rb"""(?m)^kind[ \t]*:[ \t]*["']?([A-Za-z]+)"""
_STORAGE_MARKERS: Final = ("backend.json", "pool.json", "staging")
"""What lies in the `.sharectl` of storage: of the driver `directory`, and, the last, of a pool of `linux`."""
_LEADS_OUT: Final = "the link leads out of the manifests' folder, and of the git working tree around it"


class FoundFile(NamedTuple):
    """A file to read: its name as shown, its path, and whether it is a link."""

    shown: str
    path: str
    is_link: bool


class Walk:
    """What one folder and those below it hold. A link is followed where it leads to a place within `roots`."""

    def __init__(self, roots: tuple[str, ...]) -> None:
        """Hold nothing yet."""
        self.roots = roots
        self.files: list[FoundFile] = []
        self.diagnostics: list[Diagnostic] = []
        self._folders: list[tuple[str, str]] = []

    def folder(self, shown: str, path: str) -> None:
        """Walk the folder at `path`, shown as `shown`; its files are found in no particular order."""
        if is_storage(path, in_doubt=False):  # the `.sharectl` of a project may be closed to whoever only validates
            self.refuse(
                shown, f"{shown} is not read: it is the storage of a backend", "keep manifests out of the storage"
            )
            return
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
                self._refuse_folder(shown, path, failure)

    def _refuse_folder(self, shown: str, path: str, failure: OSError) -> None:
        summary = f"cannot read the folder {shown}: {why_unreadable(failure, path)}"
        self.refuse(shown, summary, "fix its permissions")

    def refuse(self, shown: str, summary: str, remedy: str) -> None:
        """Record that something cannot be read."""
        self.diagnostics.append(unreadable(shown, summary, remedy))

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
        is_folder = entry.is_dir(follow_symlinks=False)
        if may_hold_manifest(entry.name) and not is_folder:
            self._add(skipped_file(shown, entry.path))
        elif is_folder and entry.name not in _NEVER_MANIFESTS:
            self._add(skipped_folder(shown, entry.path))

    def _project_file(self, entry: os.DirEntry[str], shown: str) -> None:
        """Refuse a project file in a folder below that holds manifests: nobody reads them."""
        try:
            _, data = read_regular_file(entry.path)
        except OSError as failure:
            self.refuse(shown, f"cannot read {shown}: {why_unreadable(failure, entry.path)}", "fix or remove the file")
            return
        kinds = {kind.decode() for kind in re.findall(_KIND, data)} - {"Project"}
        if kinds:
            summary = f"{shown} holds manifests ({', '.join(sorted(kinds))}), which are not read: the name is that of a project's settings"
            self.refuse(shown, summary, "rename the file")

    def _folder(self, entry: os.DirEntry[str], shown: str) -> None:
        if not is_storage(entry.path):
            self._folders.append((shown, entry.path))
            return
        try:
            with os.scandir(entry.path) as entries:
                files = (each.name for each in entries if each.is_file(follow_symlinks=False))
                found = next((name for name in files if name.endswith(SUFFIXES)), None)
        except OSError as failure:
            self._refuse_folder(shown, entry.path, failure)
            return
        if found is not None:
            summary = f"{shown}/{found} is not read: {shown} is the storage of a backend"
            self.refuse(shown, summary, "keep manifests out of the storage")

    def _link(self, entry: os.DirEntry[str], shown: str) -> None:
        """Follow a link to a folder; one to a place that may hold manifests and must not be read, or that is not there, is an error."""
        try:
            is_folder = stat.S_ISDIR(os.stat(entry.path).st_mode)  # noqa: PTH116 - strings, as above
        except OSError as failure:
            summary = f"cannot read {shown}: {why_unreadable(failure, entry.path)}"
            self.refuse(shown, summary, "fix the link or remove it: there may be manifests behind it")
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


def unreadable(shown: str, summary: str, remedy: str) -> Diagnostic:
    """Return the error about something that may hold manifests and cannot be read."""
    return error("manifest.unreadable", summary, remedy=remedy, source=Source(shown, 1, 1))


def printable(name: str) -> str:
    r"""Return a file's name with the bytes that are not UTF-8 as `\xNN`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


_MANIFEST: Final = rb"""apiVersion["']?\s*:\s*["']?sharectl/"""
_DOCUMENT: Final = rb"""(?m)^(?:\{\s*)?["']?apiVersion["']?\s*:\s*["']?sharectl/"""
_WITHIN_NAME: Final = r"(?i)\.ya?ml"
_OTHER_ENDINGS: Final = (".json", ".yalm", ".ymal", ".yam")
_PUT_ASIDE_ENDINGS: Final = (".txt", ".bak", ".old", ".orig", ".off", ".disabled", ".save", ".tmp", ".new", "~")
_SEALED_ENDINGS: Final = (".enc", ".gpg", ".age", ".asc", ".gz", ".xz", ".zst", ".bz2", ".zip")
_NEVER_MANIFESTS: Final = frozenset({".git", ".hg", ".svn", ".jj", ".sharectl"})
_MOST_ENTRIES_LOOKED_AT: Final = 2000
_BYTES_LOOKED_AT: Final = 64 * 1024
_RENAME: Final = "rename it, or list it under spec.manifests in sharectl.yaml"
_COUNTS_AS_GONE: Final = (
    "What it describes is not wanted, as if it had been removed. "
    "Only names that end in .yaml or .yml and do not begin with a dot are read in a folder."
)


def may_hold_manifest(name: str) -> bool:
    """Tell whether a file of this name, which is not read, is worth a look: hidden, nearly named as a manifest, or by an ending that is put in place of another."""
    lower = name.lower()
    if name.startswith("."):
        return lower.endswith(SUFFIXES)
    return _is_nearly_named(name) or "." not in name or lower.endswith(_PUT_ASIDE_ENDINGS)


def _is_nearly_named(name: str) -> bool:
    return re.search(_WITHIN_NAME, name) is not None or name.lower().endswith(_OTHER_ENDINGS)


def skipped_file(shown: str, path: str) -> Diagnostic | None:
    """Return a warning where a file that is not read holds manifests, or nobody can tell, and no other file stands for it."""
    folder, name = os.path.split(path)
    if not name.startswith("."):
        within = re.search(_WITHIN_NAME, name)
        if within is not None:
            twin = name[: within.end()].lstrip("#")
            if twin != name and os.path.lexists(os.path.join(folder, twin)):  # noqa: PTH118 - strings, as all paths here
                return None
        elif any(os.path.lexists(f"{os.path.splitext(path)[0]}{suffix}") for suffix in SUFFIXES):  # noqa: PTH122 - as above
            return None
    if name.lower().endswith(_SEALED_ENDINGS):
        return _skipped(shown, f"{shown} is not read, and may hold manifests", "unpack or decrypt it first")
    # A text of any other name may quote a manifest, indented or within a line.
    wanted = _MANIFEST if name.startswith(".") or _is_nearly_named(name) else _DOCUMENT
    if re.search(wanted, beginning_of(path, _BYTES_LOOKED_AT)) is None:
        return None
    reason, remedy = "does not end in .yaml or .yml", f"{_RENAME}; remove it if it is only a copy"
    if name.startswith("."):
        reason, remedy = "begins with a dot", _RENAME
    return _skipped(shown, f"{shown} looks like a manifest and is skipped: its name {reason}", remedy)


def skipped_folder(shown: str, path: str) -> Diagnostic | None:
    """Return a warning where a hidden folder holds manifests."""
    for found in _yaml_files(path):
        if found is not None and re.search(_MANIFEST, beginning_of(found, _BYTES_LOOKED_AT)):
            inside = f"{shown}/{os.path.relpath(found, path)}"
            summary = (
                f"the folder {shown} is skipped, because its name begins with a dot, and {inside} looks like a manifest"
            )
            return _skipped(shown, summary, "rename the folder, or list it under spec.manifests in sharectl.yaml")
    return None


def holds_yaml(path: str) -> bool:
    """Tell whether there is, or may be, a YAML file in the folder: one that is too large to look through, or closed, may hold some."""
    return next(_yaml_files(path), "") != ""


def is_storage(path: str, *, in_doubt: bool = True) -> bool:
    """Tell whether the folder is what a backend keeps shares in: what lies there is data, whatever it looks like.

    `in_doubt` is the answer where this user must not look into its private folder.
    """
    private = os.path.join(path, ".sharectl")  # noqa: PTH118 - strings: a hundred thousand paths pass here
    return any(_is_there(f"{private}/{marker}", in_doubt=in_doubt) for marker in _STORAGE_MARKERS)


def _is_there(path: str, *, in_doubt: bool) -> bool:
    try:
        os.lstat(path)
    except PermissionError:
        return in_doubt and os.path.lexists(os.path.dirname(path))  # noqa: PTH120 - strings, as above
    except OSError:
        return False
    return True


def _yaml_files(path: str) -> Iterator[str | None]:
    """Yield the YAML files in a folder and below, following no link; None, at the end, where it cannot be seen whole."""
    folders, looked_at = [path], 0
    while folders:
        try:
            entries = sorted(os.scandir(folders.pop()), key=lambda entry: entry.name)
        except OSError:
            yield None
            return
        for entry in entries:
            looked_at += 1
            if looked_at > _MOST_ENTRIES_LOOKED_AT:
                yield None
                return
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif entry.name.lower().endswith(SUFFIXES):
                yield entry.path


def _skipped(shown: str, summary: str, remedy: str) -> Diagnostic:
    return warning("manifest.skipped", summary, detail=_COUNTS_AS_GONE, remedy=remedy, source=Source(shown, 1, 1))
