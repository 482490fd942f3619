"""A plan for the terminal: drift apart from intent, one block per resource, the summary, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import counted, listed
from sharectl.model.plans import Action, DriftKind
from sharectl.model.verbs import Verb
from sharectl.render.blocks import (
    destroyed,
    destroyed_names,
    fate,
    headline,
    plan_blocks,
    split_changes,
)
from sharectl.render.sentences import change_action, change_text, error_count, held_count, held_lines, summary_sentence
from sharectl.render.text import PLAIN, display_width, padded, paint, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sharectl.model.field_changes import FieldChange
    from sharectl.model.plans import Drift, Plan
    from sharectl.render.blocks import Block
    from sharectl.render.text import Look

STYLE_OF_ACTION: Final[Mapping[Action, str]] = {
    Action.CREATE: "create",
    Action.UPDATE: "update",
    Action.DELETE: "delete",
    Action.CREATE_THEN_DELETE: "replace",
    Action.DELETE_THEN_CREATE: "replace",
    Action.ADOPT: "adopt",
    Action.FORGET: "forget",
    Action.MOVE: "move",
    Action.REVERT: "delete",
}
_LEGEND: Final[Mapping[Action, str]] = {
    Action.CREATE: "create",
    Action.UPDATE: "update in place",
    Action.DELETE: "delete",
    Action.CREATE_THEN_DELETE: "replace: the new one first",
    Action.DELETE_THEN_CREATE: "replace: the old one goes first",
    Action.ADOPT: "take over",
    Action.FORGET: "forget, and leave it where it is",
    Action.MOVE: "rename",
    Action.REVERT: "turn back to a snapshot",
}
_DRIFT: Final[Mapping[DriftKind, tuple[str, str]]] = {
    DriftKind.GONE: ("-", "delete"),
    DriftKind.CHANGED: ("~", "update"),
    DriftKind.UNKNOWN: ("?", "warning"),
    DriftKind.UNMANAGED: ("*", "accent"),
    DriftKind.IGNORED: (".", "faint"),
}
_INDENT: Final = "      "
_NAMED_LOSSES: Final = 8
_LEGENDS_IN_LINE: Final = 4
_LEAST_COLUMN: Final = 20
_WIDEST_COLUMN: Final = 48


def plan_lines(plan: Plan, look: Look = PLAIN, *, verbose: bool = False, hint: bool = True) -> Iterator[str]:
    """Yield the plan; `verbose` adds every field of new resources, all candidates with their weights, and all reasons.

    `hint` ends it with the commands that apply or keep it, for whoever has not given one of them yet.
    """
    blocks, color = plan_blocks(plan), look.color
    if plan.drift:
        yield from drift_lines(plan, look)
        yield ""
    if blocks:
        yield from _legend_lines(blocks, color=color)
        yield ""
        column = _column([block.address for block in blocks])
        for block in blocks:
            yield from _block_lines(block, column, color=color, verbose=verbose)
        yield ""
    if plan.held:
        yield from held_lines(plan, color=color)
        yield ""
    yield from _closing_lines(plan, destroyed(blocks), color=color, hint=hint)


def drift_lines(plan: Plan, look: Look = PLAIN) -> Iterator[str]:
    """Yield what differs between the backends and the state, and whether the plan mends it."""
    color = look.color
    if not plan.drift:
        yield "No drift: the backends hold what the state says."
        return
    yield paint("Drift: the backends differ from the state", "heading", color)
    verbs = {step.step_id: step.verb for step in plan.steps}
    column = _column([drift.address for drift in plan.drift])
    for drift in plan.drift:
        symbol, style = _DRIFT[drift.kind]
        head = padded(visible(drift.address), column)
        yield f"  {paint(symbol, style, color)} {head}  {visible(drift.summary)}{_repair(drift, verbs)}"
        for change in drift.changes:
            yield _change_line(change, color=color)


def _repair(drift: Drift, verbs: Mapping[str, Verb]) -> str:
    if drift.kind in {DriftKind.UNMANAGED, DriftKind.IGNORED}:
        return ""
    verb = verbs.get(drift.repaired_by or "")
    return "; this plan does not change that" if verb is None else f"; this plan repairs it with {verb.value}"


def _legend_lines(blocks: Iterable[Block], *, color: bool) -> Iterator[str]:
    present = {block.action for block in blocks}
    words = [f"{paint(a.value, STYLE_OF_ACTION[a], color)} {_LEGEND[a]}" for a in Action if a in present]
    yield f"{paint('What apply will do:', 'heading', color)} {'   '.join(words[:_LEGENDS_IN_LINE])}"
    for first in range(_LEGENDS_IN_LINE, len(words), _LEGENDS_IN_LINE):
        yield f"{' ' * 20}{'   '.join(words[first : first + _LEGENDS_IN_LINE])}"


def _block_lines(block: Block, column: int, *, color: bool, verbose: bool) -> Iterator[str]:
    action = block.action
    style = STYLE_OF_ACTION[action]
    address = padded(visible(block.address), column)
    head = f"{paint(action.value, style, color)} {address}"
    if action in {Action.DELETE, Action.REVERT}:
        head = paint(f"{action.value} {address}", "danger", color)
    yield f"  {head}  {visible(headline(block, verbose=verbose))}"
    end = fate(block)
    if end is not None:
        style = "danger" if block.destroys else "warning"
        yield f"{_INDENT}{paint(f'! {visible(end)}', style, color)}"
    if verbose:
        yield from _verbose_lines(block, color=color)
    fields, rules = split_changes(block.steps)
    for change in fields:
        yield _change_line(change, color=color)
    for change in rules:
        yield _change_line(change, color=color)


def _verbose_lines(block: Block, *, color: bool) -> Iterator[str]:
    creation = block.creation
    for step in block.steps:
        if step is creation or step.verb in {Verb.ADOPT, Verb.RESTORE_SHARE}:
            for change in step.changes:
                yield _change_line(change, color=color)
            for candidate in step.candidates:
                if candidate.weights:
                    parts = ", ".join(f"{visible(name)} {weight:.4f}" for name, weight in candidate.weights)
                    place = visible(f"{candidate.backend}#{candidate.pool}")
                    yield f"{_INDENT}{paint(f'{place}: {candidate.weight:.4f} = {parts}', 'faint', color)}"
        elif len(block.steps) > 1:
            yield f"{_INDENT}{paint(f'{step.verb.value}: {visible(step.reason)}', 'faint', color)}"


def _change_line(change: FieldChange, *, color: bool) -> str:
    action = change_action(change)
    return f"{_INDENT}{paint(action.value, STYLE_OF_ACTION[action], color)} {change_text(change)}"


def _closing_lines(plan: Plan, losses: Sequence[Block], *, color: bool, hint: bool) -> Iterator[str]:
    whole = [block for block in losses if block.removal is not None]
    if whole:
        names = visible(listed(list(destroyed_names(whole)), _NAMED_LOSSES))
        verb = "is" if len(whole) == 1 else "are"
        yield paint(f"{counted(len(whole), 'resource')} {verb} destroyed for good: {names}", "danger", color)
    partly = [block for block in losses if block.removal is None]
    if partly:
        names = visible(listed(list(destroyed_names(partly)), _NAMED_LOSSES))
        verb = "loses" if len(partly) == 1 else "lose"
        yield paint(
            f"{counted(len(partly), 'share')} {verb} for good what is newer than a snapshot: {names}", "danger", color
        )
    yield paint(summary_sentence(plan), "heading", color)
    errors = error_count(plan)
    if plan.is_stopped and not plan.is_empty:
        yield f"This plan has {counted(errors, 'error')} and cannot be applied; fix {'it' if errors == 1 else 'them'} and plan again."
    elif plan.held and not plan.is_empty:
        yield f"{held_count(plan)} held; `sharectl apply` does the rest and ends with exit code 1."
    elif hint and not plan.is_empty:
        yield "`sharectl apply` does this; `sharectl plan --out FILE` saves it, so that exactly this is applied."


def _column(addresses: Iterable[str]) -> int:
    widest = max((display_width(visible(address)) for address in addresses), default=0)
    return min(max(widest, _LEAST_COLUMN), _WIDEST_COLUMN)
