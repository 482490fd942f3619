"""Locked runs: the lock is taken, what an earlier run left open is resolved, and only then is anything planned or changed."""

from __future__ import annotations

import getpass
import os
import socket
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from sharectl.engine.environment import Environment, new_resource_id, utc_now
from sharectl.engine.fence import Fence
from sharectl.engine.heartbeat import Heartbeat
from sharectl.engine.recovery import recover
from sharectl.model.canonical import canonical_json
from sharectl.model.diagnostics import DiagnosticError, error
from sharectl.model.kinds import Kind, kind_of
from sharectl.model.plans import Origin
from sharectl.model.records import AddHistory, HistoryEntry, Holder, PutRun, RemoveResource, RenameResource, RunRecord
from sharectl.model.verbs import Verb
from sharectl.planner.share_servers.records import share_server_id_of
from sharectl.state.contract import StateError
from sharectl.state.lock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from sharectl.apply import RunResult
    from sharectl.engine.cancel import Cancellation
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.events import Event
    from sharectl.model.kinds import Address
    from sharectl.model.plans import Plan
    from sharectl.model.records import Change, Lease, OperationRecord, Record, RuleRecord
    from sharectl.state.contract import StateStore
    from sharectl.workspace.survey import Backends

LEASE_SECONDS: Final = 60.0
RECOVERY_SILENCE_SECONDS: Final = 60.0
_GIT_TIMEOUT_SECONDS: Final = 5.0
_CI_URL_VARIABLES: Final = ("CI_JOB_URL", "BUILDKITE_BUILD_URL", "CIRCLE_BUILD_URL", "BUILD_URL")


@dataclass(frozen=True, slots=True)
class LockedRun:
    """A run that holds the lock. `unresolved` are the intents of earlier runs whose backends gave no answer."""

    store: StateStore
    heartbeat: Heartbeat
    record: RunRecord
    environment: Environment
    unresolved: tuple[OperationRecord, ...]

    @property
    def lease(self) -> Lease:
        """The right to write, which the heartbeat keeps alive."""
        return self.heartbeat.lease


@contextmanager
def held_lease(store: StateStore, record: RunRecord, wait_seconds: float = 0.0) -> Iterator[Lease]:
    """Take the lock for `record`, keep it alive, and give it back at the end, whatever happens.

    Raises LockedError where somebody else holds the lock for longer than `wait_seconds`.
    """
    with _held(store, record, wait_seconds) as heartbeat:
        yield heartbeat.lease


@contextmanager
def _held(store: StateStore, record: RunRecord, wait_seconds: float) -> Iterator[Heartbeat]:
    holder = Holder(record.user, record.host, os.getpid(), record.command)
    since_seconds = SYSTEM_CLOCK.boottime_seconds()
    lease = store.acquire(holder, duration_seconds=LEASE_SECONDS, wait_seconds=wait_seconds)
    try:
        store.commit(lease, [PutRun(record)])
        heartbeat = Heartbeat(store, lease, since_seconds=since_seconds)
        heartbeat.start()
        try:
            yield heartbeat
        finally:
            heartbeat.stop()
    finally:
        with suppress(StateError):  # the lock of a store that has vanished needs no giving back
            store.release(lease)


@contextmanager
def locked_run(
    store: StateStore,
    backends: Backends,
    record: RunRecord,
    observer: Callable[[Event], None],
    wait_seconds: float = 0.0,
) -> Iterator[LockedRun]:
    """Take the lock, resolve open intents, and yield the run; raises as `held_lease`."""
    with _held(store, record, wait_seconds) as heartbeat:
        with store.read() as reader:
            lineage = reader.view(()).lineage
        fence = Fence(lineage, heartbeat.tenure)
        environment = Environment(
            driver=lambda name: fence.raised_for(name, backends.driver(name)), network=backends.networks.plugin
        )
        backends.networks.attach(store, heartbeat.lease)
        unresolved = recover(
            store,
            heartbeat,
            run=record,
            environment=environment,
            width=backends.width,
            silence_seconds=RECOVERY_SILENCE_SECONDS,
            observer=observer,
        )
        yield LockedRun(store, heartbeat, record, environment, unresolved)


