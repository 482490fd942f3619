"""One attempt at a step: where it stands, whether anybody still waits for it, and how it ended."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.model.plans import Step


class EndingKind(Enum):
    """How an attempt ended: of a share that was REFUSED, another candidate may do what this one could not.

    CANCELLED is an attempt whose backend was not asked, because a cancel came first.
    """

    DONE = auto()
    REFUSED = auto()
    FAILED = auto()
    CANCELLED = auto()
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
    """A step on its way through a lane.

    A driver call holds a slot of the lane while it runs, and only then: the commits
    before and after it hold nobody up. A call that outlives its deadline is given up, and what it answers later is not heard.

    `in_doubt` holds while an intent may be open, `answered` once the backend has answered a call in time.
    """

    step: Step
    backend: str | None
    index: int = 0
    in_doubt: bool = False
    answered: bool = False
    abandoned: bool = False
    _deadline: float | None = None
    _slot: threading.Semaphore | None = None
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    def begin_call(self, slot: threading.Semaphore, seconds: float, monotonic: Callable[[], float]) -> None:
        """Take a slot of the lane for a driver call, and start its clock; raises AbandonedError where nobody would wait for it."""
        slot.acquire()
        with self._mutex:
            if self.abandoned:
                slot.release()
                raise AbandonedError
            self._slot = slot
            self._deadline = monotonic() + seconds

    def expect_wanted(self) -> None:
        """Raise AbandonedError where the attempt has been given up while its call was being got ready."""
        if self.abandoned:
            raise AbandonedError

    def end_call(self) -> None:
        """Stop the clock and give the slot back; raises AbandonedError where nobody waits for the answer any more."""
        with self._mutex:
            self._deadline = None
            if self.abandoned:
                raise AbandonedError
            self._free_slot()
            self.answered = True

    def give_up_if_overdue(self, now: float) -> bool:
        """Give the attempt up if the deadline of its call has passed; tell whether it was."""
        with self._mutex:
            if self._deadline is None or now < self._deadline:
                return False
            self.abandoned = True
            self._free_slot()
            return True

    def give_up(self) -> None:
        """Hear nothing of this attempt any more."""
        with self._mutex:
            self.abandoned = True
            self._free_slot()

    def _free_slot(self) -> None:
        """Let another call have the slot, also where this one still hangs in it."""
        if self._slot is not None:
            self._slot.release()
            self._slot = None
