"""The free addresses of one wire, lowest first: how the next is found without looking at all that are taken."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sharectl.model.address_ranges import AddressRange


class AddressPool:
    """Addresses are numbers here. Not safe for several threads at once; its owner holds a lock.

    Everything below `_next` has been given out at some time and is either taken or in the heap of those that came back; so the lowest
    free address costs the logarithm of how many came back, and a range of 2**64 costs no more than one of ten.
    """

    def __init__(self, ranges: Sequence[AddressRange], taken: Iterable[int]) -> None:
        """Start with `ranges` (ascending, apart from each other) less `taken`, which may hold addresses outside of them."""
        self._ranges = ranges
        self._firsts = [part.first for part in ranges]
        self.size = sum(part.size for part in ranges)
        self._taken = {number for number in taken if self.holds(number)}
        self._returned: list[int] = []
        self._position = 0
        self._next = ranges[0].first if ranges else 0

    @property
    def used(self) -> int:
        """How many of the addresses are taken."""
        return len(self._taken)

    def holds(self, number: int) -> bool:
        """Tell whether the address is one of the ranges', taken or not."""
        position = bisect_right(self._firsts, number) - 1
        return position >= 0 and number <= self._ranges[position].last

    def is_free(self, number: int) -> bool:
        """Tell whether the address is one of the ranges', and not taken."""
        return self.holds(number) and number not in self._taken

    def take(self, preferred: int | None = None) -> int | None:
        """Take `preferred` if that is free, else the lowest free address; return it, or None where none is left."""
        if preferred is not None and self.is_free(preferred):
            self._taken.add(preferred)
            return preferred
        number = self._lowest_returned()
        if number is None:
            number = self._lowest_unused()
        if number is not None:
            self._taken.add(number)
        return number

    def give_back(self, number: int) -> None:
        """Make an address free that was taken; one that is free already, or none of these, changes nothing."""
        if number in self._taken:
            self._taken.discard(number)
            heapq.heappush(self._returned, number)

    def _lowest_returned(self) -> int | None:
        while self._returned:
            number = heapq.heappop(self._returned)
            if number not in self._taken and number < self._next:
                return number
        return None

    def _lowest_unused(self) -> int | None:
        while self._position < len(self._ranges):
            part = self._ranges[self._position]
            number = max(self._next, part.first)
            while number <= part.last:
                self._next = number + 1
                if number not in self._taken:
                    return number
                number += 1
            self._position += 1
        return None
