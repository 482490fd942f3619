"""How long a server has been away, for all who ask it at the same time: who comes later waits no longer than who came first."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

_SILENT_SECONDS: Final = 3.0
"""An absence of this length is told."""
_CONTINUING_SECONDS: Final = 30.0
"""A failure so long after the one before is the beginning of another absence: nobody has asked in between."""
_FRESH_SECONDS: Final = 5.0
"""What failed so short a time ago is not tried again by whoever may not wait."""


class Absence:
    """Since when one server has not answered. Used from any thread."""

    def __init__(self) -> None:
        """Begin with a server that answers."""
        self._guard = threading.Lock()
        self._since_seconds: float | None = None
        self._failed_seconds = float("-inf")
        self._problem: psycopg.Error | None = None
        self._is_told = False
        self.tell: Callable[[psycopg.Error], object] = lambda _: None
        """Called with what was met last, once in an absence."""

    def failed(self, asked_seconds: float, problem: psycopg.Error) -> float:
        """Note that what was asked then got no answer; return since when that is so."""
        now = time.monotonic()
        with self._guard:
            if self._since_seconds is None or now - self._failed_seconds > _CONTINUING_SECONDS:
                self._since_seconds = asked_seconds
                self._is_told = False
            self._failed_seconds, self._problem = now, problem
            since_seconds = self._since_seconds
            is_to_be_told = not self._is_told and now - since_seconds >= _SILENT_SECONDS
            self._is_told = self._is_told or is_to_be_told
        if is_to_be_told:
            self.tell(problem)
        return since_seconds

    def ended(self) -> None:
        """Note that the server has answered."""
        with self._guard:
            self._since_seconds = self._problem = None
            self._is_told = False

    def refuse(self, patience_seconds: float) -> None:
        """Raise what was met last, where it was met just now and has been waited for longer than that."""
        now = time.monotonic()
        with self._guard:
            is_fresh = now - self._failed_seconds < _FRESH_SECONDS
            is_over = self._since_seconds is not None and now - self._since_seconds >= patience_seconds
            problem = self._problem if is_fresh and is_over else None
        if problem is not None:
            raise type(problem)(*problem.args)
