"""Moving a state to another place, perhaps of another kind: copied, compared, and only then marked at the old place.

The new place bears a mark of its own from before the copy until the old one is marked: at no moment are there two that can be written.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from sharectl.model.diagnostics import DiagnosticError, error
from sharectl.model.frozen import dataclass
from sharectl.model.state_urls import StateUrlError, absolute_state_url, is_state_url, url_of_file
from sharectl.state.contract import CanMove, StateMovedError, unfinished_from
from sharectl.state.stores import open_store
from sharectl.workspace.run import held_lease

if TYPE_CHECKING:
    from sharectl.model.records import RunRecord
    from sharectl.state.contract import StateStore
    from sharectl.workspace.interventions import Edit


@dataclass(frozen=True, slots=True)
class Move:
    """A state that has moved: where it is now, and how many resources it holds."""

    location: str
    resources: int


def target_url(text: str, directory: Path) -> str:
    """Return the URL of the place that a person has named, by a URL or the path of a file. Raises DiagnosticError."""
    try:
        return (
            absolute_state_url(text, directory)
            if is_state_url(text)
            else url_of_file(directory / Path(text).expanduser())
        )
    except StateUrlError as problem:
        raise DiagnosticError(error("usage.state", f"--to names no state: {problem}", remedy=problem.remedy)) from None


def move_state(edit: Edit, url: str) -> Move:
    """Copy the state to `url`, compare every row, and mark it as moved; until then it stays what it was. Raises DiagnosticError and StateError.

    The target may be what an earlier attempt left there: its mark shows that nobody has written to it since.
    """
    source = edit.store
    assert isinstance(source, CanMove)  # noqa: S101 - both kinds of stores can
    _require_settled(source)
    target = open_store(url, create=True)
    try:
        assert isinstance(target, CanMove)  # noqa: S101 - as above
        mark = unfinished_from(source.location)
        _require_room(source, target, mark)
        target.go_on_moving(mark)
        with held_lease(target, edit.run) as lease:
            _require_room(source, target, mark)  # whoever had the lock before may have begun to use it
            target.mark_moved(lease, mark)
            document = b"".join(source.export_document())
            target.import_document(lease, document, force=True)
            _expect_same(document, target)
            source.mark_moved(edit.lease, target.location)
            target.mark_moved(lease, None)
            return _moved(target)
    finally:
        target.close()


def finish_move(source_url: str, url: str, run: RunRecord) -> Move | None:
    """Finish a move to `url` that was cut short when only the mark of its target was left to be removed; None where there is no such."""
    with closing(open_store(source_url, create=False)) as source:
        if not isinstance(source, CanMove) or (moved_to := source.moved_to()) is None:
            return None
        mark = unfinished_from(source.location)
        with closing(open_store(url, create=False)) as target:
            if not isinstance(target, CanMove) or target.location != moved_to or target.moved_to() != mark:
                return None
            target.go_on_moving(mark)
            with held_lease(target, run) as lease:
                target.mark_moved(lease, None)
                return _moved(target)


def _moved(target: StateStore) -> Move:
    with target.read() as reader:
        return Move(target.location, len(reader.addresses()))


def _require_settled(source: StateStore) -> None:
    """Refuse to move what somebody may still have to finish where it is."""
    with source.read() as reader:
        count = len(reader.view(()).operations)
    if count:
        summary = f"{count} operation(s) have begun and not ended, and belong to the state where it is now"
        raise DiagnosticError(
            error("state.unsettled", summary, remedy="run `sharectl apply`, which finishes them, and then this again")
        )


def _require_room(source: StateStore, target: StateStore, mark: str) -> None:
    """Refuse a place where another state is, or this one has been or is written, too; what an earlier try has left has the mark."""
    moved_to = target.moved_to() if isinstance(target, CanMove) else None
    if moved_to not in {None, mark}:
        raise StateMovedError(target.location, str(moved_to))
    with source.read() as reader:
        lineage = reader.view(()).lineage
    with target.read() as reader:
        there = reader.view(()).lineage
        is_used = bool(reader.find(limit=1)) or next(target.history(limit=1), None) is not None
    if is_used and there != lineage:
        summary = f"there is another state at {target.location} (lineage {there})"
        raise DiagnosticError(error("state.taken", summary, remedy="give this one another name or place"))
    if is_used and moved_to is None:
        summary = f"this state is at {target.location} already, where it can be written as well (lineage {there})"
        remedy = "compare `sharectl history` of both, and give this one another name or place"
        raise DiagnosticError(error("state.taken", summary, remedy=remedy))


def _expect_same(document: bytes, target: StateStore) -> None:
    """Compare what was written with what is there, byte by byte. Raises DiagnosticError."""
    place = 0
    for part in target.export_document():
        if document[place : place + len(part)] != part:
            break
        place += len(part)
    if place != len(document):
        summary = (
            f"what was read back from {target.location} is not what was written; the state has stayed where it was"
        )
        raise DiagnosticError(
            error("state.differs", summary, remedy="report this; look at the database before you try again")
        )
