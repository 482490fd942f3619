"""The space of volumes and aggregates: what each figure of `space` is made of."""

from __future__ import annotations

import dataclasses
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

FRESH_BYTES: Final = 300 * KIB
"""What an empty volume uses of itself."""
LEAST_FLEXVOL_BYTES: Final = 20 * MIB
LEAST_MEMBER_BYTES: Final = 100 * GIB
GREATEST_FLEXVOL_BYTES: Final = 300 * 1024 * GIB


@dataclasses.dataclass(frozen=True, slots=True)
class Space:
    """What stands in a volume, and what it may take."""

    size: int
    reserve_percent: float
    data: int = 0
    """What its files use, clients' and its own."""
    snapshots: int = 0
    """What only its snapshots still hold."""

    @property
    def reserve(self) -> int:
        """Return what of the size is kept for snapshots."""
        return int(self.size * self.reserve_percent // 100)

    @property
    def total(self) -> int:
        """Return what clients are given: the size without the reserve."""
        return self.size - self.reserve

    @property
    def spill(self) -> int:
        """Return what snapshots take beyond their reserve."""
        return max(0, self.snapshots - self.reserve)

    @property
    def used(self) -> int:
        """Return what clients see as used: their files, and what snapshots spill."""
        return self.data + self.spill

    def available(self, room: int | None) -> int:
        """Return what clients may still write; a thin volume has no more than the room of its aggregate."""
        own = max(0, self.total - self.used)
        return own if room is None else min(own, max(0, room))

    @property
    def percent_used(self) -> int:
        """Return `used` out of `total`."""
        return self.used * 100 // self.total if self.total else 0

    def footprint(self, *, thick: bool) -> int:
        """Return what it takes of its aggregate: all of its size where that is guaranteed."""
        written = self.data + self.snapshots
        return max(self.size, written) if thick else written

    @property
    def least_size(self) -> int:
        """Return the smallest size at which all that stands in it has room."""
        if self.reserve_percent >= 100:
            return self.size
        beside_reserve = int(-(-self.data * 100 // (100 - self.reserve_percent)))
        return max(self.data + self.snapshots, beside_reserve)
