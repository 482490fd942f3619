"""The trash of the backends: what lies in it, and removing it for good."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import orjson

from sharectl.engine.loop import Job, Procedure, Write, loop_for
from sharectl.executors.answers import UNBEGUN_KINDS, CallFailedError, FailureKind
from sharectl.executors.base import Operation
from sharectl.executors.calls import DeleteShare
from sharectl.manifests.names import safe_name
from sharectl.model.canonical import canonical_json
from sharectl.model.diagnostics import DiagnosticError, Severity, did_you_mean, error
from sharectl.model.frozen import dataclass
from sharectl.model.kinds import Kind, address_of
from sharectl.model.records import AddHistory, BeginOperation, EndOperation, HistoryEntry, OperationRecord
from sharectl.model.requests import ShareRef
from sharectl.model.specs import Protocol
from sharectl.model.verbs import Verb
from sharectl.planner.observed import identity_problem
from sharectl.planner.records import DEPOSED_MARK
from sharectl.state.contract import LeaseLostError
from sharectl.workspace.lookup import require_backends
from sharectl.workspace.survey import Question, survey

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from sharectl.model.backends import BackendSpec
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address
    from sharectl.model.observed import ObservedShare
    from sharectl.model.records import StateView
    from sharectl.state.contract import StateReader, StateStore
    from sharectl.workspace.backends import Backends
    from sharectl.workspace.run import LockedRun


_CERTAIN: Final = frozenset({FailureKind.REFUSED, FailureKind.CONFLICT, FailureKind.FENCED, *UNBEGUN_KINDS})
"""Failures after which the share is there as before."""


@dataclass(frozen=True, slots=True)
class TrashedShare:
    """A share in the trash of a backend.

    `address` is the one that its name suggests. `held_by` is the address at which the state, or an intent that is still open, has
    this very share; such a share is not waste. Where the backend has shares that the state does not know, one that its history
    does not have is not `is_ours`: another state has put it there, perhaps.
    """

    backend: str
    share: ObservedShare
    held_by: Address | None = None
    is_ours: bool = True

    @property
    def address(self) -> Address:
        """The address to restore it to, unless a better one is known."""
        return address_of(Kind.SHARE, safe_name(self.share.name))

    def age_seconds(self, now: datetime) -> float | None:
        """Return how long it has lain there; None where the backend's time cannot be read."""
        try:
            since = datetime.fromisoformat(self.share.trashed_at or "")
        except ValueError:
            return None
        return (now - (since if since.tzinfo is not None else since.replace(tzinfo=UTC))).total_seconds()


@dataclass(frozen=True, slots=True)
class Trash:
    """What lies in the trash, oldest first, and an error for each backend that could not be looked into."""

    shares: tuple[TrashedShare, ...]
    diagnostics: tuple[Diagnostic, ...]


def look_into(
    specs: Mapping[str, BackendSpec], store: StateStore, backends: Backends, names: frozenset[str] = frozenset()
) -> Trash:
    """Return the trash of these backends (of an empty set: of all). Raises DiagnosticError for an unknown name."""
    asked = require_backends(names, specs) or frozenset(specs)
    found = survey(specs, backends, {name: Question(lists=True) for name in asked})
    with store.read() as reader:
        view = reader.view([address_of(Kind.BACKEND, name) for name in asked])
        trashed: list[tuple[str, str, ObservedShare]] = []
        diagnostics = []
        for name in sorted(asked):
            seen = found.observed[name]
            problem = identity_problem(view, seen)
            if problem is not None:
                diagnostics.append(replace(problem, severity=Severity.ERROR))
            elif seen.shares is None:
                summary = f"backend {name} could not be looked into: {seen.error}"
                diagnostics.append(error("backend.unknown", summary, address=address_of(Kind.BACKEND, name)))
            else:
                trashed += [(name, key, share) for key, share in seen.shares.items() if share.trashed_at is not None]
        looked_at = {name: found.observed[name].shares or {} for name, _, _ in trashed}
        held_by = _holders(reader, view, {key for listed in looked_at.values() for key in listed})
    there = [TrashedShare(name, share, held_by.get(key)) for name, key, share in trashed]
    ours = _put_there(store, there)
    shares = [replace(one, is_ours=one.share.resource_id in ours) for one in there]
    shares.sort(key=lambda trashed: (trashed.share.trashed_at or "", trashed.backend, trashed.share.backend_id))
    return Trash(tuple(shares), tuple(diagnostics))


def _holders(reader: StateReader, view: StateView, resource_ids: Collection[str]) -> Mapping[str, Address]:
    """Return the addresses at which the state, or an open intent, has these resources, by their ids."""
    held_by = {record.resource_id: address for address, record in reader.with_ids(resource_ids).items()}
    for operation in view.operations:
        held_by.setdefault(operation.resource_id, operation.address)
    return held_by


def _put_there(store: StateStore, trashed: Sequence[TrashedShare]) -> set[str]:
    """Return the ids of those that runs of this state have put into the trash; history of former releases has their addresses alone."""
    if not trashed:
        return set()
    ids: set[str] = set()
    addresses: set[Address] = set()
    for line in store.history():
        if line.entry.verb == Verb.TRASH_SHARE:
            resource_id = orjson.loads(line.entry.detail).get("resource_id")
            if resource_id is None:
                addresses.add(line.entry.address)
            else:
                ids.add(str(resource_id))
    return {
        key
        for one in trashed
        if (key := one.share.resource_id or "") in ids
        or not addresses.isdisjoint((one.address, f"{one.address}{DEPOSED_MARK}{key[:8]}"))
    }


