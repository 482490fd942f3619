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
    plan_blocks,
    split_changes,
)
from sharectl.render.sentences import change_action, change_text, error_count, held_count, held_lines, summary_sentence
from sharectl.render.text import PLAIN, display_width, padded, paint, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sharectl.model.field_changes import FieldChange
    from sharectl.model.plans import Drift, Plan
    from sharectl.planner.review.nouns import Review
    from sharectl.render.blocks import Block
    from sharectl.render.folding import Fold
    from sharectl.render.review import Reached
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
    DriftKind.IGNORED: (".", "note"),
}
_INDENT: Final = "      "
_NAMED_LOSSES: Final = 8
_NAMED_IN_FOLD: Final = 3
FEWEST_FOLDED: Final = 10
"""In a plan of fewer resources nothing is brought together."""
_LEGENDS_IN_LINE: Final = 4
_LEAST_COLUMN: Final = 20
_WIDEST_COLUMN: Final = 48


def plan_lines(
    plan: Plan, look: Look = PLAIN, *, verbose: bool = False, hint: bool = True, brief: bool = False
) -> Iterator[str]:
    """Yield the plan; `verbose` adds every field of new resources, all candidates with their weights, and all reasons.

    `hint` ends it with the commands that apply or keep it, for whoever has not given one of them yet. Of a `brief` one only its sum
    is shown, and what is held: it is refused, at least in part, and why is not to be looked for below all of it.
    """
    if brief:
        yield from _brief_lines(plan, color=look.color)
        return
    blocks, color = plan_blocks(plan), look.color
    review = _review_of(plan)
    if review is not None:
        from sharectl.render.review import answer_lines, opening_lines  # noqa: PLC0415 - most plans are empty

        yield from answer_lines(review, look)
        yield from opening_lines(review, look)
        yield ""
    if plan.drift:
        yield from drift_lines(plan, look)
        yield ""
    if blocks:
        yield from _legend_lines(blocks, color=color)
        yield ""
        yield from _all_block_lines(blocks, review, color=color, verbose=verbose)
        yield ""
    if plan.held:
        yield from held_lines(plan, color=color, verbose=verbose)
        yield ""
    yield from _closing_lines(plan, destroyed(blocks), color=color, hint=hint)


def _brief_lines(plan: Plan, *, color: bool) -> Iterator[str]:
    if plan.held:
        yield from held_lines(plan, color=color)
        yield ""
    yield from _closing_lines(plan, (), color=color, hint=False)
    if plan.is_stopped and not plan.is_empty:
        yield "`sharectl plan` shows all of it."


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


def _review_of(plan: Plan) -> Review | None:
    """Return the review of a plan; None of one that does nothing, or that cannot be applied."""
    if plan.is_empty or plan.is_stopped:
        return None
    from sharectl.planner.review.answers import review_of  # noqa: PLC0415 - most plans are empty

    return review_of(plan)


def _all_block_lines(blocks: Sequence[Block], review: Review | None, *, color: bool, verbose: bool) -> Iterator[str]:
    from sharectl.render.folding import folded, unfolded  # noqa: PLC0415 - most plans are empty
    from sharectl.render.review import Reached, by_address  # noqa: PLC0415 - as above

    reached = {} if review is None else by_address(review)
    folds = unfolded(blocks) if verbose or len(blocks) < FEWEST_FOLDED else folded(blocks, reached)
    column = _column([fold.name for fold in folds])
    for fold in folds:
        said = None if review is None else reached.get(fold.first.address, Reached())
        yield from _fold_lines(fold, column, said, color=color, verbose=verbose)


def _fold_lines(fold: Fold, column: int, said: Reached | None, *, color: bool, verbose: bool) -> Iterator[str]:
    from sharectl.render.folding import fold_headline  # noqa: PLC0415 - most plans are empty

    block, action = fold.first, fold.first.action
    style = STYLE_OF_ACTION[action]
    name = padded(visible(fold.name), column)
    head = f"{paint(action.value, style, color)} {name}"
    if action in {Action.DELETE, Action.REVERT}:
        head = paint(f"{action.value} {name}", "danger", color)
    yield f"  {head}  {visible(fold_headline(fold, verbose=verbose))}"
    if not fold.is_one:
        named = visible(listed([each.address for each in fold.blocks], _NAMED_IN_FOLD))
        yield f"{_INDENT}{named}; --verbose shows each"
    end = fate(block, sized=fold.is_one)
    if end is not None:
        style = "danger" if block.destroys else "warning"
        yield f"{_INDENT}{paint(f'! {visible(end)}', style, color)}"
    if verbose:
        yield from _verbose_lines(block, color=color)
    fields, rules = split_changes(block.steps)
    for each in (*fields, *rules):
        yield _change_line(each, color=color)
    if said is not None:
        yield from _reached_lines(said, block, color=color)


def _reached_lines(said: Reached, block: Block, *, color: bool) -> Iterator[str]:
    """Yield what the review says of the clients of a share."""
    from sharectl.render.review import reach_words  # noqa: PLC0415 - most plans are empty

    for words in reach_words(said.change, block):
        yield f"{_INDENT}{paint('▸', 'accent', color)} {visible(words)}"
    for opening in said.openings:
        told = f"! {opening.rule} lets {opening.who} in ({opening.grant})"
        yield f"{_INDENT}{paint(visible(told), 'warning', color)}"


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
                    yield f"{_INDENT}{place}: {candidate.weight:.4f} = {parts}"
        elif len(block.steps) > 1:
            yield f"{_INDENT}{step.verb.value}: {visible(step.reason)}"


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
    """Return how wide the column of addresses is: one in ten may be longer, which then makes its own line longer and no other."""
    widths = sorted(display_width(visible(address)) for address in addresses)
    return min(max(widths[-1 - len(widths) // 10] if widths else 0, _LEAST_COLUMN), _WIDEST_COLUMN)
