"""Runs: the lock is taken, what an earlier run left open is resolved, and only then is anything planned or changed."""

from __future__ import annotations

import getpass
import os
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from sharectl.engine.environment import Environment, new_resource_id, utc_now
from sharectl.engine.tenure import Fence, Heartbeat
from sharectl.model.frozen import dataclass
from sharectl.model.records import EVERYTHING, Holder, PutRun, RunRecord, within
from sharectl.state.contract import StateError
from sharectl.state.lock import SYSTEM_CLOCK
from sharectl.workspace.git import git_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from sharectl.apply import RunResult
    from sharectl.engine.cancel import Cancellation
    from sharectl.executors.base import Remains
    from sharectl.model.events import Event
    from sharectl.model.plans import Plan
    from sharectl.model.records import Lease, OperationRecord, Scope, StateView
    from sharectl.state.contract import StateStore
    from sharectl.workspace.backends import Backends
    from sharectl.workspace.remote import RemoteBackends


LEASE_SECONDS: Final = 60.0


_CI_URL_VARIABLES: Final = ("CI_JOB_URL", "BUILDKITE_BUILD_URL", "CIRCLE_BUILD_URL", "BUILD_URL")
_ACTOR_VARIABLES: Final = (
    "SHARECTL_ACTOR",
    "GITHUB_TRIGGERING_ACTOR",  # who ran the job again, where that is somebody else
    "GITHUB_ACTOR",
    "GITLAB_USER_LOGIN",
    "BUILDKITE_BUILD_CREATOR",
    "CIRCLE_USERNAME",
)
_LONGEST_NAME: Final = 200
_LONGEST_URL: Final = 2_000


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
def held_lease(
    store: StateStore, record: RunRecord, wait_seconds: float = 0.0, *, records: bool = True
) -> Iterator[Lease]:
    """Take the lock of everything for `record`, keep it alive, and give it back at the end, whatever happens.

    The run is recorded first, unless `records` is false: the state then is as it was.
    Raises LockedError where somebody else holds the lock for longer than `wait_seconds`.
    """
    with _held(store, record, wait_seconds, EVERYTHING, records=records) as heartbeat:
        yield heartbeat.lease


@contextmanager
def _held(
    store: StateStore, record: RunRecord, wait_seconds: float, scope: Scope, *, records: bool = True
) -> Iterator[Heartbeat]:
    holder = Holder(record.user, record.host, os.getpid(), record.command, record.actor, record.ci_job_url)
    since_seconds = SYSTEM_CLOCK.boottime_seconds()
    lease = store.acquire(holder, duration_seconds=LEASE_SECONDS, wait_seconds=wait_seconds, scope=scope)
    try:
        if records:
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
def locked_run(  # noqa: PLR0913, PLR0917 - the state, what the run is on, and who watches
    store: StateStore,
    backends: Backends,
    record: RunRecord,
    observer: Callable[[Event], None],
    wait_seconds: float = 0.0,
    scope: Scope = EVERYTHING,
) -> Iterator[LockedRun]:
    """Take the lock of `scope`, resolve the open intents in it, and yield the run; raises as `held_lease`."""
    with _held(store, record, wait_seconds, scope) as heartbeat:
        with store.read() as reader:
            view = within(scope, reader.view(()))
        fence = Fence(view.lineage, heartbeat.tenure)
        environment = Environment(
            driver=lambda name: fence.raised_for(name, backends.driver(name)), network=backends.networks.plugin
        )
        backends.networks.attach(store, heartbeat.lease)
        remains: Mapping[str, Remains] = {}
        if backends.remote is not None:
            backends.remote.wait_with(store)
            environment, remains = _with_workers(backends.remote, environment, record, heartbeat, view, observer)
        elif view.operations:  # of backends that may have been remote before
            with backends.formerly_remote() as former:
                if former is not None:
                    remains = former.remains(view.operations, scope, observer, time.sleep, heartbeat.tenure.require)
        unresolved: tuple[OperationRecord, ...] = ()
        if view.operations:
            from sharectl.engine.recovery import recover  # noqa: PLC0415 - most runs find nothing open

            unresolved = recover(
                store,
                heartbeat,
                run=record,
                environment=environment,
                width=backends.width,
                timeout_seconds=backends.recovery_timeout_seconds,
                observer=observer,
                remains=remains,
            )
        if backends.processes:
            from sharectl.workspace.processes import in_processes  # noqa: PLC0415 - most runs have none

            executor = in_processes(environment.executor, backends, view.lineage, heartbeat, store.location)
            environment = replace(environment, executor=executor)
        yield LockedRun(store, heartbeat, record, environment, unresolved)


def _with_workers(  # noqa: PLR0913, PLR0917 - the run, what it runs on, and who watches
    remote: RemoteBackends,
    environment: Environment,
    record: RunRecord,
    heartbeat: Heartbeat,
    view: StateView,
    observer: Callable[[Event], None],
) -> tuple[Environment, Mapping[str, Remains]]:
    """Return the environment whose calls on remote backends workers make, and what remains of the calls of earlier runs."""
    from sharectl.executors.workers.claims import ALONE, PROTOCOL  # noqa: PLC0415 - most runs have no workers
    from sharectl.executors.workers.offers import Run  # noqa: PLC0415 - as above

    lease = heartbeat.lease
    remains = remote.remains(view.operations, lease.scope, observer, time.sleep, heartbeat.tenure.require)
    run = Run(record.run_id, view.lineage, lease.token, PROTOCOL if lease.beside else ALONE)
    return replace(environment, executor=remote.executor(run)), remains


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
    """Return the record of a run that begins now: who runs it, where, from which commit of whom, in which CI job.

    What the environment and git say of people is text of others: it is truncated, and escaped where it is shown.
    """
    commit, author = _commit_of(directory)
    actor = next((environ[name] for name in _ACTOR_VARIABLES if environ.get(name)), None)
    url = _ci_job_url(environ)
    return RunRecord(
        run_id=new_resource_id(),
        command=_stored(command),
        user=_stored(_user(), _LONGEST_NAME),
        host=os.uname().nodename,
        started_at=utc_now(),
        git_commit=commit,
        ci_job_url=None if url is None else _stored(url, _LONGEST_URL),
        actor=None if actor is None else _stored(actor, _LONGEST_NAME),
        author=None if author is None else _stored(author, _LONGEST_NAME),
    )


def _commit_of(directory: Path) -> tuple[str | None, str | None]:
    """Return the commit that is checked out, and who wrote it."""
    lines = git_lines(directory, "rev-list", "--max-count=1", "--format=%an <%ae>", "HEAD", "--")
    if not lines:
        return None, None
    return lines[0].removeprefix("commit "), "\n".join(lines[1:]) or None


def _stored(text: str, longest: int | None = None) -> str:
    """Return the text as UTF-8 can say it, of at most so many characters."""
    return text[:longest].encode(errors="replace").decode()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no entry for this uid, as in many containers
        return f"uid {os.getuid()}"


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
