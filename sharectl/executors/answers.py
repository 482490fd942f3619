"""What comes back from a call: its answer, or how it failed.

Answers hold no row of the state and no secret, as the calls do in `sharectl.executors.calls`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from sharectl.model.access import AccessRule
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.networks import NetworkAllocation
    from sharectl.model.observed import BackendReport, ObservedShare, ObservedShareServer, ObservedSnapshot, PoolReport


class Answer:
    """What a call brought back; each kind of call has its own."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Done(Answer):
    """It is done, with nothing to report."""


@dataclass(frozen=True, slots=True)
class Identity(Answer):
    """The identity of the storage behind a backend; None where it was never prepared."""

    identity: str | None


@dataclass(frozen=True, slots=True)
class ShareMade(Answer):
    """A share as its backend holds it now."""

    share: ObservedShare


@dataclass(frozen=True, slots=True)
class SnapshotMade(Answer):
    """A snapshot as its backend holds it now."""

    snapshot: ObservedSnapshot


@dataclass(frozen=True, slots=True)
class SharesListed(Answer):
    """Shares as their backend lists them; those that it does not have are left out."""

    shares: tuple[ObservedShare, ...]


@dataclass(frozen=True, slots=True)
class SnapshotsListed(Answer):
    """Snapshots as their backend lists them; those that it does not have are left out."""

    snapshots: tuple[ObservedSnapshot, ...]


@dataclass(frozen=True, slots=True)
class Size(Answer):
    """The size that a share has now."""

    size_bytes: int


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """What became of one access rule: `status` is `active` or `error`."""

    rule: AccessRule
    status: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AccessUpdated(Answer):
    """What became of each rule, and the share as it is listed now, where that was asked for."""

    rules: tuple[RuleOutcome, ...]
    share: ObservedShare | None = None


@dataclass(frozen=True, slots=True)
class Allocated(Answer):
    """An address that is taken."""

    allocation: NetworkAllocation


@dataclass(frozen=True, slots=True)
class ServerMade(Answer):
    """A share server as it is now, with the addresses that it was given."""

    server: ObservedShareServer
    allocations: tuple[NetworkAllocation, ...]


@dataclass(frozen=True, slots=True)
class AllocationsListed(Answer):
    """The addresses that the network service of a backend holds for it."""

    allocations: tuple[NetworkAllocation, ...]


@dataclass(frozen=True, slots=True)
class SubnetChecked(Answer):
    """What would prevent further addresses in a subnet, where something would."""

    findings: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class ServersListed(Answer):
    """Share servers as their backend lists them; those that it does not have are left out."""

    servers: tuple[ObservedShareServer, ...]


@dataclass(frozen=True, slots=True)
class ServersCounted(Answer):
    """How many of the share servers that were asked for are there."""

    count: int


RUNS_BESIDE: Final = "runs-beside"
"""Older workers do not say it, and cannot tell such runs apart."""

LISTS_USAGE: Final = "lists-usage"
"""Older workers do not say it, and do not take the question."""


@dataclass(frozen=True, slots=True)
class Described(Answer):
    """What a driver says of its backend, and which optional capabilities it has.

    `clones_within` is set if it clones snapshots, `server_addresses` if it makes share servers: how many addresses each new one needs.
    Among the capabilities of a driver that several runs may work on at once is `RUNS_BESIDE`; `LISTS_USAGE` is of the worker itself.
    """

    report: BackendReport
    capabilities: tuple[str, ...]
    clones_within: str | None = None
    server_addresses: int | None = None


@dataclass(frozen=True, slots=True)
class PoolsListed(Answer):
    """The pools of a backend, with their capacity now."""

    pools: tuple[PoolReport, ...]


class FailureKind(StrEnum):
    """Why a call has no answer."""

    REFUSED = "refused"
    CONFLICT = "conflict"
    """Something that sharectl does not own is in the way."""
    FENCED = "fenced"
    """The backend works for a later run."""
    TRANSIENT = "transient"
    UNAVAILABLE = "unavailable"
    MISBEHAVED = "misbehaved"
    """The driver broke its contract: nobody knows how the call ended."""
    NOT_PERMITTED = "not-permitted"
    """The run has lost its right to begin calls."""
    SILENT = "silent"
    """No answer within its time: nobody knows how it ended."""
    WORKER_LOST = "worker-lost"
    """Whoever ran it is gone: nobody knows how it ended."""
    NOT_ASKED = "not-asked"
    """Its backend does not answer other calls, so this one was not made."""
    WITHDRAWN = "withdrawn"
    """It was taken back before it began, because the run ends."""
    CUT_SHORT = "cut-short"
    """A cancel came before it was tried again."""


TRANSIENT_KINDS = frozenset({FailureKind.TRANSIENT, FailureKind.UNAVAILABLE})
UNBEGUN_KINDS = frozenset({FailureKind.NOT_ASKED, FailureKind.WITHDRAWN})
UNANSWERED_KINDS = frozenset({FailureKind.SILENT, FailureKind.WORKER_LOST})


@dataclass(frozen=True, slots=True)
class Failure:
    """How a call failed; `message` is one line for people, without secrets."""

    kind: FailureKind
    message: str
    retry_after_seconds: float | None = None


class CallFailedError(Exception):
    """A call has failed for good."""

    def __init__(self, failure: Failure) -> None:
        """Carry the failure."""
        super().__init__(failure.message)
        self.failure = failure
