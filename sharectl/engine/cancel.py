"""Cancelling: one request lets running steps finish, a second one stops at once."""

from __future__ import annotations

import threading
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
        self._woken = threading.Event()

    @property
    def requested(self) -> bool:
        """Tell whether anybody has asked for an end."""
        return self._requested

    def subscribe(self, notify: Callable[[bool], object]) -> None:
        """Call `notify(immediate)` with each request; it may be called inside a signal handler."""
        self._notify = notify

    def request(self) -> None:
        """Ask for an end: gracefully the first time, at once from the second on."""
        immediate = next(self._requests) > 0
        self._requested = True
        if self._notify is not None:
            self._notify(immediate)

    def wake(self) -> None:
        """Let those that wait see the request now; not for signal handlers."""
        self._woken.set()

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until somebody has been woken by a request; tell whether there is one."""
        return self._requested or self._woken.wait(seconds) or self._requested
