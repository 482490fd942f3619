"""Events of an apply, as values: the engine emits them, the renderers show them, JSON streams them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.model.kinds import Address
    from sharectl.model.verbs import Verb


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The first event: how many steps there are on each backend (steps of the state alone count under an empty name)."""

    run_id: str
    steps: int
    steps_by_backend: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class RecoveryStarted:
    """An earlier run has left operations open, which are looked at before anything else; how many there are, and on which backend."""

    operations: int
    operations_by_backend: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class CallsUnderWay:
    """Workers still make calls of an earlier run, at these addresses; they are waited for, `seconds` if nobody renews them any more."""

    addresses: tuple[Address, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class OperationRecovered:
    """An intent that an earlier run left open has been resolved; `outcome` says how, for people."""

    address: Address
    verb: str
    backend: str | None
    outcome: str


@dataclass(frozen=True, slots=True)
class StepStarted:
    """The step's intent is durable and its driver call begins; `worker` is the id of who makes it, None for this process."""

    step_id: str
    address: Address
    verb: Verb
    backend: str | None
    pool: str | None = None
    worker: str | None = None


@dataclass(frozen=True, slots=True)
class StepTaken:
    """A `worker` makes a call of a step that has begun: after calls of this process, or in place of one that was `lost` in the call."""

    step_id: str
    address: Address
    backend: str | None
    worker: str
    lost: str | None = None


@dataclass(frozen=True, slots=True)
class StepRetried:
    """A transient error: the call is repeated after `delay_seconds`; `attempt` counts from 1."""

    step_id: str
    address: Address
    backend: str | None
    attempt: int
    delay_seconds: float
    error: str


@dataclass(frozen=True, slots=True)
class CandidateFailed:
    """A pool could not take the share; the next candidate is tried, if there is one."""

    step_id: str
    address: Address
    backend: str
    pool: str
    error: str


@dataclass(frozen=True, slots=True)
class StepFinished:
    """The step's result is durable."""

    step_id: str
    address: Address
    verb: Verb
    backend: str | None
    pool: str | None
    seconds: float
    worker: str | None = None


@dataclass(frozen=True, slots=True)
class StepFailed:
    """The step failed for good; `unresolved` says that its outcome on the backend is unknown and its intent stays open."""

    step_id: str
    address: Address
    verb: Verb
    backend: str | None
    error: str
    unresolved: bool = False
    worker: str | None = None


@dataclass(frozen=True, slots=True)
class StepSkipped:
    """The step was not run; `cause` is the address that made it impossible, empty after a cancel."""

    step_id: str
    address: Address
    verb: Verb
    backend: str | None
    cause: Address
    reason: str


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """Ctrl-C: no new step starts (`immediate` false), or everything stops now."""

    immediate: bool


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The last event."""

    run_id: str
    done: int
    failed: int
    skipped: int
    cancelled: bool
    seconds: float


Event = (
    RunStarted
    | RecoveryStarted
    | CallsUnderWay
    | OperationRecovered
    | StepStarted
    | StepTaken
    | StepRetried
    | CandidateFailed
    | StepFinished
    | StepFailed
    | StepSkipped
    | CancelRequested
    | RunFinished
)

_RANDOM_END: Final = re.compile(r"-[0-9a-f]{8}$")


def worker_name(worker_id: str) -> str:
    """Return `filer1@host-4711`: a worker's id without its end, which tells processes of one number apart and which people do not need."""
    return _RANDOM_END.sub("", worker_id)
