"""The driver of a backend that workers serve, as plans and listings ask it: each question is a call that a worker answers.

What changes anything is not asked here but in a step of a run, with its intent and its claim.
"""

from __future__ import annotations

from contextlib import closing
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, cast

from sharectl.drivers.base import (
    BackendUnavailableError,
    Capability,
    ConflictError,
    DriverError,
    TransientError,
    UnservedError,
    members_of,
)
from sharectl.executors import answers, calls
from sharectl.executors.answers import Failure, FailureKind
from sharectl.executors.base import Began, Submission
from sharectl.executors.workers.executor import Unserved
from sharectl.state.contract import StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from sharectl.drivers.base import Driver
    from sharectl.executors.answers import Answer
    from sharectl.executors.calls import Call
    from sharectl.executors.workers.executor import Workers
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.networks import NetworkAllocation
    from sharectl.model.observed import BackendReport, ObservedShare, ObservedShareServer, ObservedSnapshot, PoolReport
    from sharectl.model.requests import ShareRef
    from sharectl.model.share_networks import ShareNetworkSubnet

AnswerT = TypeVar("AnswerT", bound=answers.Answer)
_WAIT_SECONDS: Final = 0.5
_ERRORS: Final = {
    FailureKind.REFUSED: DriverError,
    FailureKind.CONFLICT: ConflictError,
    FailureKind.TRANSIENT: TransientError,
    FailureKind.MISBEHAVED: DriverError,
}


class Asking:
    """Asks the workers of one backend."""

    def __init__(self, backend: str, workers: Callable[[], Workers], timeout_seconds: float) -> None:
        """Wait `timeout_seconds` for a worker to begin, and once more for its answer."""
        self._backend = backend
        self._workers = workers
        self._timeout_seconds = timeout_seconds

    def __call__(self, call: Call[AnswerT]) -> AnswerT:
        """Return the answer. Raises DriverError."""
        try:
            with closing(self._workers()) as workers:
                workers.submit(Submission(1, self._backend, call, self._timeout_seconds))
                return cast("AnswerT", self._answer(workers))
        except StateError as problem:  # the tables through which workers are asked
            raise BackendUnavailableError(str(problem)) from problem

    def _answer(self, workers: Workers) -> Answer:
        deadline = monotonic() + self._timeout_seconds
        has_begun = False
        while has_begun or monotonic() < deadline:
            for report in workers.reports(_WAIT_SECONDS):
                if isinstance(report.outcome, Began):
                    has_begun = True
                elif isinstance(report.outcome, Unserved):
                    raise UnservedError(report.outcome.message)
                elif isinstance(report.outcome, Failure):
                    raise _error_of(report.outcome)
                else:
                    return report.outcome
        message = f"no worker of backend {self._backend} has taken the question within {self._timeout_seconds:g} s"
        raise BackendUnavailableError(message)


def _error_of(failure: Failure) -> DriverError:
    """Return what a driver here would have raised."""
    error: DriverError = _ERRORS.get(failure.kind, BackendUnavailableError)(failure.message)
    if isinstance(error, TransientError):
        error.retry_after_seconds = failure.retry_after_seconds
    return error


def asked_driver(ask: Callable[[Call[Any]], Any]) -> Driver:
    """Return a driver with the capabilities of the worker's, that answers questions by asking. Raises DriverError."""
    described = ask(calls.Describe())
    parts: dict[str, Any] = {
        name: _step_alone(name)
        for capability in Capability
        if capability in described.capabilities
        for name in members_of(capability)
    }
    for capability, name in _ANSWERED:
        if capability in described.capabilities:
            parts[name] = getattr(_Answers, name)
    if answers.RUNS_BESIDE not in described.capabilities:
        parts["raise_fence"] = _raised_by_worker
    parts["_lists_usage"] = answers.LISTS_USAGE in described.capabilities
    parts["_server_addresses"] = described.server_addresses or 0
    parts["clones_within"] = described.clones_within or "backend"
    if Capability.CLONE not in described.capabilities:
        del parts["clones_within"]
    return cast("Driver", type("AskedDriver", (_AskedDriver,), parts)(ask))


