"""A plan as a page for a browser: whole by itself, or within a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sharectl.model.diagnostics import counted
from sharectl.model.plans import REPLACING, Action
from sharectl.model.quantities import approximate_size
from sharectl.planner.review.answers import review_of
from sharectl.planner.review.nouns import Cause, Fate, Verdict
from sharectl.planner.review.words import named
from sharectl.render.blocks import fate, plan_blocks, split_changes
from sharectl.render.diagnostics import told_once
from sharectl.render.folding import fold_headline, folded
from sharectl.render.pages.engine import asset, environment, hash_of
from sharectl.render.review import (
    QUESTIONS,
    Reached,
    access_phrases,
    answer_text,
    answers,
    by_address,
    is_bad,
    reach_words,
)
from sharectl.render.sentences import change_action, change_text, error_count, held_verbs, summary_sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.field_changes import FieldChange
    from sharectl.model.kinds import Address
    from sharectl.model.plans import Drift, Held, Plan
    from sharectl.planner.review.nouns import AccessChange, Answer, Loss, Opening, Placing
    from sharectl.render.folding import Fold

_NAMED: Final = 3
"""Addresses that a phrase names before it counts them."""
MOST_CHANGES: Final = 2_000
"""Rows of a list that a page names one by one; the others are counted."""
_UNFOLDED: Final = 20
_MARKS: Final[Mapping[Action, str]] = {Action.CREATE: "added", Action.DELETE: "removed"}
_FATES: Final[Mapping[Fate, str]] = {
    Fate.DESTROYED: "destroyed for good",
    Fate.REVERTED: "turned back: what is newer than the snapshot is destroyed",
    Fate.THINNED: "its policy keeps fewer snapshots: the oldest of them are destroyed",
    Fate.GONE: "gone from its backend already",
    Fate.TRASHED: "goes to the trash",
    Fate.LEFT: "stays on its backend, and nobody looks after it",
}


class _Line(NamedTuple):
    """A field or a rule that becomes different, or somebody for whom it does."""

    mark: str
    text: str


class _Change(NamedTuple):
    """What becomes of one resource, or of many alike, whose `addresses` are named then."""

    name: str
    word: str
    headline: str
    lines: tuple[_Line, ...]
    addresses: Mapping[str, Any]


def plan_html(plan: Plan) -> Iterator[str]:
    """Yield the lines of a page that needs no other file. Raises DiagnosticError where the template engine is not installed."""
    from markupsafe import Markup  # noqa: PLC0415 - comes with the template engine

    style = asset("report.css")
    page = environment().get_template("plan_alone.html")
    yield from page.render(
        plan=plan_words(plan),
        style=Markup(style),  # noqa: S704 - our own file
        style_hash=hash_of(style),
    ).splitlines()


def plan_words(plan: Plan) -> Mapping[str, Any]:
    """Return what a page says of the plan, under the names that its template has."""
    review = review_of(plan)
    blocks = plan_blocks(plan)
    reached = by_address(review)
    folds = folded(blocks, reached)
    return {
        "sentence": summary_sentence(plan),
        "stopped": f"This plan has {counted(error_count(plan), 'error')} and cannot be applied."
        if plan.is_stopped
        else "",
        "answers": [_answer(name, answer) for name, answer in answers(review).items()],
        "openings": [_opening(each) for each in review.openings],
        "losses": _listing(map(_loss, review.losses)),
        "destroys": any(loss.fate.is_final for loss in review.losses),
        "access": _listing(_access(each) for each in review.access if each.cause is not Cause.NEW),
        "placings": _listing(map(_placing, review.placings)),
        "held": _listing(map(_held, plan.held)),
        "findings": _listing(map(_finding, told_once(plan.diagnostics))),
        "changes": _listing(_change(fold, reached) for fold in folds),
        "changed": len(blocks),
        "unfolded": len(folds) <= _UNFOLDED,
        "drift": _listing(map(drift_words, plan.drift)),
    }


def _listing(rows: Iterable[Any]) -> Mapping[str, Any]:
    """Return the first rows of a list, and how many there are besides."""
    found = list(rows)
    return {"rows": found[:MOST_CHANGES], "more": max(0, len(found) - MOST_CHANGES)}


def _answer(name: str, answer: Answer) -> Mapping[str, str]:
    mark = "bad" if is_bad(name, answer) else "unknown" if answer.verdict is Verdict.UNKNOWN else "good"
    return {
        "question": QUESTIONS[name],
        "verdict": "not known" if answer.verdict is Verdict.UNKNOWN else answer.verdict.value,
        "mark": mark,
        "text": answer_text(answer, has_verdict=True),
    }


def _opening(opening: Opening) -> Mapping[str, str]:
    return {"rule": opening.rule, "who": opening.who, "grant": opening.grant, "shares": named(opening.addresses)}


def _loss(loss: Loss) -> Mapping[str, Any]:
    size = "" if loss.size_bytes is None else f"up to {approximate_size(loss.size_bytes)}"
    return {
        "address": loss.address,
        "fate": f"{_FATES[loss.fate]}{', and a new, empty one takes its place' if loss.is_replaced else ''}",
        "is_final": loss.fate.is_final,
        "data": size if loss.used_bytes is None else approximate_size(loss.used_bytes),
        "undo": loss.undo,
    }


def _access(change: AccessChange) -> Mapping[str, Any]:
    return {
        "shares": named(change.addresses),
        "addresses": _some(change.addresses),
        "lines": access_phrases(change),
    }


def _placing(placing: Placing) -> Mapping[str, Any]:
    return {
        "shares": named(placing.addresses),
        "addresses": _some(placing.addresses),
        "host": f"{placing.backend}#{placing.pool}",
        "why": placing.why
        if placing.candidates == 1
        else f"{placing.why}; {counted(placing.candidates, 'pool')} can take it",
    }


def _some(addresses: Sequence[Address]) -> Mapping[str, Any]:
    """Return the addresses to be named where they are so many that they are counted first."""
    return _listing(addresses if len(addresses) > _NAMED else ())


def _held(held: Held) -> Mapping[str, str]:
    return {"address": held.address, "verbs": held_verbs(held) or "all of it", "reason": held.reason, "code": held.code}


def _finding(found: Diagnostic) -> Mapping[str, str]:
    return {
        "severity": found.severity.value,
        "code": found.code,
        "summary": found.summary,
        "detail": found.detail,
        "remedy": found.remedy,
        "where": "" if found.source is None else str(found.source),
    }


def drift_words(drift: Drift) -> Mapping[str, Any]:
    """Return what a page says of a difference between a backend and the state."""
    return {
        "address": drift.address,
        "kind": drift.kind.value,
        "summary": drift.summary,
        "changes": [_signed(change) for change in drift.changes],
        "repaired_by": drift.repaired_by,
    }


def _change(fold: Fold, reached: Mapping[Address, Reached]) -> _Change:
    block = fold.first
    fields, rules = split_changes(block.steps)
    end = fate(block, sized=fold.is_one)
    said = reached.get(block.address, Reached())
    reach = reach_words(said.change, block)
    return _Change(
        fold.name,
        "replace" if block.action in REPLACING else block.action.word,
        fold_headline(fold),
        (
            *(() if end is None else (_Line("removed" if block.destroys else "changed", end),)),
            *map(_line, (*fields, *rules)),
            *(_Line("faint", words) for words in reach),
        ),
        _listing(() if fold.is_one else (each.address for each in fold.blocks)),
    )


def _line(change: FieldChange) -> _Line:
    return _Line(_MARKS.get(change_action(change), "changed"), _signed(change))


def _signed(change: FieldChange) -> str:
    """Return the change with its sign: what comes and what goes is not told apart by colour alone."""
    return f"{change_action(change).value} {change_text(change)}"
