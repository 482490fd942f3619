"""Tell which entries of a folder are not read although they might be manifests, so that none is left out without a word."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from sharectl.manifests.files import SUFFIXES, beginning_of
from sharectl.model.diagnostics import Source, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.model.diagnostics import Diagnostic

_MANIFEST: Final = re.compile(rb"""apiVersion["']?\s*:\s*["']?sharectl/""")
_DOCUMENT: Final = re.compile(rb"""^(?:\{\s*)?["']?apiVersion["']?\s*:\s*["']?sharectl/""", re.MULTILINE)
_WITHIN_NAME: Final = re.compile(r"\.ya?ml", re.IGNORECASE)
_OTHER_ENDINGS: Final = (".json", ".yalm", ".ymal", ".yam")
_PUT_ASIDE_ENDINGS: Final = (".txt", ".bak", ".old", ".orig", ".off", ".disabled", ".save", ".tmp", ".new", "~")
_SEALED_ENDINGS: Final = (".enc", ".gpg", ".age", ".asc", ".gz", ".xz", ".zst", ".bz2", ".zip")
_NEVER_MANIFESTS: Final = frozenset({".git", ".hg", ".svn", ".jj", ".sharectl"})
_MOST_ENTRIES_LOOKED_AT: Final = 2000
_BYTES_LOOKED_AT: Final = 64 * 1024
_READ_ON: Final = "only names that end in .yaml or .yml and do not begin with a dot are read in a folder"
_COUNTS_AS_GONE: Final = "What it describes is not wanted, as if it had been removed."


def may_hold_manifest(name: str) -> bool:
    """Tell whether a file of this name, which is not read, is worth a look: hidden, nearly named as a manifest, or by an ending that is put in place of another."""
    lower = name.lower()
    if name.startswith("."):
        return lower.endswith(SUFFIXES)
    return _is_nearly_named(name) or "." not in name or lower.endswith(_PUT_ASIDE_ENDINGS)


def _is_nearly_named(name: str) -> bool:
    return _WITHIN_NAME.search(name) is not None or name.lower().endswith(_OTHER_ENDINGS)


def may_hide_manifests(name: str) -> bool:
    """Tell whether a hidden folder of this name is worth a look."""
    return name not in _NEVER_MANIFESTS


def skipped_file(shown: str, path: str) -> Diagnostic | None:
    """Return a warning where a file that is not read holds manifests, or nobody can tell, and no other file stands for it."""
    folder, name = os.path.split(path)
    if not name.startswith("."):
        within = _WITHIN_NAME.search(name)
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
    if wanted.search(beginning_of(path, _BYTES_LOOKED_AT)) is None:
        return None
    if name.startswith("."):
        return _skipped(
            shown,
            f"{shown} looks like a manifest and is skipped: its name begins with a dot",
            "rename it, or list it under spec.manifests in sharectl.yaml",
        )
    return _skipped(
        shown,
        f"{shown} looks like a manifest and is skipped: its name does not end in .yaml or .yml",
        "rename it, or list it under spec.manifests in sharectl.yaml; remove it if it is only a copy",
    )


def skipped_folder(shown: str, path: str) -> Diagnostic | None:
    """Return a warning where a hidden folder holds manifests."""
    for found in _yaml_files(path):
        if found is not None and _looks_like_manifest(found):
            inside = f"{shown}/{os.path.relpath(found, path)}"
            summary = (
                f"the folder {shown} is skipped, because its name begins with a dot, and {inside} looks like a manifest"
            )
            return _skipped(shown, summary, "rename the folder, or list it under spec.manifests in sharectl.yaml")
    return None


def holds_yaml(path: str) -> bool:
    """Tell whether there is, or may be, a YAML file in the folder: one that is too large to look through, or closed, may hold some."""
    return next(_yaml_files(path), "") != ""


def is_storage(path: str) -> bool:
    """Tell whether the folder is what a backend keeps shares in: what lies there is data, whatever it looks like."""
    private = os.path.join(path, ".sharectl")  # noqa: PTH118 - strings: a hundred thousand paths pass here
    return any(os.path.lexists(f"{private}/{marker}") for marker in ("backend.json", "pool.json"))


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


def _looks_like_manifest(path: str) -> bool:
    return _MANIFEST.search(beginning_of(path, _BYTES_LOOKED_AT)) is not None


def _skipped(shown: str, summary: str, remedy: str) -> Diagnostic:
    detail = f"{_COUNTS_AS_GONE} {_READ_ON[0].upper()}{_READ_ON[1:]}."
    return warning("manifest.skipped", summary, detail=detail, remedy=remedy, source=Source(shown, 1, 1))
