"""A repository of manifests with its state and real drivers, planned and applied as the commands do it."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sharectl.apply import apply
from sharectl.engine.cancel import Cancellation
from sharectl.manifests.project import find_project
from sharectl.model.diagnostics import has_errors
from sharectl.model.settings import SafetyLimits
from sharectl.planner.options import PlanOptions
from sharectl.state.sqlite.store import open_store
from sharectl.workspace.backends import opened_backends
from sharectl.workspace.plans import PlanRequest, make_plan
from sharectl.workspace.run import describe_run, locked_run
from sharectl.workspace.validation import load_manifests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sharectl.apply import RunResult
    from sharectl.engine.environment import Environment
    from sharectl.model.events import Event
    from sharectl.model.plans import Plan
    from sharectl.model.records import HistoryLine, Record, StateView
    from sharectl.state.contract import StateStore
    from sharectl.workspace.backends import Backends
    from sharectl.workspace.run import LockedRun

UNLIMITED = PlanOptions(
    limits=SafetyLimits(max_deletion_percentage=100.0, deletion_floor=1000),
    allow_deletions=1000,
    allow_recreations=1000,
    allow_revocations=1000,
    allow_empty=True,
)


def backend(name: str, *, lanes: int = 4, spec: str = "", config: str = "") -> str:
    """Return the manifest of a simulated backend; `spec` and `config` are YAML flow entries, each ending in a comma."""
    settings = f"{{stateFile: {name}.db, log: true, {config}}}"
    return (
        f"---\napiVersion: sharectl/v1\nkind: Backend\nmetadata: {{name: {name}}}\n"
        f"spec: {{driver: simulated, lanes: {lanes}, {spec} config: {settings}}}\n"
    )


def share(name: str, *, size: str = "10GiB", spec: str = "", metadata: str = "") -> str:
    """Return the manifest of a share."""
    return (
        f"---\napiVersion: sharectl/v1\nkind: Share\nmetadata: {{name: {name}, {metadata}}}\n"
        f"spec: {{size: {size}, protocol: NFS, {spec}}}\n"
    )


def snapshot(name: str, of: str, *, spec: str = "deletionPolicy: delete") -> str:
    """Return the manifest of a snapshot."""
    return f"---\napiVersion: sharectl/v1\nkind: Snapshot\nmetadata: {{name: {name}}}\nspec: {{share: {of}, {spec}}}\n"


@dataclass
class Run:
    """A finished apply: its plan, result and events, those of the recovery before it among them."""

    plan: Plan
    result: RunResult
    events: list[Event] = field(default_factory=list)

    def of(self, kind: type) -> list[Any]:
        """Return the events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]


@dataclass
class Site:
    """A folder with manifests in `m.yaml`, the state beside it, and simulated backends in `NAME.db`."""

    root: Path
    change_environment: Callable[[Environment], Environment] = lambda environment: environment

    def write(self, *manifests: str) -> Site:
        """Replace all manifests."""
        self.root.mkdir(exist_ok=True)
        (self.root / "sharectl.yaml").write_text(
            "apiVersion: sharectl/v1\nkind: Project\nspec: {manifests: [m.yaml]}\n"
        )
        (self.root / "m.yaml").write_text("".join(manifests))
        return self

    @contextmanager
    def store(self) -> Iterator[StateStore]:
        """Open the state."""
        with closing(open_store(find_project(self.root).state_path, create=True)) as store:
            yield store

    @contextmanager
    def opened(self, store: StateStore) -> Iterator[tuple[Backends, Callable[..., Plan]]]:
        """Open the backends of the manifests, with a function that plans."""
        project = find_project(self.root)
        loaded = load_manifests(project, directory=self.root)
        assert not has_errors(loaded.diagnostics), loaded.diagnostics
        with opened_backends(loaded.desired.backends, project, lambda _: None) as backends:

            def planned(options: PlanOptions = UNLIMITED, refresh: str = "full") -> Plan:
                return make_plan(project, loaded.desired, store, backends, PlanRequest(options, refresh))

            yield backends, planned

    def plan(self, options: PlanOptions = UNLIMITED, refresh: str = "full") -> Plan:
        """Return the plan as it would be now."""
        with self.store() as store, self.opened(store) as (_, planned):
            return planned(options, refresh)

    @contextmanager
    def locked(self, store: StateStore, backends: Backends, events: list[Event]) -> Iterator[LockedRun]:
        """Take the lock and resolve what is open."""
        record = describe_run("test", self.root, {})
        with locked_run(store, backends, record, events.append) as run:
            environment = replace(run.environment, watch_interval_seconds=0.005)
            yield replace(run, environment=self.change_environment(environment))

    def apply(
        self,
        *,
        plan: Plan | None = None,
        options: PlanOptions = UNLIMITED,
        observer: Callable[[Event, Cancellation], None] | None = None,
        cancellation: Cancellation | None = None,
        held: bool = False,
    ) -> Run:
        """Recover, plan (unless there is a `plan`), and apply; with `held` the plan may hold what is refused."""
        events: list[Event] = []
        cancel = cancellation or Cancellation()

        def observe(event: Event) -> None:
            events.append(event)
            if observer is not None:
                observer(event, cancel)

        with (
            self.store() as store,
            self.opened(store) as (backends, planned),
            self.locked(store, backends, events) as run,
        ):
            made = plan or planned(options)
            assert not made.is_stopped, made.diagnostics
            assert held or not has_errors(made.diagnostics), made.diagnostics
            result = apply(
                made,
                store=store,
                heartbeat=run.heartbeat,
                run=run.record,
                environment=run.environment,
                observer=observe,
                cancellation=cancel,
            )
            return Run(made, result, events)

    def view(self) -> StateView:
        """Return the state."""
        with self.store() as store, store.read() as reader:
            return reader.view()

    def records(self) -> dict[str, Record]:
        """Return the rows of the state."""
        return dict(self.view().records)

    def history(self, address: str | None = None) -> list[HistoryLine]:
        """Return the history, newest first."""
        with self.store() as store:
            return list(store.history(address=address))

    def query(self, name: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask, or change, the file of a simulated backend."""
        with closing(sqlite3.connect(self.root / f"{name}.db")) as connection, connection:
            return connection.execute(statement, values).fetchall()

    def calls(self, name: str, call: str = "%") -> list[tuple[Any, ...]]:
        """Return `call, resource_id, pool, started_ns, finished_ns, outcome` of the calls of a backend, in their order."""
        return self.query(
            name,
            "SELECT call, resource_id, pool, started_ns, finished_ns, outcome FROM calls WHERE call LIKE ? ORDER BY sequence",
            call,
        )


def widest(calls: list[tuple[Any, ...]]) -> int:
    """Return how many of the calls were under way at once, at the most."""
    moments = sorted([(call[3], 1) for call in calls] + [(call[4] or 1 << 62, -1) for call in calls])
    most = now = 0
    for _, change in moments:
        now += change
        most = max(most, now)
    return most