def forget_resources(store: StateStore, lease: Lease, record: RunRecord, addresses: Sequence[Address]) -> None:
    """Remove rows from the state, all or none; what they stand for stays on its backend. Raises DiagnosticError."""
    with store.read() as reader:
        records = reader.view(addresses).records
    missing = [address for address in addresses if address not in records]
    if missing:
        raise DiagnosticError(*(_not_in_state(address) for address in missing))
    _refuse_servers_in_use(store, records)
    changes: list[Change] = []
    for address in addresses:
        changes.append(RemoveResource(address, records[address].version))
        changes.append(_edit_history(record, address, Verb.FORGET, {"reason": "state rm"}))
    store.commit(lease, changes)


def _refuse_servers_in_use(store: StateStore, records: Mapping[Address, Record]) -> None:
    """Refuse to forget share servers that shares of the state are on, unless those are forgotten too. Raises DiagnosticError."""
    servers = {record.resource_id: record.address for record in records.values() if record.kind == Kind.SHARE_SERVER}
    if not servers:
        return
    with store.read() as reader:
        others = reader.view().records
    for address, other in sorted(others.items()):
        if other.kind == Kind.SHARE and address not in records and (server := share_server_id_of(other)) in servers:
            remedy = f"forget {address} too, or leave both"
            raise DiagnosticError(error("state.server-in-use", f"{address} is on {servers[server]}", remedy=remedy))


def rename_resource(store: StateStore, lease: Lease, record: RunRecord, former: Address, address: Address) -> None:
    """Give a row another address; nothing changes on its backend. Raises DiagnosticError."""
    with store.read() as reader:
        records = reader.view((former, address)).records
    if former not in records:
        raise DiagnosticError(_not_in_state(former))
    if kind_of(former) in {Kind.SHARE_SERVER, Kind.NETWORK_ALLOCATION}:
        remedy = "its address says which network and backend it is on; leave it"
        raise DiagnosticError(error("state.derived", f"{former} cannot have another address", remedy=remedy))
    if kind_of(former) is not kind_of(address):
        raise DiagnosticError(error("state.kind", f"{former} cannot become {address}: their kinds differ"))
    if address in records:
        remedy = f"`sharectl state rm {address}` first, if that one is not wanted"
        raise DiagnosticError(error("state.taken", f"the state holds {address} already", remedy=remedy))
    change = RenameResource(former, address, records[former].version)
    history = _edit_history(
        record, address, Verb.MOVE, {"reason": "state mv", "changes": [["address", former, address]]}
    )
    store.commit(lease, [change, history])


def expect_document(content: bytes, name: str) -> None:
    """Refuse what is no document of a state, before a state is made for it. Raises DiagnosticError."""
    from sharectl.state.document import DocumentError, parse  # noqa: PLC0415 - only where a state is brought back

    try:
        parse(content)
    except DocumentError as problem:
        remedy = "push a document that `sharectl state pull` wrote"
        raise DiagnosticError(error("state.refused", f"{name} is not taken: {problem}", remedy=remedy)) from problem


def bring_back_document(store: StateStore, lease: Lease, record: RunRecord, document: bytes, *, force: bool) -> None:
    """Replace everything in the state by a document, and record the run that did. Raises StateRefusedError where something would be lost."""
    store.import_document(lease, document, force=force)
    store.commit(lease, [PutRun(record)])


def read_record(store: StateStore, address: Address) -> tuple[Record, tuple[RuleRecord, ...]]:
    """Return a row with its access rules. Raises DiagnosticError where there is none."""
    with store.read() as reader:
        record = reader.view((address,)).records.get(address)
        rules = reader.rules((address,)).get(address, ())
    if record is None:
        raise DiagnosticError(_not_in_state(address))
    return record, rules


def read_document(path: Path) -> bytes:
    """Return the content of a file that the user named. Raises DiagnosticError."""
    try:
        return path.read_bytes()
    except OSError as problem:
        raise DiagnosticError(error("usage.unreadable", f"{path} could not be read: {problem.strerror}")) from problem


def _not_in_state(address: Address) -> Diagnostic:
    summary = f"the state has no {address}"
    return error("state.unknown-address", summary, remedy="`sharectl state list` names what there is", address=address)


