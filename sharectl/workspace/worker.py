"""A worker of one backend: it alone has the backend's secrets and a way to it, and makes the calls that runs elsewhere offer."""

from __future__ import annotations

import os
import signal
import socket
import threading
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final, cast
from uuid import uuid4

from sharectl import __version__
from sharectl.drivers.base import DriverError, FencesEachLease, RefusesOldFences, fenced
from sharectl.engine.environment import utc_now
from sharectl.engine.tenure import Permitted
from sharectl.engine.verbs import execute
from sharectl.engine.verbs.base import Site
from sharectl.executors.workers.claims import ClaimsUnavailableError, NotAdmittedError, PostgresClaims, WorkerName
from sharectl.executors.workers.service import Service
from sharectl.model.diagnostics import DiagnosticError, did_you_mean, error
from sharectl.model.state_urls import parse_postgresql_url
from sharectl.workspace.parallel import OpenedOnce
from sharectl.workspace.remote import broker_place, manifest_digest, requests_of
from sharectl.workspace.validation import cannot_be_remote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from uuid import UUID

    from sharectl.drivers.base import Driver
    from sharectl.executors.answers import Answer
    from sharectl.executors.base import Permit
    from sharectl.executors.calls import Call
    from sharectl.executors.workers.service import Fence
    from sharectl.manifests.project import Project
    from sharectl.model.backends import BackendSpec
    from sharectl.network.base import NetworkPlugin
    from sharectl.workspace.backends import Backends
    from sharectl.workspace.heartbeat import Heartbeat

FENCED_STATUS: Final = 70
"""The exit status of a worker that has ended itself because its claims could not be renewed."""
_LOOK_SECONDS: Final = 0.2
_LOOK_BESIDE_BROKER_SECONDS: Final = 5.0
_START_AGAIN_SECONDS: Final = 1.0
_LAST_WORDS_SECONDS: Final = 0.1
_CLOSE_TIMEOUT_SECONDS: Final = 20.0


class _Fenced:
    """A driver (None: not opened yet), the lineage and token of the run that it works for, and how many calls do so now."""

    __slots__ = ("calls", "driver", "is_raised", "raising", "run")

    def __init__(self, driver: Driver | None, run: tuple[str, int]) -> None:
        self.driver = driver
        self.run = run
        self.is_raised = False
        self.raising = threading.Lock()
        self.calls = 0


class Drivers:
    """The drivers of a backend. One works under a single fence, so there are as many as runs have had calls under way at once.

    What takes long with one of them, to open it or to raise its fence, holds up no call of another run, nor the end of one.
    """

    def __init__(self, first: Callable[[], Driver], open_another: Callable[[], Driver]) -> None:
        """Begin with the one that `first` returns each time; further ones are closed here. Both raise DriverError."""
        self.first = first
        self._open_another = open_another
        self._guard = threading.Lock()
        self._all: list[_Fenced] = []
        self._newest: dict[str, int] = {}

    @contextmanager
    def under(self, fence: Fence, permit: Permit) -> Iterator[Driver]:
        """Give a driver that works under the fence of a run meanwhile. Raises DriverError, and FencedError for a run that is late."""
        first = self.first()
        if not isinstance(first, RefusesOldFences) or fence.token is None:
            yield first
            return
        with self._guard:
            chosen = self._chosen(first, (fence.lineage, fence.token))
            chosen.calls += 1
        try:
            with chosen.raising:
                driver = chosen.driver = chosen.driver or self._open_another()
                permit()  # a driver may have taken long to open
                if not chosen.is_raised:
                    self._raise(driver, fence, fence.token)
                    chosen.is_raised = True
            yield driver
        finally:
            with self._guard:
                chosen.calls -= 1

    def _chosen(self, first: Driver, run: tuple[str, int]) -> _Fenced:
        """Return the driver of the run, else one that nobody works with, else another."""
        if not self._all:
            self._all.append(_Fenced(first, run))
        for each in self._all:
            if each.run == run:
                return each
        for each in self._all:
            if not each.calls:
                each.run, each.is_raised = run, False
                return each
        self._all.append(_Fenced(None, run))
        return self._all[-1]

    def _raise(self, driver: Driver, fence: Fence, token: int) -> None:
        """Let the backend refuse earlier runs; a driver that is refused works for nobody until its fence is raised again."""
        if isinstance(driver, FencesEachLease):
            driver.raise_fence_beside(fence.lineage, token, fence.beside)
        elif isinstance(driver, RefusesOldFences):
            with self._guard:
                newest = self._newest.get(fence.lineage, 0)
            if token < newest:
                raise fenced(token, newest)
            driver.raise_fence(fence.lineage, token)
            with self._guard:
                self._newest[fence.lineage] = max(token, self._newest.get(fence.lineage, 0))

    def close(self) -> None:
        """Close all but the first; one that cannot be is left to the end of the process."""
        with self._guard:
            further, self._all = self._all[1:], []
        for each in further:
            if each.driver is not None:
                with suppress(Exception):
                    each.driver.close()


