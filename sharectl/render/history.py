"""What was done to the state: when, by whom, from which commit, and what changed."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import orjson

from sharectl.model.field_changes import FieldChange
from sharectl.render.formats import document
from sharectl.render.sentences import change_action, change_text, shown_value
from sharectl.render.text import PLAIN, paint, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sharectl.model.canonical import JsonObject
    from sharectl.model.records import HistoryLine, RunRecord
    from sharectl.render.text import Look

_STYLES: Final[Mapping[str, str]] = {"done": "done", "failed": "error"}
_SHORT_COMMIT: Final = 12
_TOLD_APART: Final = frozenset({"changes", "removed"})
_SHORT_ID: Final = 8


def history_lines(history: Iterable[HistoryLine], look: Look = PLAIN, *, is_part: bool = False) -> Iterator[str]:
    """Yield the entries in the order given, under a heading for each run; `is_part` where not all were asked for."""
    color = look.color
    run_id = None
    for line in history:
        if line.run.run_id != run_id:
            if run_id is not None:
                yield ""
            yield from run_lines(line.run, color=color)
            run_id = line.run.run_id
        entry = line.entry
        outcome = paint(f"{visible(entry.outcome):<9}", _STYLES.get(entry.outcome, "note"), color)
        yield f"  {line.sequence:>6}  {visible(entry.at)}  {outcome} {visible(entry.verb):<15} {visible(entry.address)}"
        for text in detail_texts(entry.detail):
            yield f"{' ' * 10}{text}"
    if run_id is None:
        yield "Nothing in the history matches." if is_part else "The history is empty."


def history_object(history: Iterable[HistoryLine]) -> JsonObject:
    """Return the entries as a JSON object, `sharectl-history` version 1, each with its run; they are made as they are drawn."""
    return document(
        "history",
        entries=(
            {
                "sequence": line.sequence,
                "at": line.entry.at,
                "address": line.entry.address,
                "verb": line.entry.verb,
                "outcome": line.entry.outcome,
                "detail": _detail_object(line.entry.detail),
                "run": run_object(line.run),
            }
            for line in history
        ),
    )


def run_lines(run: RunRecord, *, color: bool) -> Iterator[str]:
    """Yield the heading of a run: its command, when, whose it is, its id, and where it comes from."""
    words = f"{visible(run.started_at)}  {visible(run.user)}@{visible(run.host)}  run {visible(run.run_id[:_SHORT_ID])}"
    if run.git_commit is not None:
        words += f"  commit {visible(run.git_commit[:_SHORT_COMMIT])}"
    yield f"{paint(f'sharectl {visible(run.command)}', 'heading', color)}  {words}"
    who = [f"{word} {visible(name)}" for word, name in (("started by", run.actor), ("commit by", run.author)) if name]
    if who:
        yield f"  {', '.join(who)}"
    if run.ci_job_url is not None:
        yield f"  {visible(run.ci_job_url)}"


def run_object(run: RunRecord) -> JsonObject:
    """Return a run as a JSON object."""
    return asdict(run)


def detail_texts(data: bytes) -> Iterator[str]:
    """Yield the detail of an entry in words: everything but the changes as `name: value`, then each change as a plan shows it.

    What was removed is left to `diff`.
    """
    detail: JsonObject = orjson.loads(data)
    told = ((key, value) for key, value in detail.items() if key not in _TOLD_APART)
    yield from (f"{visible(key).replace('_', ' ')}: {shown_value(value)}" for key, value in told)
    for change in _changes(detail):
        named = _named_change(change)
        if named is None:
            yield shown_value(change)
        else:
            yield f"{change_action(named).value} {change_text(named)}"


def _detail_object(data: bytes) -> JsonObject:
    """Return the detail with its changes as objects; the store keeps each as `[field, before, after]`."""
    detail: JsonObject = orjson.loads(data)
    if "changes" in detail:
        detail["changes"] = [_change_object(change) for change in _changes(detail)]
    return detail


def _changes(detail: Mapping[str, Any]) -> list[Any]:
    """Return the changes; a pushed state may hold anything under their name."""
    changes = detail.get("changes", [])
    return changes if isinstance(changes, list) else [changes]


def _change_object(change: Any) -> Any:  # noqa: ANN401 - see _changes()
    named = _named_change(change)
    return change if named is None else named._asdict()


def _named_change(change: Any) -> FieldChange | None:  # noqa: ANN401 - see _changes()
    if not isinstance(change, list) or len(change) != len(FieldChange._fields) or not isinstance(change[0], str):
        return None
    return FieldChange(*change)
