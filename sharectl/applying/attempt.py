"""One attempt at a step: where it stands, whether anybody still waits for it, and how it ended."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sharectl.planning.types import Step


class EndingKind(Enum):
    """How an attempt ended: of a share that was REFUSED, another candidate may do what this one could not."""

    DONE = auto()
    REFUSED = auto()
    FAILED = auto()
    STATE_LOST = auto()


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended; `unresolved` says that its intent stays open."""

    kind: EndingKind
    error: str = ""
    pool: str | None = None
    seconds: float = 0.0
    unresolved: bool = False


class AbandonedError(BaseException):
    """The engine has given this attempt up. No Exception, so that no handler takes it for a failure of the driver."""


@dataclass(slots=True)
class Attempt:
    """A step on its way through a lane. A call that outlives its deadline is given up, and what it answers later is not heard.

    `in_doubt` holds while an intent may be open, `answered` once the backend has answered a call in time.
    """

    step: Step
    backend: str | None
    index: int = 0
    in_doubt: bool = False
    answered: bool = False
    abandoned: bool = False
    _deadline: float | None = None
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    def begin_call(self, deadline: float) -> None:
        """Start the clock of a driver call; raises AbandonedError where nobody would wait for its answer."""
        with self._mutex:
            if self.abandoned:
                raise AbandonedError
            self._deadline = deadline

    def end_call(self) -> None:
        """Stop the clock; raises AbandonedError where nobody waits for the answer any more."""
        with self._mutex:
            self._deadline = None
            if self.abandoned:
                raise AbandonedError
            self.answered = True

    def give_up_if_overdue(self, now: float) -> bool:
        """Give the attempt up if the deadline of its call has passed; tell whether it was."""
        with self._mutex:
            if self._deadline is None or now < self._deadline:
                return False
            self.abandoned = True
            return True

    def give_up(self) -> None:
        """Hear nothing of this attempt any more."""
        with self._mutex:
            self.abandoned = True
