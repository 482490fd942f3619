"""Which address to try next on a Nova network, where each look at one costs a request."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator

    from sharectl.network.nova.places import Place


class Search:
    """What is known of the addresses of one place; may be used by several threads at once.

    The highest come first: Nova gives its servers those that were longest unused, at first the lowest, so that both seldom want the same.
    What was seen with somebody else is passed over until nothing else is left; what another thread looks at just now is passed over as well.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self._lock = threading.Lock()
        self._occupied: set[int] = set()
        self._tried: set[int] = set()

    def candidates(self, place: Place, taken: Collection[int], preferred: int | None) -> Generator[int, None, None]:
        """Give addresses to try, first `preferred`, then all but `taken`, then those that somebody else had when last seen.

        Each is held for who asked until the next is asked for, or the iterator is closed.
        """
        with self._lock:
            last = set(self._occupied)
        if preferred is not None:
            last.discard(preferred)
            yield from self._held(preferred, taken)
        for number in place.downwards():
            if number != preferred and number not in last:
                yield from self._held(number, taken)
        for number in sorted(last, reverse=True):
            yield from self._held(number, taken)

    def note(self, number: int, *, is_occupied: bool) -> None:
        """Remember whether somebody else has the address."""
        with self._lock:
            if is_occupied:
                self._occupied.add(number)
            else:
                self._occupied.discard(number)

    def _held(self, number: int, taken: Collection[int]) -> Iterator[int]:
        if number in taken:
            return
        with self._lock:
            if number in self._tried:
                return
            self._tried.add(number)
        try:
            yield number
        finally:
            with self._lock:
                self._tried.discard(number)
