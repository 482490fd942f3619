"""The sentences that a plan and its result have in common: how much of what is to be done, or is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import Severity
from sharectl.render.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.model.plans import Plan, Summary

_UNREAD_BACKEND: Final = frozenset({"backend.unknown", "backend.identity", "backend.pool-unknown"})
_REPLACING: Final = ("create-then-delete", "delete-then-create")
_TENSES: Final[Mapping[str, tuple[str, str]]] = {
    "create": ("to create", "created"),
    "adopt": ("to adopt", "adopted"),
    "update": ("to update", "updated"),
    "move": ("to rename", "renamed"),
    "replace": ("to replace", "replaced"),
    "revert": ("to turn back", "turned back"),
    "forget": ("to forget", "forgotten"),
    "delete": ("to delete", "deleted"),
}
_PLANNED, _DONE = 0, 1


def summary_sentence(plan: Plan) -> str:
    """Return `Plan: 2 to create, 1 to delete; access rules: 3 to create. 118 unchanged.`, or why the plan is empty."""
    if not plan.is_empty:
        return f"Plan: {_counts(plan.summary, _PLANNED)}. {plan.summary.unchanged} unchanged."
    if plan.is_stopped:
        return f"Nothing is planned: {counted(error_count(plan), 'error')} must be mended first."
    if plan.held:
        return f"Nothing can be done: {held_count(plan)} held. {plan.summary.unchanged} unchanged."
    unchanged = plan.summary.unchanged
    held = (
        "1 resource is as its manifest says" if unchanged == 1 else f"{unchanged} resources are as their manifests say"
    )
    unread = any(diagnostic.code in _UNREAD_BACKEND for diagnostic in plan.diagnostics)
    return f"No changes. {held}{', as far as the backends could be read' if unread else ''}."


def done_sentence(plan: Plan) -> str:
    """Return `2 created, 1 deleted; access rules: 3 created`, of a plan that has been done."""
    return _counts(plan.summary, _DONE)


def error_count(plan: Plan) -> int:
    """Return how many errors the planner found."""
    return sum(diagnostic.severity is Severity.ERROR for diagnostic in plan.diagnostics)


def held_count(plan: Plan) -> str:
    """Return `2 resources are`, of those that are left as they are, at least in part."""
    held = len({each.address for each in plan.held})
    return "1 resource is" if held == 1 else f"{held} resources are"


def _counts(summary: Summary, tense: int) -> str:
    words = _phrase(summary.by_action, tense)
    rules = _phrase(summary.rules_by_action, tense)
    return f"{words}; access rules: {rules}" if rules else words


def _phrase(by_action: Mapping[str, int], tense: int) -> str:
    counts = dict(by_action)
    replaced = sum(counts.pop(word, 0) for word in _REPLACING)
    counts["replace"] = replaced
    return ", ".join(f"{counts[word]} {forms[tense]}" for word, forms in _TENSES.items() if counts.get(word))
