"""The backends of a repository that workers serve: asked through the database of the state, and worked on by an executor of a run."""

from __future__ import annotations

from contextlib import closing, suppress
from functools import partial
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from sharectl.drivers.base import BackendUnavailableError
from sharectl.executors.base import Remains
from sharectl.executors.workers.asking import AskedNetwork, Asking, asked_driver
from sharectl.executors.workers.claims import ClaimsUnavailableError, Requests
from sharectl.executors.workers.executor import POLL_SECONDS, NoHints, Remote, Workers
from sharectl.executors.workers.offers import EarlierCalls, Offers, Run
from sharectl.executors.workers.tables import install
from sharectl.model.canonical import canonical_json, digest_of
from sharectl.model.diagnostics import DiagnosticError, error, warning
from sharectl.model.events import CallsUnderWay
from sharectl.model.state_urls import is_in_file, parse_postgresql_url
from sharectl.private import SecretError, read_secret
from sharectl.state.contract import StateError, StateUnavailableError
from sharectl.state.stores import open_store
from sharectl.workspace.share_servers import has_own_network

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sharectl.drivers.base import Driver
    from sharectl.executors.base import Execute, Executor, MakeExecutor, Permit, Submission
    from sharectl.executors.workers.broker import BrokerPlace
    from sharectl.executors.workers.dismissal import HoldingSession
    from sharectl.executors.workers.executor import Hints
    from sharectl.executors.workers.offers import UnderWay, WorkerSeen
    from sharectl.manifests.project import Project
    from sharectl.model.backends import BackendSpec
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.events import Event
    from sharectl.model.records import OperationRecord, Scope
    from sharectl.network.base import NetworkPlugin
    from sharectl.state.contract import StateStore

_LOOK_AGAIN_SECONDS: Final = 0.5


def manifest_digest(spec: BackendSpec) -> str:
    """Return the digest by which a coordinator and a worker know that they have the same manifest of a backend."""
    return digest_of(canonical_json(spec.as_plain())).hex()


def requests_of(project: Project) -> Requests:
    """Return requests to the database of the project's state. Raises DiagnosticError where it is none that workers can reach."""
    if is_in_file(project.state_url):
        summary = "workers need a state in PostgreSQL, and this one is a file"
        remedy = "name the database in sharectl.yaml: `state: {url: postgresql://USER@HOST/DATABASE}`"
        raise DiagnosticError(error("execution.state", summary, remedy=remedy))
    return Requests(parse_postgresql_url(project.state_url))


def prepare_tables(project: Project) -> None:
    """Make the tables of workers, and the state itself where there is none yet. Raises StateError and DiagnosticError."""
    with closing(requests_of(project)) as requests:
        open_store(project.state_url, create=True).close()
        place = parse_postgresql_url(project.state_url)
        try:
            with requests.owned() as connection:
                install(connection, place.schema)
        except ClaimsUnavailableError as problem:
            raise _unavailable(place.location, problem) from problem


def _unavailable(location: str, problem: ClaimsUnavailableError) -> StateError:
    """Return what a command says of a database that refused: what the store said of it, with its help, where that is known."""
    cause = problem.__cause__
    return cause if isinstance(cause, StateError) else StateUnavailableError(location, str(problem))


def broker_place(project: Project) -> BrokerPlace | None:
    """Return where the broker is, with its password; None where hints need none. Raises DiagnosticError."""
    settings = project.execution
    if settings.executor != "celery" or settings.broker is None:
        return None
    try:
        from sharectl.executors.workers.broker import BrokerPlace  # noqa: PLC0415 - not every executor has a broker
    except ModuleNotFoundError as problem:
        summary = f"the executor celery needs a package that is not installed: {problem.name}"
        remedy = "pip install 'sharectl[celery]'"
        raise DiagnosticError(error("execution.broker", summary, remedy=remedy)) from None
    broker = settings.broker
    try:
        password = None if broker.password_from is None else read_secret(*broker.password_from)
    except SecretError as problem:
        remedy = "put the password there, or correct `execution.broker.passwordFrom` in sharectl.yaml"
        raise DiagnosticError(
            error("execution.broker", f"the broker's password: {problem}", remedy=remedy)
        ) from problem
    return BrokerPlace(broker.url, password, broker.ca_file)


