"""The backends of a repository: their drivers and network services, opened when they are first asked and closed at the end."""

from __future__ import annotations

from contextlib import closing, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from sharectl.drivers.base import DriverEnvironment, DriverError, KnowsPasswords
from sharectl.drivers.ignoring import leaving_alone
from sharectl.drivers.registry import driver_factory, make_secret_resolver
from sharectl.drivers.secret_references import missing_secrets
from sharectl.model.diagnostics import warning
from sharectl.model.ignoring import IgnoreList
from sharectl.model.kinds import Kind, address_of
from sharectl.model.state_urls import is_in_file
from sharectl.workspace.parallel import OpenedOnce
from sharectl.workspace.share_servers import NetworkServices

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from sharectl.drivers.base import Driver, SecretResolver
    from sharectl.manifests.project import Project
    from sharectl.model.backends import BackendSpec
    from sharectl.model.checks import ConfigProblem
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.workspace.parallel import Unanswered
    from sharectl.workspace.remote import RemoteBackends
    from sharectl.workspace.survey import Asked


CLOSE_TIMEOUT_SECONDS = 20.0


def secret_problems(spec: BackendSpec, resolver: SecretResolver) -> tuple[ConfigProblem, ...]:
    """Return the secrets of a backend, and of its network service, that are not there now, by their paths within its `spec`."""
    configs = {"config": spec.config}
    if spec.network is not None:
        configs["network"] = {"config": spec.network.config}
    return missing_secrets(configs, resolver)


class Backends:
    """Opens the driver of each backend once, whichever thread asks first, and closes them all at the end."""

    def __init__(
        self,
        specs: Mapping[str, BackendSpec],
        base_directory: str,
        remote: RemoteBackends | None = None,
        remote_names: Collection[str] = (),
        formerly_remote: Callable[[], AbstractContextManager[RemoteBackends | None]] = nullcontext,
    ) -> None:
        """Know the backends of `specs`; relative paths in their configuration are under `base_directory`.

        Workers serve those of `remote_names`: their drivers ask through `remote`, and their secrets are not looked for here.
        `formerly_remote` opens the way to what workers may still do from when others were remote (None: none ever was).
        Who asks all of them gives `tell`, which may be set, to ask_each(); what is set as `asked` is told of each question in a survey.
        """
        self._specs = dict(specs)
        self.remote = remote
        self.formerly_remote = formerly_remote
        self.tell: Callable[[Unanswered | None], object] | None = None
        self.asked: Callable[[Asked], None] | None = None
        self.processes = 0
        """How many further processes make the calls of a run (0: this one makes them)."""
        self.warn: Callable[[Sequence[Diagnostic]], object] = lambda _: None
        self._remote_names = remote_names
        resolver = make_secret_resolver(base_directory)
        self._environment = DriverEnvironment(base_directory, resolver)
        elsewhere = {} if remote is None else {name: partial(remote.network, name) for name in remote.with_network}
        self.networks = NetworkServices(self._specs, base_directory, resolver, elsewhere)
        self._drivers: OpenedOnce[Driver] = OpenedOnce(self._open, lambda driver: driver.close())

    def without_network(self) -> tuple[dict[str, BackendSpec], str]:
        """Return the backends whose calls need this process for nothing, as no worker serves them and no network service belongs to them, and what relative paths are under."""
        specs = {
            name: spec
            for name, spec in self._specs.items()
            if name not in self._remote_names and spec.network is None and not spec.share_servers
        }
        return specs, self._environment.base_directory

    def driver(self, backend: str) -> Driver:
        """Return the driver of the backend; one that opens slowly does not hold up others. Raises DriverError."""
        return self._drivers.get(backend)

    def missing_secrets(self, backend: str) -> tuple[ConfigProblem, ...]:
        """Return the secrets of the backend that are not there now, by their paths within its `spec`."""
        spec = self._specs.get(backend)
        if spec is None or backend in self._remote_names:
            return ()
        return secret_problems(spec, self._environment.resolve_secret)

    def passwords_of(self, backend: str, problems: tuple[ConfigProblem, ...]) -> tuple[ConfigProblem, ...]:
        """Return those problems with secrets of the backend that only keep a user out."""
        try:
            factory = driver_factory(self._specs[backend].driver)
        except DriverError:
            return ()
        return tuple(
            each for each in problems if isinstance(factory, KnowsPasswords) and factory.is_password(each.path)
        )

    def limits_servers(self, backend: str) -> bool:
        """Tell whether the backend's manifest says how many share servers there may be."""
        spec = self._specs.get(backend)
        return spec is not None and spec.max_share_servers is not None

    def width(self, backend: str) -> int:
        """Return how many calls may run on the backend at once."""
        spec = self._specs.get(backend)
        return 1 if spec is None else spec.lanes

    def recovery_timeout_seconds(self, backend: str) -> float:
        """Return how long one call of a recovery may take on the backend; one without a manifest is not even opened."""
        spec = self._specs.get(backend)
        return 1.0 if spec is None else spec.recovery_timeout_seconds

    def open_another(self, backend: str) -> Driver:
        """Return one more driver of the backend, which the caller closes. Raises DriverError."""
        return self._open(backend)

    def _open(self, backend: str) -> Driver:
        spec = self._specs.get(backend)
        if spec is None:
            message = f"backend {backend} has no manifest"
            raise DriverError(message)
        if self.remote is not None and backend in self._remote_names:
            return self.remote.driver(backend)
        driver = driver_factory(spec.driver).open(spec, self._environment)
        return leaving_alone(driver, IgnoreList.from_plain(spec.ignore))

    def close(self) -> tuple[Diagnostic, ...]:
        """Close every driver and network service that was opened; return a warning for each that could not be, or not in time."""
        of_networks = self.networks.close()
        of_drivers = self._drivers.close(CLOSE_TIMEOUT_SECONDS)
        return (
            *(_not_closed(name, "the driver", problem) for name, problem in sorted(of_drivers.items())),
            *(_not_closed(name, "the network service", problem) for name, problem in sorted(of_networks.items())),
        )