class Calls:
    """Makes calls on one backend, with its driver."""

    def __init__(self, backends: Backends, backend: str) -> None:
        """Make them on `backend`."""
        self._drivers = Drivers(partial(backends.driver, backend), partial(backends.open_another, backend))
        self._networks: OpenedOnce[NetworkPlugin] = OpenedOnce(
            partial(backends.networks.open_near, backend), lambda plugin: plugin.close()
        )
        """By the lineage of the state, which is in the marks of what belongs to sharectl in a network service."""

    def __call__(self, call: Call[Answer], fence: Fence, permit: Permit) -> Answer:
        """Make a call for the run that `fence` stands for. Raises what the driver raises."""
        permit()
        if fence.token is None:
            if not call.is_question:
                message = "a call with an effect was offered by no run"
                raise DriverError(message)
            return execute(Site(self._drivers.first(), lambda: self._networks.get(fence.lineage)), call)

        def open_network() -> NetworkPlugin:
            return cast("NetworkPlugin", Permitted(self._networks.get(fence.lineage), permit))

        with self._drivers.under(fence, permit) as driver:
            return execute(Site(cast("Driver", Permitted(driver, permit)), open_network), call)

    def close(self) -> None:
        """Let go of network services, and of all drivers but the first, which belongs to the backends."""
        self._networks.close(_CLOSE_TIMEOUT_SECONDS)
        self._drivers.close()


def spec_of(backends: Mapping[str, BackendSpec], name: str, project: Project) -> BackendSpec:
    """Return the manifest of the backend that is to be served. Raises DiagnosticError."""
    if project.execution.executor == "local":
        summary = "the project has no workers: its executor is local"
        remedy = f"say so in sharectl.yaml: `execution: {{executor: queue, backends: {{{name}: remote}}}}`"
        raise DiagnosticError(error("execution.local", summary, remedy=remedy))
    spec = backends.get(name)
    if spec is None:
        remedy = did_you_mean(name, list(backends)) or "put its Backend manifest here, as the coordinator has it"
        raise DiagnosticError(error("usage.backend", f"there is no backend {name} in the manifests", remedy=remedy))
    if (problem := cannot_be_remote(spec)) is not None:
        raise DiagnosticError(problem)
    return spec