class RemoteBackends:
    """What a command has of the backends that workers serve; made where the first of them is asked for."""

    def __init__(
        self, project: Project, specs: Mapping[str, BackendSpec], tell: Callable[[Sequence[Diagnostic]], object]
    ) -> None:
        """Know the remote ones among `specs`."""
        self._project = project
        self._remote = {
            name: Remote(spec.lanes, manifest_digest(spec))
            for name, spec in specs.items()
            if name in project.execution.remote
        }
        self._seconds = {name: specs[name].list_timeout_seconds for name in self._remote}
        self._own_networks = frozenset(name for name in self._remote if has_own_network(specs[name]))
        self.with_network = frozenset(name for name in self._remote if specs[name].network) - self._own_networks
        """The backends whose workers ask their network services, too."""
        self._step_seconds = {name: spec.step_timeout_seconds for name, spec in specs.items()}
        self._tell = tell
        self._told_of_broker: set[str] = set()
        self._requests = requests_of(project)
        self._is_prepared = False

    def _prepare(self) -> None:
        if not self._is_prepared:
            prepare_tables(self._project)
            self._is_prepared = True

    def driver(self, backend: str) -> Driver:
        """Return a driver that answers by asking a worker of the backend. Raises DriverError."""
        try:
            self._prepare()
            return asked_driver(Asking(backend, self._asking, self._seconds[backend]))
        except StateError as problem:
            raise BackendUnavailableError(str(problem)) from problem

    def network(self, backend: str, lineage: str) -> NetworkPlugin:
        """Return a network service that answers by asking a worker of the backend, which tells by the `lineage` of the state what is its own."""
        return AskedNetwork(Asking(backend, partial(self._asking, lineage), self._seconds[backend]))

    def _asking(self, lineage: str = "") -> Workers:
        offers = Offers(self._requests, Run(f"question-{uuid4()}", lineage, None))
        return Workers(offers, self._hints(), self._remote.__getitem__)

    def wait_with(self, store: StateStore) -> None:
        """Be away with the database of `store`: both wait for it, but only one says so."""
        from sharectl.state.postgresql.store import PostgresqlStore  # noqa: PLC0415 - only a run waits

        if isinstance(store, PostgresqlStore):
            self._requests.wait_with(store.absence)

    def executor(self, run: Run) -> MakeExecutor:
        """Return what makes the executor of a run."""

        def make(execute: Execute, permit: Permit, width: Callable[[str], int], clock: Callable[[], float]) -> Executor:
            from sharectl.executors.lanes import Lanes  # noqa: PLC0415 - as where there are lanes alone
            from sharectl.executors.several import Several  # noqa: PLC0415 - as above

            offers = Offers(self._requests, run)
            workers = Workers(offers, self._hints(), self._remote.__getitem__, clock, permit=permit)
            here = Lanes(execute, permit, width, clock)
            return Several(here, workers, self._remote.__contains__, POLL_SECONDS, self._is_of_own_network)

        return make

    def _is_of_own_network(self, submission: Submission) -> bool:
        return submission.call.of_network and submission.backend in self._own_networks

    def remains(  # noqa: PLR0913, PLR0917 - what is open, whose it is, and who watches
        self,
        operations: Sequence[OperationRecord],
        scope: Scope,
        observer: Callable[[Event], None],
        wait: Callable[[float], object],
        require: Permit,
        clock: Callable[[], float] = monotonic,
    ) -> dict[str, Remains]:
        """Return what remains of the calls of earlier runs in a `scope`, once they have ended. Raises StateError, and what `require` raises.

        A call that its worker still renews is waited for until it has taken as long as a step of its backend may: nobody else
        may touch its address. Then it is given up. One that is given up may hang, and is waited for no longer than a lease:
        what it is, or may be, about stays unresolved.
        """
        earlier = EarlierCalls(self._requests)
        told: set[tuple[str, ...]] = set()
        patience_ends = clock() + self._project.execution.lease_seconds
        try:
            if not self._remote and not earlier.are_kept():  # no backend was ever remote
                return {}
            self._prepare()
            while True:
                require()
                found, remains = earlier.look([operation.operation_id for operation in operations])
                under_way = [call for call in found if _concerns(scope, call, operations)]
                overdue = [call for call in under_way if not call.is_given_up and self._is_overdue(call)]
                if overdue:
                    earlier.give_up(overdue)
                    patience_ends = clock() + self._project.execution.lease_seconds
                elif not under_way or (all(call.is_given_up for call in under_way) and clock() >= patience_ends):
                    earlier.tidy()
                    return _held_up(remains, operations, under_way)
                self._tell_of_calls(under_way, told, observer)
                wait(_LOOK_AGAIN_SECONDS)
        except ClaimsUnavailableError as problem:
            raise _unavailable(self._project.state_location, problem) from problem

    def _is_overdue(self, call: UnderWay) -> bool:
        return call.age_seconds >= self._step_seconds.get(call.backend, 0.0)

    @staticmethod
    def _tell_of_calls(
        under_way: Sequence[UnderWay], told: set[tuple[str, ...]], observer: Callable[[Event], None]
    ) -> None:
        addresses = tuple(call.address for call in under_way)
        if addresses not in told:
            told.add(addresses)
            observer(CallsUnderWay(addresses, max(call.left_seconds for call in under_way)))

    def _hints(self) -> Hints:
        place = broker_place(self._project)
        if place is None:
            return NoHints()
        from sharectl.executors.workers.broker import BrokerHints  # noqa: PLC0415 - not every executor has a broker

        name = parse_postgresql_url(self._project.state_url).name
        return BrokerHints(place, name, self._tell_of_broker)

    def _tell_of_broker(self, text: str) -> None:
        if text in self._told_of_broker:  # by what asks for pools, beside what asks for listings
            return
        self._told_of_broker.add(text)
        remedy = "look whether the broker runs, can be reached from here, and takes this user; meanwhile workers look into the database by themselves"
        self._tell((warning("execution.broker", text, remedy=remedy),))

    def close(self) -> None:
        """Let go of connections."""
        self._requests.close()


