"""The review of a plan in a comment on a pull request: the answers on top, and who gains, who loses and what goes where, to be unfolded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import counted
from sharectl.planner.review.nouns import Cause
from sharectl.planner.review.words import named
from sharectl.render.markdown import bare_table, code, fitting, prose, row
from sharectl.render.review import MOST_REACHED, QUESTIONS, access_phrases, answer_text, answers, is_bad
from sharectl.render.text import clipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sharectl.model.kinds import Address
    from sharectl.planner.review.nouns import AccessChange, Opening, Placing, Review

_LONGEST_ANSWER: Final = 250


def answer_rows(review: Review) -> Iterator[str]:
    """Yield the three answers as a table; one that somebody should think about is in bold."""
    yield ""
    yield row("", "", "")
    yield "| --- | --- | --- |"
    for name, answer in answers(review).items():
        word = f"**{answer.verdict.value}**" if is_bad(name, answer) else answer.verdict.value
        yield row(QUESTIONS[name], word, prose(clipped(answer_text(answer, has_verdict=True), _LONGEST_ANSWER)))


def opening_lines(review: Review, room: int) -> Iterator[str]:
    """Yield a box with the new rules that let everybody in."""
    if review.openings:
        shown = fitting((_opening(each) for each in review.openings), room)
        yield ""
        yield "> [!WARNING]"
        yield "> **New rules let everybody in.**"
        yield ">"
        yield from shown
        if len(shown) < len(review.openings):
            yield f"> - and {len(review.openings) - len(shown)} more"


def _opening(opening: Opening) -> str:
    who = f"{opening.who} ({opening.grant})"
    return f"> - {code(opening.rule)} on {_shares(opening.addresses)}: {prose(who)}"


def review_details(review: Review, room: int) -> Iterator[str]:
    """Yield who gains and who loses access to shares that are there, and where new ones go, folded."""
    changes = [change for change in review.access if change.cause is not Cause.NEW]
    if changes:
        reached = (row(_shares(change.addresses), _reach(change)) for change in changes)
        heads: tuple[str, ...] = ("shares", "who gains, who loses")
        yield from _folded("Who gains and who loses access", heads, reached, len(changes), room * 2 // 3)
    if review.placings:
        heads = ("new shares", "pool", "why there")
        placed = map(_placing, review.placings)
        yield from _folded("Where new shares go", heads, placed, len(review.placings), room // 3)


def _folded(title: str, heads: tuple[str, ...], rows: Iterable[str], total: int, room: int) -> Iterator[str]:
    yield ""
    yield f"<details><summary>{title}</summary>"
    yield from bare_table(heads, rows, total, room - 200)
    yield ""
    yield "</details>"


def _reach(change: AccessChange) -> str:
    words = access_phrases(change)
    more = len(words) - MOST_REACHED
    return "<br>".join([*map(prose, words[:MOST_REACHED]), *([f"and {more} more"] if more > 0 else [])])


def _placing(placing: Placing) -> str:
    host = f"{placing.backend}#{placing.pool}"
    why = (
        placing.why if placing.candidates == 1 else f"{placing.why}; {counted(placing.candidates, 'pool')} can take it"
    )
    return row(_shares(placing.addresses), code(host), prose(why))


def _shares(addresses: Sequence[Address]) -> str:
    return code(named(addresses))
