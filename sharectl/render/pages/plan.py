"""A plan as a page for a browser: whole by itself, or within a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sharectl.model.diagnostics import counted
from sharectl.model.plans import REPLACING, Action
from sharectl.render.blocks import Block, destroyed, fate, headline, plan_blocks, split_changes
from sharectl.render.diagnostics import worst_first
from sharectl.render.pages.engine import asset, environment, hash_of
from sharectl.render.sentences import change_action, change_text, error_count, held_verbs, summary_sentence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sharectl.model.field_changes import FieldChange
    from sharectl.model.plans import Drift, Plan

MOST_CHANGES: Final = 2_000
"""Resources that a page names one by one; what destroys or replaces is named in any case."""
_UNFOLDED: Final = 20
_MARKS: Final[Mapping[Action, str]] = {Action.CREATE: "added", Action.DELETE: "removed"}


class _Line(NamedTuple):
    """A field or a rule that becomes different."""

    mark: str
    text: str


class _Change(NamedTuple):
    """What becomes of one resource."""

    address: str
    word: str
    headline: str
    fate: str
    lines: tuple[_Line, ...]


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
    blocks = plan_blocks(plan)
    return {
        "sentence": summary_sentence(plan),
        "stopped": f"This plan has {counted(error_count(plan), 'error')} and cannot be applied."
        if plan.is_stopped
        else "",
        "losses": [_change(block) for block in destroyed(blocks)],
        "replaced": [_change(block) for block in blocks if block.action in REPLACING and not block.destroys],
        "held": [
            {"address": each.address, "verbs": held_verbs(each), "reason": each.reason, "code": each.code}
            for each in plan.held
        ],
        "findings": [
            {
                "severity": found.severity.value,
                "code": found.code,
                "summary": found.summary,
                "detail": found.detail,
                "remedy": found.remedy,
                "where": "" if found.source is None else str(found.source),
            }
            for found in worst_first(plan.diagnostics)
        ],
        "changes": [_change(block) for block in blocks[:MOST_CHANGES]],
        "changed": len(blocks),
        "unfolded": len(blocks) <= _UNFOLDED,
        "drift": [drift_words(each) for each in plan.drift],
    }


def drift_words(drift: Drift) -> Mapping[str, Any]:
    """Return what a page says of a difference between a backend and the state."""
    return {
        "address": drift.address,
        "kind": drift.kind.value,
        "summary": drift.summary,
        "changes": [change_text(change) for change in drift.changes],
        "repaired_by": drift.repaired_by,
    }


def _change(block: Block) -> _Change:
    fields, rules = split_changes(block.steps)
    return _Change(
        block.address,
        "replace" if block.action in REPLACING else block.action.word,
        headline(block),
        fate(block) or "",
        tuple(map(_line, (*fields, *rules))),
    )


def _line(change: FieldChange) -> _Line:
    return _Line(_MARKS.get(change_action(change), "changed"), change_text(change))
