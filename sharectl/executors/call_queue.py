"""The calls of one backend that wait for their turn."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sharectl.executors.base import Submission


class CallQueue:
    """Those that go first, then the others, each in the order in which they came. Any thread may take the next one."""

    __slots__ = ("_first", "_others")

    def __init__(self) -> None:
        """Begin with none."""
        self._first: deque[Submission] = deque()
        self._others: deque[Submission] = deque()

    def append(self, submission: Submission) -> None:
        """Let a call wait."""
        (self._first if submission.goes_first else self._others).append(submission)

    def popleft(self) -> Submission:
        """Take the next one out. Raises IndexError where none waits."""
        if self._first:
            with suppress(IndexError):  # another thread has just taken it
                return self._first.popleft()
        return self._others.popleft()

    def clear(self) -> None:
        """Take all out."""
        self._first.clear()
        self._others.clear()

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._first) + len(self._others)
