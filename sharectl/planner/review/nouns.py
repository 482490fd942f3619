"""What a review is made of."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from sharectl.model.field_changes import FieldChange
    from sharectl.model.kinds import Address
    from sharectl.model.reach import Shift


class Verdict(StrEnum):
    """The answer to a question of the review; `UNKNOWN` where a part of it could not be seen, and none that could says yes."""

    NO = "no"
    YES = "yes"
    UNKNOWN = "unknown"


class Answer(NamedTuple):
    """One of the three answers: `summary` says it in a sentence, `unknown` what could not be seen or is held, each in a phrase."""

    verdict: Verdict
    summary: str
    unknown: tuple[str, ...] = ()


class Fate(StrEnum):
    """What becomes of data: it is destroyed, or what is newer than a snapshot is, or snapshots that a policy took are; it is gone already, not by this plan; it goes into the trash, or stays where it is, unmanaged."""

    DESTROYED = "destroyed"
    REVERTED = "reverted"
    THINNED = "thinned"
    GONE = "gone"
    TRASHED = "trashed"
    LEFT = "left"

    @property
    def is_final(self) -> bool:
        """Whether it cannot be undone."""
        return self in {Fate.DESTROYED, Fate.REVERTED, Fate.THINNED, Fate.GONE}


class Loss(NamedTuple):
    """Data that a plan takes away from whoever uses it: of the share or snapshot at `address`.

    `used_bytes` is what the data occupies, None where nobody knows; it is at most `size_bytes`. A revert loses only what was written
    since, which is less. `is_replaced` where another share takes its place. `undo` says how it is undone, or that
    it cannot be.
    """

    address: Address
    fate: Fate
    used_bytes: int | None
    size_bytes: int | None
    undo: str
    is_replaced: bool = False


class Cause(StrEnum):
    """Why access to a share changes."""

    NEW = "new"
    RULES = "rules"
    REPLACED = "replaced"
    REMOVED = "removed"


class AccessChange(NamedTuple):
    """Who gains and who loses, equal for the shares at all `addresses`.

    `remount` is the name under which clients have to mount the share again, if its export gets another one. `settings` of the exports
    change for everybody who has access. Where `is_known` is false, nobody knows all who have access today: a plan was saved by an
    older sharectl, or the backend has access that cannot be read.
    """

    addresses: tuple[Address, ...]
    cause: Cause
    shifts: tuple[Shift, ...] = ()
    remount: str = ""
    settings: tuple[FieldChange, ...] = ()
    is_known: bool = True


class Placing(NamedTuple):
    """Where new shares go, alike for all `addresses`: the pool that is tried first, of how many, and why that one."""

    addresses: tuple[Address, ...]
    backend: str
    pool: str
    candidates: int
    why: str


class Opening(NamedTuple):
    """A new or changed rule that opens the shares at `addresses` to everybody: `who` says to whom, `grant` what it grants."""

    addresses: tuple[Address, ...]
    rule: str
    who: str
    grant: str


@dataclass(frozen=True, slots=True)
class Review:
    """A plan as whoever approves it reads it; it `takes_room` where anything is new or grows."""

    data_lost: Answer
    locked_out: Answer
    fits: Answer
    losses: tuple[Loss, ...]
    access: tuple[AccessChange, ...]
    placings: tuple[Placing, ...]
    openings: tuple[Opening, ...]
    takes_room: bool
