"""Cancelling: one request lets running steps finish, a second one stops at once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Cancellation:
    """Set from a signal handler, or from any thread; never blocks."""

    def __init__(self) -> None:
        """Begin without a request."""
        self.requested = threading.Event()
        self.immediate = False
        self._notify: Callable[[bool], None] | None = None

    def subscribe(self, notify: Callable[[bool], None]) -> None:
        """Call `notify(immediate)` with each request; it may be called inside a signal handler."""
        self._notify = notify

    def request(self) -> None:
        """Ask for an end: gracefully the first time, at once the second."""
        self.immediate = self.requested.is_set()
        self.requested.set()
        if self._notify is not None:
            self._notify(self.immediate)
