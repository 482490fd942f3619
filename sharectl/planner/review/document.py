"""A review as a JSON object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.planner.saved.document import changes_to_list

if TYPE_CHECKING:
    from sharectl.model.canonical import JsonObject
    from sharectl.model.reach import Shift
    from sharectl.planner.review.nouns import AccessChange, Answer, Review


def review_to_object(review: Review) -> JsonObject:
    """Return the review as it stands under `review` in the plan's document; see docs/json.md."""
    return {
        "data_lost": _answer(review.data_lost),
        "locked_out": _answer(review.locked_out),
        "fits": _answer(review.fits),
        "losses": [
            {**loss._asdict(), "fate": loss.fate.value, "is_final": loss.fate.is_final} for loss in review.losses
        ],
        "access": [_access(change) for change in review.access],
        "placings": [{**placing._asdict(), "addresses": list(placing.addresses)} for placing in review.placings],
        "openings": [{**opening._asdict(), "addresses": list(opening.addresses)} for opening in review.openings],
    }


def _answer(answer: Answer) -> JsonObject:
    return {"answer": answer.verdict.value, "summary": answer.summary, "unknown": list(answer.unknown)}


def _access(change: AccessChange) -> JsonObject:
    return {
        "addresses": list(change.addresses),
        "cause": change.cause.value,
        "shifts": [_shift(shift) for shift in change.shifts],
        "remount": change.remount or None,
        "settings": changes_to_list(change.settings),
        "is_known": change.is_known,
    }


def _shift(shift: Shift) -> JsonObject:
    return {**shift._asdict(), "effect": shift.effect.value, "but_for": list(shift.but_for)}