def _step_alone(name: str) -> Callable[..., Any]:
    def refuse(_self: object, *_arguments: object, **_named: object) -> Any:  # noqa: ANN401 - it never returns
        message = f"{name} is done by a worker, in a step of a run"
        raise DriverError(message)

    return refuse


def _raised_by_worker(_self: object, _lineage: str, _fence: int) -> None:
    """Do nothing, but be there: a RefusesOldFences serves one run at a time."""


class _Answers:
    """Answers that not every driver has."""

    _ask: Callable[[Call[Any]], Any]
    _server_addresses: int

    def list_snapshots(self, resource_ids: Collection[str] | None = None) -> Sequence[ObservedSnapshot]:
        ids = None if resource_ids is None else tuple(sorted(resource_ids))
        listed: answers.SnapshotsListed = self._ask(calls.ListSnapshots(ids))
        return listed.snapshots

    def used_bytes(self, share: ShareRef) -> int:
        size: answers.Size = self._ask(calls.MeasureUsage(share))
        return size.size_bytes

    def list_share_servers(self, resource_ids: Collection[str] | None = None) -> Sequence[ObservedShareServer]:
        ids = None if resource_ids is None else tuple(sorted(resource_ids))
        listed: answers.ServersListed = self._ask(calls.ListServers(ids))
        return listed.servers

    def share_server_allocations(self) -> int:
        return self._server_addresses


_ANSWERED: Final = (
    (Capability.SNAPSHOT, "list_snapshots"),
    (Capability.USAGE, "used_bytes"),
    (Capability.SHARE_SERVERS, "list_share_servers"),
    (Capability.SHARE_SERVERS, "share_server_allocations"),
)


class _AskedDriver:
    """A Driver whose calls with an effect are refused."""

    clones_within: Literal["pool", "backend"]
    _lists_usage: bool
    prepare = _step_alone("prepare")
    create_share = _step_alone("create_share")
    delete_share = _step_alone("delete_share")
    update_access = _step_alone("update_access")

    def __init__(self, ask: Callable[[Call[Any]], Any]) -> None:
        self._ask = ask

    def report(self) -> BackendReport:
        described: answers.Described = self._ask(calls.Describe())
        return described.report

    def pools(self) -> Sequence[PoolReport]:
        listed: answers.PoolsListed = self._ask(calls.ListPools())
        return listed.pools

    def list_shares(self, resource_ids: Collection[str] | None = None) -> Sequence[ObservedShare]:
        ids = None if resource_ids is None else tuple(sorted(resource_ids))
        listed: answers.SharesListed = self._ask(calls.ListShares(ids, self._lists_usage))
        return listed.shares

    def close(self) -> None:
        """Let go of nothing: the connections are the repository's."""


class AskedNetwork:
    """The network service of a backend that workers serve: a NetworkPlugin that takes nothing and gives nothing back."""

    allocate = _step_alone("allocate")
    deallocate = _step_alone("deallocate")

    def __init__(self, ask: Callable[[Call[Any]], Any]) -> None:
        """Ask with `ask`, which raises DriverError."""
        self._ask = ask

    def list_allocations(self, allocation_ids: Collection[str] | None = None) -> Sequence[NetworkAllocation]:
        """See NetworkPlugin."""
        ids = None if allocation_ids is None else tuple(sorted(allocation_ids))
        listed: answers.AllocationsListed = self._ask(calls.ListAllocations(ids))
        return listed.allocations

    def check(self, subnet: ShareNetworkSubnet, addresses: int = 1) -> Sequence[Diagnostic]:
        """See NetworkPlugin."""
        checked: answers.SubnetChecked = self._ask(calls.CheckSubnet(subnet, addresses))
        return checked.findings

    def close(self) -> None:
        """Let go of nothing, as the driver."""
