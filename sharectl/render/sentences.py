"""What several views of a plan say in the same words: counts, changes, and what is held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sharectl.model.access import protocol_words
from sharectl.model.diagnostics import SHARE_HELD, Severity, counted, listed
from sharectl.model.field_changes import RULE_FIELD
from sharectl.model.plans import Action
from sharectl.model.table import written_field
from sharectl.render.text import paint, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sharectl.model.field_changes import FieldChange
    from sharectl.model.plans import Held, Plan, Summary
    from sharectl.model.verbs import Verb

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
    end = f"{held}{', as far as the backends could be read' if unread else ''}."
    waiting = len({diagnostic.address for diagnostic in plan.diagnostics if diagnostic.code == SHARE_HELD})
    if waiting:
        return f"Nothing can be done yet: {counted(waiting, 'share')} {'waits' if waiting == 1 else 'wait'}, as the warnings say. {end}"
    return f"No changes. {end}"


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


def shown_value(value: Any) -> str:  # noqa: ANN401 - whatever a manifest may hold
    """Return a value of a field on one line: texts as they are, the rest as JSON, absence as `(none)`."""
    if isinstance(value, str):
        return visible(value)
    if value is None:
        return "(none)"
    import orjson  # noqa: PLC0415 - loaded already by the model

    return visible(orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode())


def shown_field(name: str, value: Any) -> str:  # noqa: ANN401 - as above
    """Return the value of this field on one line; labels as they are written for `--label`."""
    if name == "protocol" and isinstance(value, str):
        return protocol_words(value)
    if name == "labels" and isinstance(value, dict):
        return visible(", ".join(f"{key}={each}" for key, each in sorted(value.items()))) or shown_value(None)
    return shown_value(value)


def change_action(change: FieldChange) -> Action:
    """Return whether the field or rule appears, goes, or takes another value."""
    if change.before is None:
        return Action.CREATE
    return Action.DELETE if change.after is None else Action.UPDATE


def change_text(change: FieldChange) -> str:
    """Return `size  100GiB → 200GiB`, `access ip:10.0.0.0/8 rw` or `access ip:10.0.0.0/8 ro → rw`; fields have the names that manifests give them."""
    name = visible(written_field(change.field))
    gap = "  "
    if name.startswith(RULE_FIELD):
        name, gap = f"access {name[len(RULE_FIELD) :]}", " "
    values = [shown_field(change.field, value) for value in (change.before, change.after) if value is not None]
    return f"{name}{gap}{' → '.join(values or [shown_value(None)])}"


_MOST_HELD: Final = 20
_FEWEST_TOGETHER: Final = 3
_NAMED_HELD: Final = 3


def held_lines(plan: Plan, *, color: bool, verbose: bool = False) -> Iterator[str]:
    """Yield what is not done, and why; nothing where all is done. Those that are held alike share a line, unless `verbose`."""
    if not plan.held:
        return
    yield paint("Held: this is refused, or depends on what is", "error", color)
    groups = [[held] for held in plan.held] if verbose else _held_alike(plan.held)
    shown = groups if verbose else groups[:_MOST_HELD]
    for group in shown:
        held, verbs = group[0], held_verbs(group[0])
        reason = visible(held.reason)
        text = reason if reason.startswith(held.address) else f"{visible(held.address)}: {reason}"
        if len(group) > 1:
            text = f"{text}; the same holds for {listed([visible(each.address) for each in group[1:]], _NAMED_HELD)}"
        yield f"  {paint('✗', 'error', color)} {text}{f'  ({verbs})' if verbs else ''}"
    if len(shown) < len(groups):
        yield f"  and {sum(map(len, groups[_MOST_HELD:]))} more; `--output json` has them all"


def held_sentence(plan: Plan) -> str:
    """Return which resources are held, for the end of a run whose plan has said why."""
    names = sorted({visible(each.address) for each in plan.held})
    return f"{held_count(plan)} held, as the plan says: {listed(names, _NAMED_HELD)}."


def _held_alike(found: Iterable[Held]) -> list[list[Held]]:
    """Return what is held one by one, and together that of which the same is to be said, if there is enough of it."""
    alike: dict[tuple[str, tuple[Verb, ...]], list[Held]] = {}
    for held in found:
        alike.setdefault((held.reason.removeprefix(held.address), held.verbs), []).append(held)
    groups: list[list[Held]] = []
    for group in alike.values():
        groups += [group] if len(group) >= _FEWEST_TOGETHER else [[held] for held in group]
    return groups


def held_verbs(held: Held) -> str:
    """Return the verbs that are not done, as far as they were worked out."""
    return ", ".join(verb.value for verb in held.verbs)
