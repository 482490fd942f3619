"""Cancelling: one request lets running steps finish, a second one stops at once."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Cancellation:
    """Asked for from a signal handler, or from any thread.

    `request` takes no lock and starts no thread: a signal may interrupt a handler that is already at work, and a lock that the
    interrupted code holds would never be free again.
    """

    def __init__(self) -> None:
        """Begin without a request."""
        self._requests = count()
        self._requested = False
        self._notify: Callable[[bool], object] | None = None

    @property
    def requested(self) -> bool:
        """Tell whether anybody has asked for an end."""
        return self._requested

    def subscribe(self, notify: Callable[[bool], object]) -> None:
        """Call `notify(immediate)` with each request; it may be called inside a signal handler."""
        self._notify = notify

    def request(self) -> None:
        """Ask for an end: gracefully the first time, at once from the second on.

        `requested` is True only when all subscribers have been told: whoever sees it can rely on nothing more beginning.
        """
        immediate = next(self._requests) > 0
        told = self._notify
        if told is not None:
            told(immediate)
        self._requested = True
        if told is None and self._notify is not None:  # it came while somebody subscribed, who may have looked already
            self._notify(immediate)
