"""The review of a plan, with the three answers on top: is data lost, is anyone locked out, does everything fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import SHARE_HELD, listed
from sharectl.model.field_changes import FieldChange
from sharectl.model.kinds import Kind, is_of
from sharectl.model.plans import CreateShare, ResizeShare
from sharectl.model.quantities import approximate_size
from sharectl.model.reach import Effect
from sharectl.model.verbs import Verb
from sharectl.planner.review.access import access_changes, openings
from sharectl.planner.review.data import losses, placings, regaining, steps_by_address
from sharectl.planner.review.nouns import Answer, Cause, Fate, Review, Verdict
from sharectl.planner.review.words import named, shift_words

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from sharectl.model.kinds import Address
    from sharectl.model.plans import Plan
    from sharectl.planner.review.nouns import AccessChange, Loss, Placing

_MOST_PHRASES: Final = 3
_MOVED_EXPORT: Final = FieldChange("export_locations", "as recorded", "as on the backend")
"""What the record of a share says whose share server may get another address."""
_MOST_SUMMED: Final = 4
"""How many phrases a summary has before the rest is counted."""
_ENDING: Final = frozenset({Verb.DELETE_SHARE, Verb.TRASH_SHARE, Verb.FORGET})
_DESTROYING: Final = frozenset({Verb.DELETE_SHARE, Verb.DELETE_SNAPSHOT, Verb.REVERT_SHARE, Verb.SCHEDULE_SNAPSHOTS})
_SHUTTING_OUT: Final = _ENDING | {Verb.UPDATE_ACCESS}
_MAKING: Final = frozenset({Verb.CREATE_SHARE, Verb.EXTEND_SHARE})
_WITHOUT_PLACE: Final = frozenset({"scheduler.no-valid-host", "scheduler.size-limit"})
_FATES: Final = {
    Fate.DESTROYED: ("is destroyed for good", "are destroyed for good"),
    Fate.REVERTED: (
        "loses for good what is newer than its snapshot",
        "lose for good what is newer than their snapshots",
    ),
    Fate.THINNED: (
        "loses for good the oldest snapshots of its policy, which keeps fewer",
        "lose for good the oldest snapshots of their policies, which keep fewer",
    ),
    Fate.GONE: (
        "is gone from its backend already, with all that was in it",
        "are gone from their backends already, with all that was in them",
    ),
    Fate.TRASHED: ("goes to the trash", "go to the trash"),
    Fate.LEFT: (
        "stays on its backend, and nobody looks after it",
        "stay on their backends, and nobody looks after them",
    ),
}


def review_of(plan: Plan) -> Review:
    """Return the review of a plan. Linear in its steps; what is equal for many shares is worked out once."""
    # A record alone takes no data away, lets nobody in or out and needs no room; often it is all that a plan changes.
    steps_at = steps_by_address(step for step in plan.steps if step.verb is not Verb.UPDATE_RECORD)
    lost, access, places = losses(steps_at, plan.drift), access_changes(steps_at), placings(steps_at)
    return Review(
        data_lost=_data_lost(plan, lost, regaining(steps_at)),
        locked_out=_locked_out(plan, access, lost),
        fits=_fits(plan, places),
        losses=lost,
        access=access,
        placings=places,
        openings=openings(steps_at),
        takes_room=bool(places) or any(step.verb is Verb.EXTEND_SHARE for step in plan.steps),
    )


def _data_lost(plan: Plan, lost: Sequence[Loss], regained: Sequence[Address]) -> Answer:
    phrases = [_loss_phrase(fate, found) for fate in Fate if (found := [loss for loss in lost if loss.fate is fate])]
    is_lost = any(loss.fate.is_final for loss in lost)
    if not is_lost:
        phrases.insert(0, "nothing is destroyed")
    unknown = _held(plan, _DESTROYING)
    if regained:
        whose = "whose policy gets" if len(regained) == 1 else "whose policies get"
        unknown.append(
            f"whether older snapshots go of {named(regained)}, {whose} an interval that may have been there before"
        )
    return _answer(Verdict.YES if is_lost else Verdict.NO, phrases, unknown)


def _loss_phrase(fate: Fate, found: Sequence[Loss]) -> str:
    one, many = _FATES[fate]
    return f"{named([loss.address for loss in found], 'resource')} {one if len(found) == 1 else many}{amount(found)}"


def amount(found: Iterable[Loss]) -> str:
    """Return how much data it is: ` (12GiB in use)`, or ` (up to 40GiB)` where the use of some is not known; nothing where no size is."""
    sizes = [loss.size_bytes if loss.used_bytes is None else loss.used_bytes for loss in found]
    known = [size for size in sizes if size is not None]
    if not known:
        return ""
    is_exact = len(known) == len(sizes) and all(
        loss.used_bytes is not None and loss.fate is not Fate.REVERTED for loss in found
    )
    return f" ({approximate_size(sum(known))} in use)" if is_exact else f" (up to {approximate_size(sum(known))})"


def _locked_out(plan: Plan, access: Sequence[AccessChange], lost: Sequence[Loss]) -> Answer:
    phrases = [*_gone(lost), *_lockouts(access)]
    unknown = [*_unread(plan, _SHUTTING_OUT), *_held(plan, _SHUTTING_OUT)]
    unseen = [address for change in access if not change.is_known for address in change.addresses]
    if unseen:
        unknown.append(
            f"who has access to {named(unseen)} today: what is in force there cannot be read, or the plan was saved by an older sharectl"
        )
    unknown += [*_unlooked(plan), *_unclear(plan, access)]
    if not phrases:
        return _answer(Verdict.NO, ["nobody loses access"], unknown)
    return _answer(Verdict.YES, phrases, unknown)


def _gone(lost: Sequence[Loss]) -> Iterator[str]:
    """Yield the shares that clients lost before the plan does anything."""
    gone = [loss for loss in lost if loss.fate is Fate.GONE and is_of(Kind.SHARE, loss.address)]
    anew, not_anew = ([loss.address for loss in gone if loss.is_replaced is replaced] for replaced in (True, False))
    if anew:
        yield f"all clients of {named(anew)} have to mount the new share"
    if not_anew:
        yield f"all clients of {named(not_anew)} have lost it already"


def _lockouts(access: Sequence[AccessChange]) -> Iterator[str]:
    """Yield who loses what, where a share goes in one phrase for all its clients."""
    for cause, words in (
        (Cause.REMOVED, "all clients of {} lose it"),
        (Cause.REPLACED, "all clients of {} have to mount the new share"),
    ):
        gone = [
            a
            for change in access
            if change.cause is cause and (change.is_known or change.shifts)
            for a in change.addresses
        ]
        if gone:
            yield words.format(named(gone))
    for change in access:
        if change.remount:
            yield f"clients of {named(change.addresses)} have to mount it anew, as {change.remount}"
    for change in access:
        if change.cause in {Cause.RULES, Cause.NEW}:
            worse = [shift for shift in change.shifts if shift.effect is Effect.LOSES]
            if worse:
                told = listed(shift_words(change._replace(shifts=tuple(worse))), _MOST_PHRASES)
                yield f"{named(change.addresses)}: {told}"


def _unclear(plan: Plan, access: Sequence[AccessChange]) -> Iterator[str]:
    """Yield what may or may not shut somebody out: changed options and settings of exports, changed directory services."""
    for change in access:
        other = [shift for shift in change.shifts if shift.effect is Effect.CHANGES]
        if other:
            told = listed(shift_words(change._replace(shifts=tuple(other))), _MOST_PHRASES)
            yield f"whether all come in as before at {named(change.addresses)}, where {told}"
    for settings in dict.fromkeys(change.settings for change in access if change.settings):
        shares = [address for change in access if change.settings == settings for address in change.addresses]
        told = listed([setting.field.partition("/")[2] for setting in settings], _MOST_PHRASES)
        yield f"whether all come in as before at {named(shares)}, whose export has another {told}"
    moving = [step.address for step in plan.steps if _MOVED_EXPORT in (step.stated_changes or ())]
    if moving:
        yield f"under which address clients find {named(moving)}, whose share server may get another"
    servers = [step.address for step in plan.steps if step.verb is Verb.UPDATE_SHARE_SERVER]
    if servers:
        yield f"who can log in at {named(servers, 'share server')}, whose network or directory services change"


def _fits(plan: Plan, places: Sequence[Placing]) -> Answer:
    homeless = sorted({each.address for each in plan.held if each.code in _WITHOUT_PLACE})
    waiting = sorted({each.address for each in plan.diagnostics if each.code == SHARE_HELD and each.address})
    shortages = {
        step.address: step.work.shortage
        for step in plan.steps
        if step.verb is Verb.EXTEND_SHARE and isinstance(step.work, ResizeShare)
    }
    lacking = [address for address, shortage in shortages.items() if shortage]
    growing = [address for address, shortage in shortages.items() if shortage == ""]
    unmeasured = [address for address, shortage in shortages.items() if shortage is None]
    count = sum(len(placing.addresses) for placing in places)
    phrases = []
    if homeless:
        phrases.append(f"{named(homeless)} {'has' if len(homeless) == 1 else 'have'} no place")
    if count:
        one = {1: "the new share has", 2: "both new shares have"}.get(count, f"all {count:,} new shares have")
        phrases.append(
            f"{one} a place" if not homeless else f"{count:,} new {'share has' if count == 1 else 'shares have'} one"
        )
    if lacking:
        phrases.append(
            f"{named(lacking)} {'has' if len(lacking) == 1 else 'have'} no room to grow ({shortages[lacking[0]]})"
        )
    if growing:
        phrases.append(f"{named(growing)} {'has' if len(growing) == 1 else 'have'} room to grow")
    if not phrases:
        phrases.append("nothing needs a new place")
    unknown = [f"where {named(waiting)} can go, since a backend could not be read"] if waiting else []
    if unmeasured:
        unknown.append(f"whether there is room for {named(unmeasured)} to grow")
    unknown += _held(plan, _MAKING, _WITHOUT_PLACE)
    return _answer(Verdict.NO if homeless or lacking else Verdict.YES, phrases, unknown, good=Verdict.YES)


def _answer(verdict: Verdict, phrases: Sequence[str], unknown: Sequence[str], good: Verdict = Verdict.NO) -> Answer:
    """Return an answer; what is not known leaves the question open, unless what is known settles it for the worse."""
    if unknown and verdict is good:
        verdict = Verdict.UNKNOWN
    more = len(phrases) - _MOST_SUMMED
    told = "; ".join(phrases[:_MOST_SUMMED]) + (f"; and {more} more" if more > 0 else "")
    return Answer(verdict, told, tuple(unknown))


def _unread(plan: Plan, verbs: Collection[Verb]) -> list[str]:
    """Return in a phrase which backends could not be read on which steps of these verbs are done."""
    touched = {step.backend for step in plan.steps if step.verb in verbs and not isinstance(step.work, CreateShare)}
    unread = sorted(each.backend for each in plan.unread if each.backend in touched)
    return [f"who has access on {listed(unread)} today, which could not be read"] if unread else []


def _unlooked(plan: Plan) -> Iterator[str]:
    """Yield the shares whose access comes from the state, since no backend was asked: rules made there by hand may end."""
    unread = {each.backend for each in plan.unread}
    found = {
        step.address
        for step in plan.steps
        if step.verb in _SHUTTING_OUT
        and step.before is not None
        and step.before.is_recorded
        and step.backend not in unread
    }
    if found:
        yield f"who has access to {named(sorted(found))} today, since no backend was asked"


def _held(plan: Plan, verbs: Collection[Verb], told: Collection[str] = ()) -> list[str]:
    """Return in a phrase what is held, and not judged, that might be one of these verbs, but for what was `told` already."""
    held = sorted(
        {each.address for each in plan.held if each.code not in told and (not each.verbs or {*each.verbs} & {*verbs})}
    )
    return (
        [f"what becomes of {named(held, 'resource')}, which {'is' if len(held) == 1 else 'are'} held"] if held else []
    )
