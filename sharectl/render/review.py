"""What whoever approves a plan reads first: the three answers, and for each share who gains and who loses where its rules do not say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.model.field_changes import RULE_FIELD
from sharectl.planner.review.nouns import Cause, Verdict
from sharectl.planner.review.words import named, shift_words
from sharectl.render.blocks import split_changes
from sharectl.render.text import paint, visible, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.model.kinds import Address
    from sharectl.planner.review.nouns import AccessChange, Answer, Opening, Review
    from sharectl.render.blocks import Block
    from sharectl.render.text import Look

QUESTIONS: Final = {"data_lost": "Is data lost?", "locked_out": "Is anyone locked out?", "fits": "Does everything fit?"}
_LABELS: Final = {"data_lost": "Data:", "locked_out": "Access:", "fits": "Room:"}
_BAD: Final = {"data_lost": Verdict.YES, "locked_out": Verdict.YES, "fits": Verdict.NO}
_LABEL_WIDTH: Final = 9
_MOST_OPENINGS: Final = 4
MOST_REACHED: Final = 8


def answers(review: Review) -> dict[str, Answer]:
    """Return the three answers under the names of their questions."""
    return {name: getattr(review, name) for name in QUESTIONS}


def is_bad(name: str, answer: Answer) -> bool:
    """Tell whether an answer is one that somebody should think about."""
    return answer.verdict is _BAD[name]


def answer_text(answer: Answer, *, has_verdict: bool = False) -> str:
    """Return what an answer says, with what could not be seen; `has_verdict` where the verdict stands before it already."""
    if not answer.unknown:
        return answer.summary
    unknown = "; ".join(answer.unknown)
    if answer.verdict is Verdict.UNKNOWN:
        return f"{'' if has_verdict else 'not known: '}{unknown}; otherwise {answer.summary}"
    return f"{answer.summary}; not known: {unknown}"


def answer_lines(review: Review, look: Look) -> Iterator[str]:
    """Yield the answers: on one line where all is well, else on a line for each that there is something to say of."""
    if not (review.losses or review.locked_out.verdict is not Verdict.NO or review.data_lost.verdict is not Verdict.NO):
        words = "No data is lost, nobody is locked out"
        if review.fits.verdict is Verdict.YES:
            yield f"{words}, everything fits." if review.takes_room else f"{words}."
            return
        if review.fits.verdict is Verdict.UNKNOWN:
            yield from wrapped(visible(f"{words}; not known: {'; '.join(review.fits.unknown)}."), look.width)
            return
    for name, answer in answers(review).items():
        if name == "fits" and answer.verdict is Verdict.YES and not review.takes_room:
            continue
        style = "danger" if is_bad(name, answer) else "warning" if answer.verdict is Verdict.UNKNOWN else ""
        yield from _labelled(_LABELS[name], answer_text(answer), style, look)


def opening_lines(review: Review, look: Look) -> Iterator[str]:
    """Yield which new rules let everybody in: among thousands of changes nobody finds the one that says so."""
    if review.openings:
        told = [opening_words(each) for each in review.openings[:_MOST_OPENINGS]]
        more = len(review.openings) - len(told)
        yield from _labelled("Open:", "; ".join((*told, *([f"and {more} more"] if more else []))), "warning", look)


def opening_words(opening: Opening) -> str:
    """Return which rule lets whom in where: `ip:0.0.0.0/0 lets every IPv4 client in (rw): share/home`."""
    return f"{opening.rule} lets {opening.who} in ({opening.grant}): {named(opening.addresses)}"


def _labelled(label: str, words: str, style: str, look: Look) -> Iterator[str]:
    room = None if look.width is None else max(look.width - _LABEL_WIDTH, 20)
    for number, line in enumerate(wrapped(visible(words), room)):
        yield f"{'' if number else label:{_LABEL_WIDTH}}{paint(line, style, look.color) if style else line}"


class Reached(NamedTuple):
    """What a plan changes for the clients of one share, and the new rules that open it to everybody."""

    change: AccessChange | None = None
    openings: tuple[Opening, ...] = ()


def by_address(review: Review) -> dict[Address, Reached]:
    """Return what the review says of the access to each share."""
    found: dict[Address, Reached] = {}
    for change in review.access:
        found.update(dict.fromkeys(change.addresses, Reached(change)))
    for opening in review.openings:
        for address in opening.addresses:
            known = found.get(address, Reached())
            found[address] = known._replace(openings=(*known.openings, opening))
    return found


def reach_words(change: AccessChange | None, block: Block) -> list[str]:
    """Return who gains and who loses, in phrases; nothing where the rules that a block shows say just that."""
    if block.creation is not None and (change is None or change.cause is Cause.NEW):
        return []
    _, rules = split_changes(block.steps)
    if change is None or not change.is_known:
        is_known = change is None and any(
            step.before is not None and step.before.access is not None for step in block.steps
        )
        return ["nobody gains or loses access"] if rules and is_known else []
    told = {(rule.field.removeprefix(RULE_FIELD).casefold(), rule.before, rule.after) for rule in rules}
    net = {(f"{each.access_type}:{each.access_to}".casefold(), each.before, each.after) for each in change.shifts}
    is_plain = not any(shift.but_for or shift.unless_grouped for shift in change.shifts)
    if told == net and is_plain and len({shift.protocol for shift in change.shifts}) <= 1:
        return []
    words = shift_words(change)
    more = len(words) - MOST_REACHED
    return [*words[:MOST_REACHED], *([f"and {more} more"] if more > 0 else [])]


def access_phrases(change: AccessChange) -> list[str]:
    """Return who gains and who loses, and what else clients are concerned by, each in a phrase."""
    words = shift_words(change)
    if not change.is_known:
        words.insert(0, "who has access today is not known")
    if change.cause is Cause.REPLACED:
        words.insert(0, "all clients have to mount the new share")
    if change.remount:
        words.insert(0, f"all clients have to mount it anew, as {change.remount}")
    words += [
        f"for everybody: {each.field} {each.before or 'not set'} → {each.after or 'not set'}"
        for each in change.settings
    ]
    return words