class Worker:
    """A worker of a backend, which is presented to the database by `begin`, looks for calls from then on, and is offered others."""

    def __init__(
        self,
        project: Project,
        spec: BackendSpec,
        backends: Backends,
        tell: Callable[[str], object],
        heartbeat: Heartbeat,
    ) -> None:
        """Serve the backend of `spec` in the state of the project."""
        lease_seconds = project.execution.lease_seconds
        host = socket.gethostname()
        self.name = WorkerName(
            worker_id=f"{spec.name}@{host}-{os.getpid()}-{uuid4().hex[:8]}",
            backend=spec.name,
            host=host,
            process_id=os.getpid(),
            version=__version__,
            width=spec.lanes,
            digest=manifest_digest(spec),
            lease_seconds=lease_seconds,
        )
        self.queue_state = parse_postgresql_url(project.state_url).name
        self._tell = tell
        self._heartbeat = heartbeat
        self._calls = Calls(backends, spec.name)
        self.service = Service(
            PostgresClaims(requests_of(project), self.name),
            self._calls,
            lease_seconds=lease_seconds,
            end_process=lambda why: end_process(why, tell),
            tell=tell,
            beat=heartbeat,
        )
        self.stopped = threading.Event()
        self._hears = threading.Event()

    def begin(self) -> bool:
        """Present the worker as soon as the database answers; False where it is to end before. Raises DiagnosticError."""
        if not _start(self.service, self.stopped, self._tell):
            return False
        self._tell(f"serving backend {self.name.backend} as {self.name.worker_id}, {self.name.width} calls at once")
        return True

    def look_beside_broker(self) -> None:
        """Look for calls from now on that no hint has told of, more often where none is heard."""
        arguments = (self.stopped, self._interval_seconds)
        threading.Thread(target=self.service.look_until, args=arguments, name="look", daemon=True).start()

    def _interval_seconds(self) -> float:
        return _LOOK_BESIDE_BROKER_SECONDS if self._hears.is_set() else _LOOK_SECONDS

    def heard(self, *, is_so: bool) -> None:
        """Know whether hints are heard."""
        if is_so:
            self._hears.set()
        else:
            self._hears.clear()
        self.service.wake()

    def offer(self, *call_ids: UUID) -> None:
        """Claim calls that a hint has told of."""
        try:
            self.service.offer(*call_ids)
        except (ClaimsUnavailableError, NotAdmittedError) as problem:
            self._tell(f"calls could not be claimed: {problem}")

    def end(self) -> None:
        """Claim nothing more, and return when what runs has ended."""
        self.stopped.set()
        self._heartbeat.stopping()
        for number in (signal.SIGTERM, signal.SIGINT):  # asked once more, it does not wait
            signal.signal(number, signal.SIG_DFL)
        self._tell("finishing what runs, and claiming nothing more")
        self.service.drain()
        self._calls.close()
        self._heartbeat.ended()


def serve(
    project: Project, spec: BackendSpec, backends: Backends, tell: Callable[[str], object], heartbeat: Heartbeat
) -> None:
    """Serve the backend until the process is asked to end by SIGTERM or SIGINT; what runs then is finished. Raises DiagnosticError.

    Where the database does not answer yet, it is waited for.
    """
    place = broker_place(project)
    worker = Worker(project, spec, backends, tell, heartbeat)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stopped.set())
    if not worker.begin():
        return
    if place is None:
        worker.service.look_until(worker.stopped, lambda: _LOOK_SECONDS)
    else:
        worker.look_beside_broker()
        from sharectl.executors.workers.broker import consume, queue_of  # noqa: PLC0415 - not every worker has a broker

        consume(place, queue_of(worker.queue_state, spec.name), worker.name.worker_id, worker.offer, tell, worker.heard)
    worker.end()


def timed(tell: Callable[[str], object]) -> Callable[[str], None]:
    """Return what tells the same with the time before it: whoever keeps the log of a worker may note none."""

    def tell_when(text: str) -> None:
        tell(f"{utc_now()} {text}")

    return tell_when


def _start(service: Service, stopped: threading.Event, tell: Callable[[str], object]) -> bool:
    """Present the worker as soon as the database answers; False where it is to end before."""
    told = ""
    while not stopped.is_set():
        try:
            service.start()
        except ClaimsUnavailableError as problem:
            if str(problem) != told:
                told = str(problem)
                tell(f"waiting for the database: {problem}")
            stopped.wait(_START_AGAIN_SECONDS)
        except NotAdmittedError as problem:
            remedy = "let the owner of the state run `sharectl workers admit --role ROLE --backend NAME`"
            raise DiagnosticError(
                error("worker.not-admitted", f"the database refuses this worker: {problem}", remedy=remedy)
            ) from problem
        else:
            return True
    return False


def end_process(why: str, tell: Callable[[str], object]) -> None:
    """End the process, with all that it has started in its group, before another worker may take its calls over.

    What is told may find nobody who reads it, and is not waited for.
    """
    line = f"{why}; this worker ends, so that another can take its calls over"
    try:
        telling = threading.Thread(target=tell, args=(line,), name="last-words", daemon=True)
        telling.start()
        telling.join(_LAST_WORDS_SECONDS)
    finally:
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(FENCED_STATUS)
