"""What a backend remembers of the runs of one state, so that it refuses those that have lost their lease; used by the linux agent too."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


class Fences(NamedTuple):
    """The newest fence, and which of those before it may still work: `beside`."""

    newest: int = 0
    beside: frozenset[int] = frozenset()

    def admit(self, fence: int) -> bool:
        """Tell whether a run may work under `fence`."""
        return fence >= self.newest or fence in self.beside

    def raised(self, fence: int, beside: Collection[int]) -> Fences:
        """Return what is remembered once a run works here under `fence`, which is admitted, beside the runs of `beside`.

        Who held no lease when another run took its own has lost it for good, whatever is said later.
        """
        living = {fence, *beside}
        known = living | self.beside | {self.newest}
        kept = {each for each in known if self.admit(each) and (each >= fence or each in living)}
        newest = max(self.newest, fence)
        return Fences(newest, frozenset(each for each in kept if each < newest))

    @classmethod
    def of(cls, newest: int, note: Sequence[int]) -> Fences:
        """Return them as they were kept; a note that belongs to another newest fence says nothing."""
        return cls(newest, frozenset(note[1:]) if note and note[0] == newest else frozenset())

    @property
    def note(self) -> list[int]:
        """What is kept besides the newest: that once more, and after it the others."""
        return [self.newest, *sorted(self.beside)]