def _not_closed(backend: str, what: str, problem: str) -> Diagnostic:
    return warning(
        "backend.not-closed",
        f"{what} of backend {backend} could not be closed: {problem}",
        detail="what the command did is done and recorded; the driver may have left a connection or a process behind.",
        remedy="look for those where the backend is; if it happens each time, tell whoever wrote the driver",
        address=address_of(Kind.BACKEND, backend),
    )


@contextmanager
def opened_backends(
    specs: Mapping[str, BackendSpec],
    project: Project,
    warn: Callable[[Sequence[Diagnostic]], object],
    tell: Callable[[Unanswered | None], object] | None = None,
    asked: Callable[[Asked], None] | None = None,
) -> Iterator[Backends]:
    """Yield the backends, and close their drivers afterwards; `warn` is told of those that could not be, `tell` of those that are slow, `asked` as Backends has it."""
    remote_names = project.execution.remote & specs.keys()
    remote = _remote(specs, project, warn) if remote_names else None
    formerly_remote = nullcontext if is_in_file(project.state_url) else partial(_formerly_remote, specs, project, warn)
    backends = Backends(specs, str(project.root), remote, remote_names, formerly_remote)
    backends.tell, backends.asked, backends.warn = tell, asked, warn
    backends.processes = project.execution.processes
    try:
        yield backends
    finally:
        problems = backends.close()
        if remote is not None:
            remote.close()
        if problems:
            warn(problems)


@contextmanager
def _formerly_remote(
    specs: Mapping[str, BackendSpec], project: Project, warn: Callable[[Sequence[Diagnostic]], object]
) -> Iterator[RemoteBackends]:
    with closing(_remote(specs, project, warn)) as remote:
        yield remote


def _remote(
    specs: Mapping[str, BackendSpec], project: Project, warn: Callable[[Sequence[Diagnostic]], object]
) -> RemoteBackends:
    from sharectl.workspace.remote import RemoteBackends  # noqa: PLC0415 - most projects have no workers

    return RemoteBackends(project, specs, warn)
