"""The contract of an executor: whoever makes the calls of a run, in threads of this process or in workers elsewhere.

The loop of a run decides what is called, when, and how often; the executor decides where. A call that is submitted waits until
its backend has room: `width` calls of a backend run at once, and no more, whoever runs them. One that begins is reported as
`Began`, with the worker that has it; then comes exactly one outcome: an answer, or a failure. Right before each request that
leaves for a backend the worker makes sure that the run may still begin one (the `Permit` that it is given; for a worker elsewhere the
deadline of the lease that travels with the call, and the fence of the run), and that the call has not been abandoned.

A call that has begun and has no answer within its `timeout_seconds` is reported as SILENT, one whose worker is gone as
WORKER_LOST: in both cases nobody knows how it ended, its intent stays open, and nothing that comes later is reported. Its place
is free for another. An executor repeats nothing by itself: what is to be repeated is submitted again.

Nothing that a driver raises comes out of an executor otherwise than as a Failure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.executors.calls import Answer, Call, Failure

Permit = Callable[[], None]
"""Returns where a request may leave for a backend now; raises where it may not."""

Execute = Callable[[str, "Call[Answer]", Permit], "Answer"]
"""Makes a call on the backend of this name, asking the permit before each request; raises what the driver raises."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A call on its way. `number` is unique within the run; the time runs from the moment when the call begins."""

    number: int
    backend: str
    call: Call[Answer]
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Began:
    """The call has begun; `worker` says who has it, for people."""

    worker: str


class Report(NamedTuple):
    """What has become of the submission of this number."""

    number: int
    outcome: Began | Answer | Failure


class Executor(Protocol):
    """Makes calls. Its methods are called from the one thread of the loop, `wake` from anywhere."""

    def width(self, backend: str) -> int:
        """Return how many calls run on the backend at once."""
        ...

    def submit(self, submission: Submission) -> None:
        """Make the call as soon as its backend has room. Returns at once."""
        ...

    def reports(self, timeout_seconds: float) -> Sequence[Report]:
        """Return what there is to report, in its order; wait for it, but no longer than this. Only outcomes end the wait early."""
        ...

    def withdraw(self, number: int) -> bool:
        """Take a call back before it begins: True where it never will, and nothing more is reported of it."""
        ...

    def abandon(self, number: int) -> None:
        """Wait no longer for a call: nothing more is reported of it, and no further request of it leaves."""
        ...

    def wake(self) -> None:
        """End the wait of `reports` now. May be called from any thread, and inside a signal handler."""
        ...

    def close(self) -> None:
        """Abandon everything, and let the workers go."""
        ...
