"""What a run changed, and what undoes it, for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.plans import Action
from sharectl.model.verbs import VERBS, Effect, Verb
from sharectl.planner.saved.document import changes_to_list
from sharectl.render.formats import document
from sharectl.render.freshness import freshness_object
from sharectl.render.history import run_lines, run_object
from sharectl.render.patch import patch_text
from sharectl.render.sentences import change_action, change_text
from sharectl.render.text import PLAIN, paint, visible, wrapped
from sharectl.workspace.run_changes import OPEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sharectl.model.canonical import JsonObject
    from sharectl.render.text import Look
    from sharectl.workspace.planned_edits import Remark
    from sharectl.workspace.run_changes import Deed, RunChanges
    from sharectl.workspace.undo import Undo

_SYMBOLS: Final[Mapping[Effect, str]] = {
    Effect.MAKES: Action.CREATE.value,
    Effect.TAKES_OVER: Action.ADOPT.value,
    Effect.REMOVES: Action.DELETE.value,
}
_INDENT: Final = "      "


def diff_lines(changes: RunChanges, look: Look = PLAIN) -> Iterator[str]:
    """Yield the run, then what it did, in that order, each with its fields before and after."""
    yield from run_lines(changes.run, color=look.color)
    if not changes.deeds:
        yield "Nothing of what it did is in the history."
    for deed in changes.deeds:
        yield _headline(deed, color=look.color)
        width = None if look.width is None else max(20, look.width - len(_INDENT))
        for text in _texts(deed):
            yield from (f"{_INDENT}{line}" for line in wrapped(text, width))


def _headline(deed: Deed, *, color: bool) -> str:
    if deed.entry.outcome == "failed":
        return paint(f"  ✗ {visible(deed.address)}  {visible(deed.verb)} failed", "error", color)
    if deed.entry.outcome == OPEN:
        return paint(f"  ? {visible(deed.address)}  {visible(deed.verb)} has not ended", "warning", color)
    known = VERBS.get(Verb(deed.verb)) if deed.verb in set(Verb) else None
    symbol = _SYMBOLS.get(known.effect, Action.UPDATE.value) if known is not None else "?"
    return f"  {symbol} {visible(deed.address)}  {visible(deed.verb)}"


def _texts(deed: Deed) -> Iterator[str]:
    if deed.error:
        yield visible(deed.error)
    yield from (f"{change_action(change).value} {change_text(change)}" for change in deed.changes)
    if deed.unknown:
        yield f"Not known: {visible(deed.unknown)}."


def diff_object(changes: RunChanges) -> JsonObject:
    """Return the same as a JSON object, `sharectl-diff` version 1."""
    return document(
        "diff",
        run=run_object(changes.run),
        view=freshness_object(changes.freshness),
        deeds=[
            {
                "at": deed.entry.at,
                "address": deed.address,
                "verb": deed.verb,
                "outcome": deed.entry.outcome,
                "changes": changes_to_list(deed.changes),
                "error": deed.error or None,
                "reason": deed.reason,
                "unknown": deed.unknown or None,
            }
            for deed in changes.deeds
        ],
    )


def undo_notes(changes: RunChanges, undo: Undo) -> Iterator[str]:
    """Yield which run is undone, what cannot be undone, what is not in the patch, and what an apply of it does."""
    run = changes.run
    yield f"Undoes run {visible(run.run_id[:8])}, `sharectl {visible(run.command)}` of {visible(run.user)}@{visible(run.host)} at {visible(run.started_at)}."
    for title, remarks in (
        ("Cannot be undone:", undo.lost),
        ("Not in the patch:", undo.left),
        ("In the patch, and refused as it is:", undo.refused),
        ("Once this is applied:", undo.follows),
    ):
        if remarks:
            yield title
            yield from (f"  {visible(remark.address)}: {visible(remark.text)}" for remark in remarks)
    if undo.files:
        yield "`git apply` takes the patch; `sharectl plan` shows what it will do before anything is done."
    else:
        yield "There is nothing in the manifests to change."


def undo_object(changes: RunChanges, undo: Undo) -> JsonObject:
    """Return what undoes a run as a JSON object, `sharectl-undo` version 1, with the patch as a text."""
    return document(
        "undo",
        run=run_object(changes.run),
        view=freshness_object(changes.freshness),
        files=[change.path for change in undo.files],
        patch=patch_text(undo.files),
        lost=_remarks(undo.lost),
        left=_remarks(undo.left),
        follows=_remarks((*undo.refused, *undo.follows)),
    )


def _remarks(remarks: Sequence[Remark]) -> list[JsonObject]:
    return [{"address": remark.address, "text": remark.text} for remark in remarks]
