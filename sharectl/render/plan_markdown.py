"""A plan as a comment on a pull request, and a command that failed: foreign text has no effect in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import Severity, counted
from sharectl.model.plans import Action
from sharectl.render.blocks import destroyed, fate, headline, plan_blocks, split_changes
from sharectl.render.diagnostics import worst_first
from sharectl.render.sentences import change_action, change_text, error_count, held_count, held_verbs, summary_sentence
from sharectl.render.text import clipped, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.field_changes import FieldChange
    from sharectl.model.plans import Drift, Plan
    from sharectl.render.blocks import Block
    from sharectl.render.diagnostics import Verdict

LONGEST_TEXT: Final = 400
"""Columns after which a foreign text is cut, so that one of them cannot fill a comment."""

_ACTIVE: Final = re.compile(r"[\"#$&*:<>@\[\]\\^_`{|}~]|(?<=\w)\.(?=\w)")
_PLAIN_AT: Final = "&#64;"
_FENCE: Final = re.compile(r"`{3,}")


def code(text: str) -> str:
    """Return `text` as an inline code span that holds in a table too and in which nobody is mentioned."""
    return f"<code>{_entities(text)}</code>"


def prose(text: str) -> str:
    """Return `text` as running text without any effect: no markup, no link, no mention, no reference to an issue."""
    return _entities(text).replace(_PLAIN_AT, f"{_PLAIN_AT}<!-- -->").replace("&#35;", "&#35;<!-- -->")


def fence_for(lines: Iterable[str]) -> str:
    """Return a fence that none of the lines can close."""
    longest = max((len(run) for line in lines for run in _FENCE.findall(line)), default=2)
    return "`" * (longest + 1)


def _entities(text: str) -> str:
    return _ACTIVE.sub(lambda match: f"&#{ord(match[0])};", clipped(visible(text), LONGEST_TEXT))


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
    spent = 0
    for line in _opening_lines(plan, blocks):
        spent += len(line) + 1
        yield line
    if blocks:
        yield from _change_lines(blocks, MOST_CHARACTERS - spent)


def _opening_lines(plan: Plan, blocks: Sequence[Block]) -> Iterator[str]:
    yield "## sharectl plan"
    yield ""
    yield f"**{summary_sentence(plan)}**"
    if plan.is_stopped:
        yield ""
        yield f"This plan has {counted(error_count(plan), 'error')} and cannot be applied."
    yield from _held_lines(plan)
    yield from _loss_lines(destroyed(blocks))
    yield from _replacement_lines([b for b in blocks if b.action in _REPLACING and not b.destroys])
    yield from diagnostic_lines(plan.diagnostics)
    yield from _drift_lines(plan.drift)


def _held_lines(plan: Plan) -> Iterator[str]:
    if plan.held:
        rows = (
            _row(code(each.address), prose(held_verbs(each)), prose(each.reason), code(each.code)) for each in plan.held
        )
        heads = ("resource", "what is not done", "why", "")
        title = f"{held_count(plan)} held, apply does the rest"
        yield from _table(title, heads, rows, len(plan.held), 8_000)


def _loss_lines(losses: Sequence[Block]) -> Iterator[str]:
    if losses:
        yield ""
        yield "> [!CAUTION]"
        yield f"> **Data is destroyed for good: {counted(len(losses), 'resource')}.**"
        yield from _boxed(losses, 15_000)


def _replacement_lines(replaced: Sequence[Block]) -> Iterator[str]:
    if replaced:
        yield ""
        yield "> [!WARNING]"
        yield f"> **{counted(len(replaced), 'resource')} replaced by a new, empty one.**"
        yield from _boxed(replaced, 8_000)


def _boxed(blocks: Sequence[Block], room: int) -> Iterator[str]:
    rows = (
        f"> - {_word(block)} {code(block.address)}: {prose(fate(block) or '')}; {prose(headline(block))}"
        for block in blocks
    )
    shown = _fitting(rows, room)
    yield ">"
    yield from shown
    if len(shown) < len(blocks):
        yield f"> - and {len(blocks) - len(shown)} more"


def diagnostic_lines(diagnostics: Sequence[Diagnostic]) -> Iterator[str]:
    """Yield what should be known, the worst first; nothing where there is nothing."""
    if diagnostics:
        rows = (
            _row(
                f"{found.severity.value} {code(found.code)}",
                code(str(found.source)) if found.source is not None else "",
                prose(found.summary),
                prose(found.remedy),
            )
            for found in worst_first(diagnostics)
        )
        yield from _table("What should be known", ("", "where", "what", "help"), rows, len(diagnostics), 12_000)


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
            _row(
                each.kind.value,
                code(each.address),
                prose(each.summary),
                "<br>".join(code(change_text(change)) for change in each.changes[:_NAMED_CHANGES]),
            )
            for each in drift
        )
        yield from _table("Drift", ("", "resource", "what the backend reports", "changes"), rows, len(drift), 8_000)


def _table(title: str, heads: tuple[str, ...], rows: Iterable[str], total: int, room: int) -> Iterator[str]:
    shown = _fitting(rows, room)
    yield ""
    yield f"### {title}"
    yield ""
    yield _row(*heads)
    yield f"|{' --- |' * len(heads)}"
    yield from shown
    if total > len(shown):
        yield ""
        yield f"and {total - len(shown)} more"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _fitting(rows: Iterable[str], room: int) -> list[str]:
    """Return the first rows that take no more than `room` characters together."""
    shown: list[str] = []
    for row in rows:
        room -= len(row) + 1
        if room < 0:
            break
        shown.append(row)
    return shown


def _change_lines(blocks: Sequence[Block], room: int) -> Iterator[str]:
    """Yield the unfolding part, of at most `room` characters."""
    opened = " open" if len(blocks) <= _UNFOLDED else ""
    shown = _fitting(("\n".join(_block_lines(block)) for block in blocks), room - _ROOM_FOR_FRAME)
    fence = fence_for(shown)
    yield ""
    yield f"<details{opened}><summary>{counted(len(blocks), 'resource')}</summary>"
    yield ""
    yield f"{fence}diff"
    yield from shown
    yield fence
    yield ""
    yield "</details>"
    if len(shown) < len(blocks):
        yield ""
        yield (
            f"{len(blocks) - len(shown)} more resources are not shown, because a comment has no room for them: "
            "`sharectl plan` shows all."
        )


def _block_lines(block: Block) -> Iterator[str]:
    yield f"{_DIFF_MARKS[block.action]} {_word(block)} {_short(block.address)}  {_short(headline(block))}"
    end = fate(block)
    if end is not None:
        yield f"-     {_short(end)}"
    fields, rules = split_changes(block.steps)
    for change in (*fields, *rules):
        yield _change_line(change)


def _word(block: Block) -> str:
    return "replace" if block.action in _REPLACING else block.action.word


def _change_line(change: FieldChange) -> str:
    return f"{_DIFF_MARKS[change_action(change)]}     {_short(change_text(change))}"


def _short(text: str) -> str:
    return clipped(visible(text), LONGEST_TEXT)
