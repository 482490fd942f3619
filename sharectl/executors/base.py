"""The contract of an executor, which makes the calls of a run: in threads of this process, or in workers elsewhere.

The loop of a run decides what is called, when, and how often; the executor decides where. A submitted call waits until its
backend has room: at most `width` calls of a backend run at once, on all workers together. When a call begins, it is reported as
`Began`. Then comes exactly one outcome, an answer or a failure. Right before each request to a backend the worker checks that
the call has not been abandoned and that the run may still begin one: with the `Permit` that it is given, or elsewhere by the
deadline of the lease, which travels with the call, and by the fence of the run. If nobody can tell what has become of calls elsewhere,
all of them are reported as NOT_PERMITTED once the permit no longer returns.

A call that has no answer `timeout_seconds` after it began is reported as SILENT, and one whose worker is gone as WORKER_LOST. In
both cases nobody knows how it ended: its intent stays open, later answers are dropped, and its place is free for another call.
An executor never repeats a call by itself. Whatever a driver raises, it reports as a Failure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.executors.answers import Answer, Failure
    from sharectl.executors.calls import Call

GATHERING_SECONDS: Final = 0.004
"""How long outcomes are gathered while calls are under way: a transaction for many steps costs little more than for one."""

Permit = Callable[[], None]
"""Returns where a request may leave for a backend now; raises where it may not."""

Execute = Callable[[str, "Call[Answer]", Permit], "Answer"]
"""Makes a call on the backend of this name, asking the permit before each request; raises what the driver raises."""


class Operation(NamedTuple):
    """The open intent that a call belongs to; two calls at one address are never made at once."""

    operation_id: str
    address: str


class Remains(NamedTuple):
    """What is known of the calls of an operation whose run is gone: whether one has begun, and what the last one brought back.

    One that `is_under_way` has not ended: nobody may resolve its operation.
    """

    has_begun: bool
    answer: Answer | None = None
    is_under_way: bool = False


@dataclass(frozen=True, slots=True)
class Submission:
    """A call to be made. `number` is unique within the run; the timeout counts from when the call begins.

    `operation` is the intent that it belongs to, None for a question: an executor elsewhere refuses to begin a call whose intent is not open any more.
    One that `goes_first` begins before all on its backend that do not.
    """

    number: int
    backend: str
    call: Call[Answer]
    timeout_seconds: float
    operation: Operation | None = None
    goes_first: bool = False


@dataclass(frozen=True, slots=True)
class Began:
    """The call has begun, at the `worker` of this id (None: in this process)."""

    worker: str | None = None


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
        """Make the call as soon as its backend has room, and somebody waits for `reports`. Returns at once."""
        ...

    def reports(self, timeout_seconds: float) -> Sequence[Report]:
        """Return what there is to report; wait for it, but no longer than this.

        Only outcomes end the wait early, after those that follow within GATHERING_SECONDS, or a little later where all calls are short. What is
        reported of one call is in its order.
        """
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

    def hold(self) -> None:
        """Let no call begin until `go_on`; those that have begun go on. May be called inside a signal handler."""
        ...

    def go_on(self) -> None:
        """Let calls begin again, with the next `reports`."""
        ...

    def close(self) -> None:
        """Abandon everything, and let the workers go."""
        ...


MakeExecutor = Callable[[Execute, Permit, Callable[[str], int], Callable[[], float]], Executor]
"""Makes the executor of a run: from what makes a call here, the run's permit, the width of each backend, and a clock."""
