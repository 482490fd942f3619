"""The trash of the backends: what lies in it, and removing it for good."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sharectl.drivers.base import DriverError, TransientError
from sharectl.engine.answers import misbehaviour
from sharectl.manifests.names import safe_name
from sharectl.model.canonical import canonical_json
from sharectl.model.diagnostics import DiagnosticError, Severity, did_you_mean, error
from sharectl.model.kinds import Kind, address_of
from sharectl.model.records import AddHistory, BeginOperation, EndOperation, HistoryEntry, OperationRecord
from sharectl.model.requests import ShareRef
from sharectl.model.specs import Protocol
from sharectl.model.verbs import Verb
from sharectl.planner.drift import identity_problem
from sharectl.state.contract import LeaseLostError, StateError
from sharectl.workspace.backends import require_backends
from sharectl.workspace.survey import Question, survey

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sharectl.model.backends import BackendSpec
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address
    from sharectl.model.observed import ObservedShare
    from sharectl.state.contract import StateStore
    from sharectl.workspace.backends import Backends
    from sharectl.workspace.run import LockedRun


@dataclass(frozen=True, slots=True)
class TrashedShare:
    """A share in the trash of a backend.

    `address` is the one that its name suggests. `held_by` is the address at which the state, or an intent that is still open, has
    this very share; such a one is no waste.
    """

    backend: str
    share: ObservedShare
    held_by: Address | None = None

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
        view = reader.view()
    holders = {operation.resource_id: operation.address for operation in view.operations}
    holders.update((record.resource_id, address) for address, record in view.records.items())
    shares, diagnostics = [], []
    for name in sorted(asked):
        seen = found.observed[name]
        problem = identity_problem(view, seen)
        if problem is not None:
            diagnostics.append(replace(problem, severity=Severity.ERROR))
        elif seen.shares is None:
            summary = f"backend {name} could not be looked into: {seen.error}"
            diagnostics.append(error("backend.unknown", summary, address=address_of(Kind.BACKEND, name)))
        else:
            shares += [
                TrashedShare(name, share, holders.get(resource_id))
                for resource_id, share in seen.shares.items()
                if share.trashed_at is not None
            ]
    shares.sort(key=lambda trashed: (trashed.share.trashed_at or "", trashed.backend, trashed.share.backend_id))
    return Trash(tuple(shares), tuple(diagnostics))


@dataclass(frozen=True, slots=True)
class PurgeWish:
    """Which of the trash is to go: what `subject` names (an address or a backend's id), of what is old enough."""

    subject: str | None = None
    older_than_seconds: float | None = None
    everything: bool = False


def purgeable(trash: Trash, wish: PurgeWish, now: datetime) -> tuple[TrashedShare, ...]:
    """Return what the wish is about. Raises DiagnosticError where it names something that is not there, or that the state holds."""
    if wish.subject is None and wish.older_than_seconds is None and not wish.everything:
        remedy = "name an address or an id, pass --older-than 7d, or --all for everything"
        raise DiagnosticError(error("usage.purge", "purge what?", remedy=remedy))
    chosen = list(trash.shares)
    if wish.subject is not None:
        chosen = [one for one in chosen if wish.subject in {one.address, one.share.backend_id}]
        if not chosen:
            known = [text for one in trash.shares for text in (one.address, one.share.backend_id)]
            remedy = did_you_mean(wish.subject, known) or "`sharectl trash list` shows what there is"
            raise DiagnosticError(error("trash.not-found", f"the trash has no {wish.subject}", remedy=remedy))
        held = [one for one in chosen if one.held_by is not None]
        if held:
            raise DiagnosticError(*(_held(one) for one in held))
    if wish.older_than_seconds is not None:
        limit = wish.older_than_seconds
        chosen = [one for one in chosen if (age := one.age_seconds(now)) is not None and age >= limit]
    return tuple(one for one in chosen if one.held_by is None)


def _held(trashed: TrashedShare) -> Diagnostic:
    return error(
        "trash.held",
        f"{trashed.share.backend_id} in the trash of backend {trashed.backend} is {trashed.held_by} in the state",
        detail="somebody has put it there behind the state's back, or an earlier run was cut short.",
        remedy="the next `sharectl apply` sorts it out; `sharectl plan` shows how",
    )


def purge(run: LockedRun, doomed: Sequence[TrashedShare], report: Callable[[TrashedShare, str], None]) -> int:
    """Remove these shares for good, one after the other, each with its intent and its history; return how many failed.

    `report` is called after each with what went wrong, or an empty text. Raises StateError and LeaseLostError.
    """
    failed = 0
    for trashed in doomed:
        problem = _purge_one(run, trashed)
        failed += bool(problem)
        report(trashed, problem)
    return failed


def _purge_one(run: LockedRun, trashed: TrashedShare) -> str:
    share, now = trashed.share, run.environment.now
    operation = OperationRecord(
        operation_id=run.environment.new_id(),
        run_id=run.record.run_id,
        address=trashed.address,
        verb=Verb.DELETE_SHARE.value,
        resource_id=share.resource_id or "",
        backend=trashed.backend,
        pool=share.pool,
        started_at=now(),
        payload=canonical_json({"spec": None}),
    )
    run.store.commit(run.lease, [BeginOperation(operation)])
    detail = {"reason": "trash purge", "backend": trashed.backend, "backend_id": share.backend_id}
    outcome, problem = "done", ""
    try:
        driver = run.environment.driver(trashed.backend)
        run.heartbeat.tenure.require()
        driver.delete_share(_reference(share))
    except TransientError as failure:  # what became of it is unknown: the intent stays, and the next run asks
        return f"{failure}; the next apply finds out what became of it"
    except (LeaseLostError, StateError):
        raise
    except DriverError as failure:
        outcome, problem = "failed", str(failure)
        detail["error"] = problem
    except (Exception, SystemExit, GeneratorExit) as failure:  # noqa: BLE001 - a driver may be anybody's
        return f"{misbehaviour(failure)}; the next apply finds out what became of it"
    entry = HistoryEntry(
        run.record.run_id, now(), trashed.address, Verb.DELETE_SHARE.value, outcome, canonical_json(detail)
    )
    run.store.commit(run.lease, [EndOperation(operation.operation_id), AddHistory(entry)])
    return problem


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
