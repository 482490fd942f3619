"""A plan as a comment on a pull request, and a command that failed: foreign text has no effect in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import Severity, counted
from sharectl.model.plans import Action
from sharectl.planner.review.answers import review_of
from sharectl.render.blocks import destroyed, fate, headline, plan_blocks, split_changes
from sharectl.render.diagnostics import told_once
from sharectl.render.folding import fold_headline, folded
from sharectl.render.markdown import code, fence_for, fitting, prose, row, short, table
from sharectl.render.review import by_address
from sharectl.render.review_markdown import answer_rows, opening_lines, review_details
from sharectl.render.sentences import change_action, change_text, error_count, held_count, held_verbs, summary_sentence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.field_changes import FieldChange
    from sharectl.model.plans import Drift, Plan
    from sharectl.planner.review.nouns import Review
    from sharectl.render.blocks import Block
    from sharectl.render.diagnostics import Verdict
    from sharectl.render.folding import Fold

MOST_CHARACTERS: Final = 60_000
"""GitHub refuses a comment of more than 65,536 characters."""

_UNFOLDED: Final = 20
_REPLACING: Final = frozenset({Action.CREATE_THEN_DELETE, Action.DELETE_THEN_CREATE})
_NAMED_CHANGES: Final = 5
_ROOM_FOR_FRAME: Final = 1_500
_DIFF_MARKS: Final[Mapping[Action, str]] = {
    Action.CREATE: "+",
    Action.UPDATE: "!",
    Action.DELETE: "-",
    Action.CREATE_THEN_DELETE: "-",
    Action.DELETE_THEN_CREATE: "-",
    Action.ADOPT: "+",
    Action.FORGET: "-",
    Action.MOVE: "!",
    Action.REVERT: "-",
}


def plan_markdown(plan: Plan) -> Iterator[str]:
    """Yield the lines of the comment, at most `MOST_CHARACTERS` in all; what does not fit is counted."""
    blocks = plan_blocks(plan)
    review = None if plan.is_empty or plan.is_stopped else review_of(plan)
    spent = 0
    for line in _opening_lines(plan, blocks, review):
        spent += len(line) + 1
        yield line
    if review is not None:
        for line in review_details(review, (MOST_CHARACTERS - spent) // 2):
            spent += len(line) + 1
            yield line
    if blocks:
        folds = folded(blocks, {} if review is None else by_address(review))
        yield from _change_lines(folds, MOST_CHARACTERS - spent)


def _opening_lines(plan: Plan, blocks: Sequence[Block], review: Review | None) -> Iterator[str]:
    yield "## sharectl plan"
    yield ""
    yield f"**{summary_sentence(plan)}**"
    if plan.is_stopped:
        yield ""
        yield f"This plan has {counted(error_count(plan), 'error')} and cannot be applied."
    if review is not None:
        yield from answer_rows(review)
    yield from _held_lines(plan)
    yield from _loss_lines(destroyed(blocks))
    yield from _replacement_lines([b for b in blocks if b.action in _REPLACING and not b.destroys])
    if review is not None:
        yield from opening_lines(review, 3_000)
    yield from diagnostic_lines(plan.diagnostics)
    yield from _drift_lines(plan.drift)


def _held_lines(plan: Plan) -> Iterator[str]:
    if plan.held:
        rows = (
            row(code(each.address), prose(held_verbs(each)), prose(each.reason), code(each.code)) for each in plan.held
        )
        heads = ("resource", "what is not done", "why", "")
        title = f"{held_count(plan)} held, apply does the rest"
        yield from table(title, heads, rows, len(plan.held), 7_000)


def _loss_lines(losses: Sequence[Block]) -> Iterator[str]:
    if losses:
        yield ""
        yield "> [!CAUTION]"
        yield f"> **Data is destroyed for good: {counted(len(losses), 'resource')}.**"
        yield from _boxed(losses, 11_000)


def _replacement_lines(replaced: Sequence[Block]) -> Iterator[str]:
    if replaced:
        yield ""
        yield "> [!WARNING]"
        yield f"> **{counted(len(replaced), 'resource')} replaced by a new, empty one.**"
        yield from _boxed(replaced, 6_000)


def _boxed(blocks: Sequence[Block], room: int) -> Iterator[str]:
    rows = (
        f"> - {_word(block)} {code(block.address)}: {prose(fate(block) or '')}; {prose(headline(block))}"
        for block in blocks
    )
    shown = fitting(rows, room)
    yield ">"
    yield from shown
    if len(shown) < len(blocks):
        yield f"> - and {len(blocks) - len(shown)} more"


def diagnostic_lines(diagnostics: Sequence[Diagnostic]) -> Iterator[str]:
    """Yield what should be known, the worst first; nothing where there is nothing."""
    if diagnostics:
        told = told_once(diagnostics)
        rows = (
            row(
                f"{found.severity.value} {code(found.code)}",
                code(str(found.source)) if found.source is not None else "",
                prose(found.summary),
                prose(found.remedy),
            )
            for found in told
        )
        yield from table("What should be known", ("", "where", "what", "help"), rows, len(told), 10_000)


def failure_markdown(diagnostics: Sequence[Diagnostic], exit_code: int) -> Iterator[str]:
    """Yield why there is no other answer, for the summary of a job."""
    del exit_code  # whoever reads the summary of a job sees it there
    yield "## sharectl failed"
    yield from diagnostic_lines(diagnostics)


def validation_markdown(verdict: Verdict) -> Iterator[str]:
    """Yield what is wrong with the manifests, or that all is well."""
    yield "## sharectl validate"
    yield ""
    wrong = counted(sum(found.severity is Severity.ERROR for found in verdict.diagnostics), "error")
    yield f"**{counted(verdict.resources, 'resource')} looked at, {wrong}.**"
    yield from diagnostic_lines(verdict.diagnostics)


def _drift_lines(drift: Sequence[Drift]) -> Iterator[str]:
    if drift:
        rows = (
            row(
                each.kind.value,
                code(each.address),
                prose(each.summary),
                "<br>".join(code(change_text(change)) for change in each.changes[:_NAMED_CHANGES]),
            )
            for each in drift
        )
        yield from table("Drift", ("", "resource", "what the backend reports", "changes"), rows, len(drift), 7_000)


def _change_lines(folds: Sequence[Fold], room: int) -> Iterator[str]:
    """Yield the unfolding part, of at most `room` characters."""
    total = sum(len(fold.blocks) for fold in folds)
    opened = " open" if len(folds) <= _UNFOLDED else ""
    gathered = [fold for fold in folds if not fold.is_one]
    room -= _ROOM_FOR_FRAME
    names = max(room, 0) // 2 if gathered else 0
    shown = fitting(("\n".join(_fold_lines(fold)) for fold in folds), room - names)
    fence = fence_for(shown)
    yield ""
    yield f"<details{opened}><summary>{counted(total, 'resource')}</summary>"
    yield ""
    yield f"{fence}diff"
    yield from shown
    yield fence
    yield ""
    yield "</details>"
    yield from _name_lines(gathered, names)
    left_out = sum(len(fold.blocks) for fold in folds[len(shown) :])
    if left_out:
        yield ""
        yield (
            f"{left_out} more resources are not shown, because a comment has no room for them: "
            "`sharectl plan` shows all."
        )


def _name_lines(folds: Sequence[Fold], room: int) -> Iterator[str]:
    """Yield, to be unfolded, the names of resources that were brought together."""
    for number, fold in enumerate(folds):
        own = room // (len(folds) - number)
        head = f"<details><summary>{_word(fold.first)} {fold.name}</summary>"
        shown = fitting((code(block.address) for block in fold.blocks), own - len(head) - 60)
        if not shown:
            continue
        more = len(fold.blocks) - len(shown)
        lines = ("", head, "", " ".join(shown) + (f" and {more} more" if more else ""), "", "</details>")
        room -= sum(len(line) + 1 for line in lines)
        yield from lines


def _fold_lines(fold: Fold) -> Iterator[str]:
    block = fold.first
    yield f"{_DIFF_MARKS[block.action]} {_word(block)} {short(fold.name)}  {short(fold_headline(fold))}"
    end = fate(block, sized=fold.is_one)
    if end is not None:
        yield f"-     {short(end)}"
    fields, rules = split_changes(block.steps)
    for change in (*fields, *rules):
        yield _change_line(change)


def _word(block: Block) -> str:
    return "replace" if block.action in _REPLACING else block.action.word


def _change_line(change: FieldChange) -> str:
    return f"{_DIFF_MARKS[change_action(change)]}     {short(change_text(change))}"