@dataclass(frozen=True, slots=True)
class PurgeRequest:
    """Which of the trash is to go: what `subject` names (an address or a backend's id), of what is old enough.

    What the state did not put there goes by its name alone.
    """

    subject: str | None = None
    older_than_seconds: float | None = None
    everything: bool = False


def purgeable(trash: Trash, request: PurgeRequest, now: datetime) -> tuple[TrashedShare, ...]:
    """Return the shares that the request names. Raises DiagnosticError where it names one that is not there, or that the state holds."""
    if request.subject is None and request.older_than_seconds is None and not request.everything:
        remedy = "name an address or an id, pass --older-than 7d, or --all for everything"
        raise DiagnosticError(error("usage.purge", "purge what?", remedy=remedy))
    chosen = list(trash.shares)
    if request.subject is not None:
        chosen = [one for one in chosen if request.subject in {one.address, one.share.backend_id}]
        if not chosen:
            known = [text for one in trash.shares for text in (one.address, one.share.backend_id)]
            remedy = did_you_mean(request.subject, known) or "`sharectl trash list` shows what there is"
            raise DiagnosticError(error("trash.not-found", f"the trash has no {request.subject}", remedy=remedy))
        held = [one for one in chosen if one.held_by is not None]
        if held:
            raise DiagnosticError(*(_held(one) for one in held))
    else:
        chosen = [one for one in chosen if one.is_ours]
    if request.older_than_seconds is not None:
        limit = request.older_than_seconds
        chosen = [one for one in chosen if (age := one.age_seconds(now)) is not None and age >= limit]
    return tuple(one for one in chosen if one.held_by is None)


def _held(trashed: TrashedShare) -> Diagnostic:
    return error(
        "trash.held",
        f"{trashed.share.backend_id} in the trash of backend {trashed.backend} is {trashed.held_by} in the state",
        detail="somebody has put it there by other means than sharectl, or an earlier run was cut short.",
        remedy="the next `sharectl apply` sorts it out; `sharectl plan` shows how",
    )


def purge(
    run: LockedRun,
    specs: Mapping[str, BackendSpec],
    doomed: Sequence[TrashedShare],
    report: Callable[[TrashedShare, str], None],
) -> int:
    """Remove these shares for good, each with its intent and its history; return how many failed.

    `report` is called after each with what went wrong, or an empty text. Raises StateError and LeaseLostError.
    """
    loop = loop_for(run.environment, run.store, run.heartbeat, lambda name: specs[name].lanes)
    removals = [_Removal(run, trashed, specs[trashed.backend].step_timeout_seconds, report) for trashed in doomed]
    try:
        for removal in removals:
            loop.start(removal)
        while loop.jobs and not any(removal.error for removal in removals):
            loop.turn()
    finally:
        loop.close()
    for removal in removals:
        if removal.error is not None:
            raise removal.error
    return sum(removal.has_failed for removal in removals)


class _Removal(Job):
    """One share on its way out of the trash."""

    def __init__(
        self,
        run: LockedRun,
        trashed: TrashedShare,
        timeout_seconds: float,
        report: Callable[[TrashedShare, str], None],
    ) -> None:
        super().__init__(self._procedure(), trashed.backend, attempts=1, timeout_seconds=timeout_seconds)
        self._run = run
        self._trashed = trashed
        self._intended = self._intent()
        self.operation = Operation(self._intended.operation_id, self._intended.address)
        self._report = report
        self.has_failed = False
        self.error: Exception | None = None

    def ended(self, value: str) -> None:
        """Tell how it went."""
        self.has_failed = bool(value)
        self._report(self._trashed, value)

    def broke(self, error: Exception) -> None:
        """Keep what ends the command."""
        self.error = error

    def _procedure(self) -> Procedure[str]:
        share, operation = self._trashed.share, self._intended
        yield Write([BeginOperation(operation)])
        detail = {"reason": "trash purge", "backend": self._trashed.backend, "backend_id": share.backend_id}
        problem = ""
        try:
            yield DeleteShare(_reference(share))
        except CallFailedError as failed:
            problem = failed.failure.message
            if failed.failure.kind is FailureKind.NOT_PERMITTED:
                raise LeaseLostError(problem) from failed
            if failed.failure.kind not in _CERTAIN:  # the intent stays, and the next run asks
                return f"{problem}; the next apply finds out what became of it"
            detail["error"] = problem
        outcome = "failed" if problem else "done"
        entry = HistoryEntry(
            operation.run_id,
            self._run.environment.now(),
            operation.address,
            operation.verb,
            outcome,
            canonical_json(detail),
        )
        yield Write([EndOperation(operation.operation_id), AddHistory(entry)])
        return problem

    def _intent(self) -> OperationRecord:
        trashed, environment = self._trashed, self._run.environment
        return OperationRecord(
            operation_id=environment.new_id(),
            run_id=self._run.record.run_id,
            address=trashed.address,
            verb=Verb.DELETE_SHARE.value,
            resource_id=trashed.share.resource_id or "",
            backend=trashed.backend,
            pool=trashed.share.pool,
            started_at=environment.now(),
            payload=canonical_json({"spec": None}),
        )


def _reference(share: ObservedShare) -> ShareRef:
    return ShareRef(
        resource_id=share.resource_id or "",
        backend_id=share.backend_id,
        name=share.name,
        pool=share.pool,
        protocol=share.protocol or Protocol.NFS,
        size_bytes=share.size_bytes or 0,
        share_server_id=share.share_server_id,
    )
