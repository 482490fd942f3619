"""Edits of many documents, which are made for a resource as a whole or not at all, and the files that come of them.

Half of what a resource had could let in who was kept out before: where one of its edits cannot be made, none is.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import orjson

from sharectl.manifests.edits import ADD, CannotEditError, edited, without_document
from sharectl.workspace.git import git_lines
from sharectl.workspace.manifest_edits import edit_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from sharectl.manifests.edits import Edit
    from sharectl.model.kinds import Address

Place = tuple[str, int]
"""A file as the manifests name it, and a line within a document of it."""


class Remark(NamedTuple):
    """What is to be known of one address."""

    address: Address
    text: str


class FileChange(NamedTuple):
    """A file of the repository before and after; None where it is not there. `path` is under the top of the repository."""

    path: str
    before: str | None
    after: str | None
    is_executable: bool = False


class _Planned(NamedTuple):
    """An edit of a document, or its removal (None), and the resources that it is made for."""

    edit: Edit | None
    addresses: set[Address]


class _BlockedError(Exception):
    """A document cannot be changed as planned."""

    def __init__(self, planned: _Planned, place: Place, why: str) -> None:
        super().__init__(why)
        self.planned, self.place, self.why = planned, place, why


class PlannedEdits:
    """Gathers edits, and makes those that can all be made."""

    def __init__(self, root: Path) -> None:
        """Change files under the top of the repository around `root`, which the names of files are relative to."""
        self._root = root
        lines = git_lines(root, "rev-parse", "--show-toplevel")
        self.top = Path(os.path.realpath(lines[0] if lines else root))
        self.left: list[Remark] = []
        self._planned: dict[Place, dict[bytes, _Planned]] = defaultdict(dict)
        self._blocked: set[Address] = set()
        self._texts: dict[str, str] = {}

    def plan(self, place: Place, addresses: Collection[Address], edit: Edit) -> None:
        """Plan an edit for these resources; one that several need is made once."""
        key = orjson.dumps([edit.path, edit.value, sorted(addresses) if edit.path[-1] == ADD else []])
        self._planned[place].setdefault(key, _Planned(edit, set())).addresses.update(addresses)

    def plan_removal(self, place: Place, addresses: Collection[Address]) -> None:
        """Plan that a document goes."""
        self._planned[place].setdefault(b"", _Planned(None, set())).addresses.update(addresses)

    def leave(self, address: Address, text: str) -> None:
        """Say why a resource is left as it is, and make none of its edits."""
        self.left.append(Remark(address, text))
        self._blocked.add(address)

    def is_left(self, address: Address) -> bool:
        """Tell whether a resource is left as it is."""
        return address in self._blocked

    def changes(self) -> list[FileChange]:
        """Return the files that the edits change, without those of resources that are left as they are."""
        while True:
            self._drop_blocked()
            try:
                return list(self._changes())
            except _BlockedError as problem:
                by_hand = "take it away" if problem.planned.edit is None else edit_text(problem.planned.edit)
                for address in sorted(problem.planned.addresses):
                    self.leave(
                        address,
                        f"{problem.place[0]}:{problem.place[1]} cannot be changed with certainty ({problem}): {by_hand}, by hand",
                    )

    def _drop_blocked(self) -> None:
        """Drop the edits of resources that are left, and leave those that need one of these edits, too."""
        blocked: set[Address] = set()
        while blocked != self._blocked:
            blocked = set(self._blocked)
            for (path, line), planned in self._planned.items():
                for key, each in list(planned.items()):
                    if each.addresses.isdisjoint(blocked):
                        continue
                    del planned[key]
                    for address in sorted(each.addresses - blocked):
                        self.leave(
                            address,
                            f"its rule stands in a document of several shares ({path}:{line}), one of which is left as it is",
                        )

    def _changes(self) -> Iterator[FileChange]:
        by_file: dict[str, list[int]] = defaultdict(list)
        for (path, line), planned in self._planned.items():
            if planned:
                by_file[path].append(line)
        for path, lines in sorted(by_file.items()):
            first = next(iter(self._planned[path, lines[0]].values()))
            real = Path(os.path.realpath(self._root / path))
            if not real.is_relative_to(self.top):
                raise _BlockedError(first, (path, lines[0]), "it is outside of the repository")
            before = self._text(real, path, first, lines[0])
            after = before
            for line in sorted(lines, reverse=True):
                after = self._document(after, (path, line))
            if after != before:
                is_executable = bool(real.stat().st_mode & 0o100)
                yield FileChange(real.relative_to(self.top).as_posix(), before, after or None, is_executable)

    def _text(self, real: Path, path: str, first: _Planned, line: int) -> str:
        if path not in self._texts:
            try:
                self._texts[path] = real.read_bytes().decode()
            except (OSError, UnicodeDecodeError) as problem:
                raise _BlockedError(first, (path, line), str(problem)) from problem
        return self._texts[path]

    def _document(self, text: str, place: Place) -> str:
        planned = self._planned[place]
        for each in sorted(planned.values(), key=_turn):
            try:
                if each.edit is None:
                    return without_document(text, place[1])
                text = edited(text, place[1], [each.edit])
            except CannotEditError as problem:
                raise _BlockedError(each, place, str(problem)) from problem
        return text


def _turn(planned: _Planned) -> tuple[int, int]:
    """Return when an edit of a document is made: what a list loses by its number goes after what changes, the last first; what it gains comes last."""
    edit = planned.edit
    if edit is None:
        return 0, 0
    last = edit.path[-1]
    if last == ADD:
        return 3, 0
    return (2, -last) if isinstance(last, int) and edit.value is None else (1, 0)


def unique(remarks: Iterable[Remark]) -> tuple[Remark, ...]:
    """Return the remarks, each once."""
    return tuple(dict.fromkeys(remarks))
