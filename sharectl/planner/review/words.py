"""Who is meant by a change of access and what becomes of them, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.access import ANYBODY, CIFS, NFS, AccessType, protocol_words
from sharectl.model.diagnostics import counted, listed
from sharectl.model.reach import Effect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.model.kinds import Address
    from sharectl.model.reach import Shift
    from sharectl.planner.review.nouns import AccessChange

_ALL: Final = {"0.0.0.0/0": "every IPv4 client", "::/0": "every IPv6 client"}
_NAMED: Final = 3


def who(shift: Shift) -> str:
    """Return whom a shift is about: `10.0.0.0/8 (but for 10.0.0.13)`, `user alice`, `every user`, `guests`."""
    named = shift.access_to
    match shift.access_type:
        case AccessType.IP:
            words = _ALL.get(named, named)
        case AccessType.USER if named == ANYBODY:
            words = "every user"
        case AccessType.GUEST:
            words = "whoever comes without a password"
        case _:
            words = f"{shift.access_type} {named}"
    others = [each.partition(":")[2] if shift.access_type != AccessType.IP else each for each in shift.but_for]
    return f"{words} (but for {listed(others, _NAMED)})" if others else words


def what(shift: Shift, *, names_protocol: bool = False) -> str:
    """Return what becomes of them: `loses rw`, `goes from rw to ro`, `gains ro over NFS`."""
    if shift.effect is Effect.CHANGES:
        words = f"has {shift.after} instead of {shift.before}"
    elif shift.before is None:
        words = f"gains {shift.after}"
    elif shift.after is None:
        words = f"loses {shift.before}"
    else:
        words = f"goes from {shift.before} to {shift.after}"
    if names_protocol and shift.protocol in {NFS, CIFS}:
        words += f" over {protocol_words(shift.protocol)}"
    if shift.unless_grouped:
        words += ", if no group says otherwise"
    return words


def shift_words(change: AccessChange) -> list[str]:
    """Return who gains and who loses, each in a phrase."""
    names_protocol = len({shift.protocol for shift in change.shifts}) > 1
    return [f"{who(shift)} {what(shift, names_protocol=names_protocol)}" for shift in change.shifts]


def named(addresses: Sequence[Address], noun: str = "share") -> str:
    """Return one address or a few by name, and more of them counted: `share/home`, `3,000 shares`."""
    if len(addresses) <= _NAMED:
        return listed(list(addresses))
    return f"{len(addresses):,} {counted(len(addresses), noun).partition(' ')[2]}"