def _concerns(scope: Scope, call: UnderWay, operations: Sequence[OperationRecord]) -> bool:
    """Tell whether a run of the scope waits for the call; one of a recovery may be about any of the `operations` of its backend."""
    if scope.is_everything:
        return True
    if call.is_of_operation:
        return scope.holds(call.address, call.backend)
    return any(operation.backend == call.backend for operation in operations)


def _held_up(
    remains: dict[str, Remains], operations: Sequence[OperationRecord], under_way: Sequence[UnderWay]
) -> dict[str, Remains]:
    """Return what remains, where the calls of recoveries hold up each intent of their backends: nobody knows which of them they are about."""
    backends = {call.backend for call in under_way if not call.is_of_operation}
    held_up = {
        operation.operation_id: Remains(has_begun=True, is_under_way=True)
        for operation in operations
        if operation.backend in backends
    }
    return {**remains, **held_up}


def workers_of(project: Project) -> tuple[list[WorkerSeen], list[HoldingSession]]:
    """Return the workers that have presented themselves, and sessions of their roles that are in the way of others. Raises StateError and DiagnosticError."""
    from sharectl.executors.workers.dismissal import holding_sessions  # noqa: PLC0415 - one command needs it

    with closing(requests_of(project)) as requests:
        try:
            if not EarlierCalls(requests).are_kept():
                return [], []
            return Offers(requests, Run("", "", None)).workers(), holding_sessions(requests, sleep)
        except ClaimsUnavailableError as problem:
            raise _unavailable(project.state_location, problem) from problem


def makers_of(project: Project) -> dict[str, str]:
    """Return, by open operation, the worker that makes its call now; nothing where that cannot be read. Raises DiagnosticError."""
    with closing(requests_of(project)) as requests, suppress(ClaimsUnavailableError, StateError):
        earlier = EarlierCalls(requests)
        if earlier.are_kept():
            return earlier.makers()
    return {}


def admit_role(project: Project, role: str, backend: str) -> str:
    """Let a role of the database serve a backend, which reads and writes no table; return what is left for somebody with more rights.

    Raises StateError and DiagnosticError.
    """
    from sharectl.executors.workers.admission import admit  # noqa: PLC0415 - one command needs it

    with closing(requests_of(project)) as requests:
        prepare_tables(project)
        try:
            with requests.owned() as connection:
                return admit(connection, parse_postgresql_url(project.state_url).schema, role, backend)
        except ClaimsUnavailableError as problem:
            raise _unavailable(project.state_location, problem) from problem


def dismiss_role(project: Project, role: str, backend: str, *, at_once: bool) -> tuple[int, int]:
    """Stop a role from serving the backend; `at_once`, it cannot finish anything either.

    Returns how many calls it was making, and how many of its sessions were ended. Raises StateError and DiagnosticError.
    """
    from sharectl.executors.workers.dismissal import (  # noqa: PLC0415 - one command needs it
        MayNotEndError,
        dismiss,
        has_rights_of_owner,
        take_away,
        was_admitted,
    )

    with closing(requests_of(project)) as requests:
        try:
            are_kept = EarlierCalls(requests).are_kept()
            if are_kept and has_rights_of_owner(requests, role):
                summary = f"the role {role} has the rights of the state's owner, which no dismissal takes from it"
                remedy = (
                    "give workers a role of their own; from this one, REVOKE the owner's role, or change its password"
                )
                raise DiagnosticError(error("worker.owner", summary, remedy=remedy))
            might, under_way = dismiss(requests, role, backend) if are_kept else (False, 0)
            if not might and not (at_once and are_kept and was_admitted(requests, role)):
                remedy = "`sharectl workers` shows who serves which backend"
                summary = f"the role {role} is not admitted for backend {backend}"
                raise DiagnosticError(error("worker.not-admitted", summary, remedy=remedy))
            return under_way, take_away(requests, role, backend) if at_once else 0
        except MayNotEndError as problem:
            summary = f"the role {role} was dismissed; its sessions in the database could not be ended: {problem}"
            remedy = "let an administrator of the database end them with pg_terminate_backend, or `GRANT pg_signal_backend` to the role of sharectl.yaml"
            raise DiagnosticError(error("worker.sessions", summary, remedy=remedy)) from problem
        except ClaimsUnavailableError as problem:
            raise _unavailable(project.state_location, problem) from problem
