"""Volumes that grow by themselves: how large their shares are asked to be, which is what plans compare, and how far they may grow."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sharectl.drivers.ontap.extra_specs import AUTOSIZE, AUTOSIZE_PERCENT, Asked
from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.drivers.ontap.names import Note
    from sharectl.drivers.ontap.volumes import Volume
    from sharectl.model.canonical import JsonObject

USUAL_PERCENT: Final = 120
_OFF: Final = "off"
_BLOCK_BYTES: Final = 4096
_NOTE: Final = "autosize"
"""Value of a volume's note: its mode, the size that is asked for, and to how many percent of that it may grow."""
_TEXT: Final = re.compile(r"(grow|grow_shrink)/([0-9]{1,18})/([0-9]{3,5})")


@dataclass(frozen=True, slots=True)
class Growth:
    """How a volume changes its size by itself: it is `size_bytes` at least, and `percent` of that at most."""

    mode: str
    size_bytes: int
    percent: int = USUAL_PERCENT

    @property
    def most_bytes(self) -> int:
        """The size that it may grow to."""
        return self.size_bytes * self.percent // 100 // _BLOCK_BYTES * _BLOCK_BYTES

    def fields(self) -> JsonObject:
        """Return the fields of a request that make it so, its size left out."""
        return {"autosize": {"mode": self.mode, "minimum": self.size_bytes, "maximum": self.most_bytes}}

    def noted(self) -> dict[str, str]:
        """Return what the comment of the volume remembers."""
        return {_NOTE: f"{self.mode}/{self.size_bytes}/{self.percent}"}

    def at(self, size_bytes: int) -> Growth:
        """Return it for another size."""
        return Growth(self.mode, size_bytes, self.percent)


def growth_asked(extra_specs: Mapping[str, str], size_bytes: int) -> Growth | None:
    """Return how a volume of a type is to grow; None where it is not."""
    asked = Asked(extra_specs)
    mode = asked.value(AUTOSIZE)
    if mode in {None, _OFF}:
        return None
    return Growth(str(mode), size_bytes, asked.value(AUTOSIZE_PERCENT) or USUAL_PERCENT)


def autosize_fields(growth: Growth | None) -> JsonObject:
    """Return the fields of a new volume: that it is not to grow is said too, since arrays differ."""
    return {"autosize": {"mode": _OFF}} if growth is None else growth.fields()


def growth_in(note: Note | None) -> Growth | None:
    """Return how a volume was made to grow; None where it was not."""
    found = _TEXT.fullmatch("" if note is None else note.values.get(_NOTE, ""))
    return None if found is None else Growth(found[1], int(found[2]), int(found[3]))


def asked_bytes(volume: Volume) -> int:
    """Return the size that is asked for of the share of a volume: what it has grown to within its bounds is no other size."""
    growth = growth_in(volume.note)
    if growth is not None and growth.size_bytes <= volume.size_bytes <= growth.most_bytes:
        return growth.size_bytes
    return volume.size_bytes