def _edit_history(record: RunRecord, address: Address, verb: Verb, detail: dict[str, object]) -> AddHistory:
    return AddHistory(HistoryEntry(record.run_id, utc_now(), address, verb.value, "done", canonical_json(detail)))


def apply_plan(run: LockedRun, plan: Plan, observer: Callable[[Event], None], cancellation: Cancellation) -> RunResult:
    """Apply the plan in this run."""
    from sharectl.apply import apply  # noqa: PLC0415 - only where something is applied

    return apply(
        plan,
        store=run.store,
        heartbeat=run.heartbeat,
        run=run.record,
        environment=run.environment,
        observer=observer,
        cancellation=cancellation,
    )


def describe_run(command: str, directory: Path, environ: Mapping[str, str]) -> RunRecord:
    """Return the record of a run that begins now: who runs it, where, from which commit, in which CI job."""
    return RunRecord(
        run_id=new_resource_id(),
        command=command,
        user=_user(),
        host=socket.gethostname(),
        started_at=utc_now(),
        git_commit=_git_commit(directory),
        ci_job_url=_ci_job_url(environ),
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no entry for this uid, as in many containers
        return f"uid {os.getuid()}"


def plan_origin(root: Path, state_path: Path) -> Origin:
    """Return where a plan is made: for the state at `state_path`, in the repository that `root` is in."""
    answer = _git(root, "HEAD", "--show-prefix")
    commit, folder = (answer[0], answer[1]) if len(answer) > 1 else (None, "")
    return Origin(str(state_path.resolve()), commit, folder)


def require_own_plan(plan: Plan, open_store: Callable[[], AbstractContextManager[StateStore]], here: Origin) -> None:
    """Refuse a saved plan that was made for another state or project, before a state is made for it here. Raises DiagnosticError.

    A plan that was made before there was a state is for the project that it was made in, at this place or in another checkout of
    the same commit.
    """
    lineage = ""
    if Path(here.state_path).exists():
        with open_store() as store, store.read() as reader:
            lineage = reader.view(()).lineage
    planned = "`sharectl plan --out FILE` makes one for what is here"
    if plan.lineage and plan.lineage != lineage:
        found = f"the one at {here.state_path} is {lineage}" if lineage else f"there is none at {here.state_path}"
        raise DiagnosticError(
            error(
                "plan.other-state",
                f"the plan was made with another state: {plan.lineage}; {found}",
                detail="applied here it would make a second time what is there already.",
                remedy=f"apply it where it was made (-C names that folder), bring that state back, or plan anew: {planned}",
            )
        )
    if not plan.lineage and (plan.origin is None or not plan.origin.is_same_project(here)):
        where = "" if plan.origin is None else f" for the state at {plan.origin.state_path}"
        raise DiagnosticError(
            error(
                "plan.other-project",
                f"the plan was made{where}, before there was one, and here it would be {here.state_path}",
                detail="applied here it would make a second state. Two checkouts of one repository are the same project at the same commit.",
                remedy=f"apply it where it was made (-C names that folder), or plan anew: {planned}",
            )
        )


def _git_commit(directory: Path) -> str | None:
    answer = _git(directory, "HEAD")
    return answer[0] if answer else None


def _git(directory: Path, *words: str) -> list[str]:
    """Return the lines that `git rev-parse` answers; none where there is no git, no repository or no commit."""
    import subprocess  # noqa: PLC0415 - only where something is applied

    command = ["git", "-C", str(directory), "rev-parse", *words]
    try:
        answer = subprocess.run(  # noqa: S603 - a fixed command
            command, capture_output=True, text=True, timeout=_GIT_TIMEOUT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return answer.stdout.splitlines() if answer.returncode == 0 else []


def _ci_job_url(environ: Mapping[str, str]) -> str | None:
    if "GITHUB_RUN_ID" in environ:
        server = environ.get("GITHUB_SERVER_URL", "https://github.com")
        url = f"{server}/{environ.get('GITHUB_REPOSITORY', '')}/actions/runs/{environ['GITHUB_RUN_ID']}"
    else:
        url = next((environ[name] for name in _CI_URL_VARIABLES if environ.get(name)), "")
    if not url:
        return None
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
