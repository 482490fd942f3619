"""Share servers of a repository's backends: whether they can be made at all, the network services that serve them, and how they are."""

from __future__ import annotations

from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import Capability, DriverError
from sharectl.drivers.registry import driver_factory
from sharectl.engine.addresses import StateAddressLedger
from sharectl.engine.answers import all_expected, network_errors_translated
from sharectl.model.diagnostics import error
from sharectl.model.kinds import Kind, address_of, is_of
from sharectl.model.observed import ObservedShareServer
from sharectl.network.base import NetworkEnvironment, NetworkError
from sharectl.network.registry import asks_nobody, needs_ledger, network_plugin_factory
from sharectl.planner.observed import ServerObservation
from sharectl.planner.share_servers.changes import server_address, subnet_for
from sharectl.workspace.parallel import OpenedOnce

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sharectl.drivers.base import SecretResolver
    from sharectl.drivers.share_servers import HandlesShareServers
    from sharectl.manifests.desired import Desired
    from sharectl.model.backends import BackendSpec
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address
    from sharectl.model.records import Change, Lease, Record, StateView
    from sharectl.model.share_networks import ShareNetworkSubnet
    from sharectl.network.base import NetworkPlugin
    from sharectl.state.contract import StateReader, StateStore

_CLOSE_TIMEOUT_SECONDS: Final = 20.0


def server_findings(desired: Desired) -> tuple[Diagnostic, ...]:
    """Return an error for everything in the manifests that would keep a backend from making the share servers that it is to make."""
    return tuple(
        found
        for name, spec in desired.backends.items()
        if spec.share_servers
        for needed, check in (("driver", _driver_findings), ("network", _network_findings))
        if desired.flaws.is_sound(address_of(Kind.BACKEND, name), "shareServers", needed)
        for found in check(desired, name, spec)
    )


def _driver_findings(desired: Desired, name: str, spec: BackendSpec) -> tuple[Diagnostic, ...]:
    try:
        capabilities = driver_factory(spec.driver).capabilities
    except DriverError:
        return ()  # a finding of the manifest's own
    if Capability.SHARE_SERVERS in capabilities:
        return ()
    summary = f"backend {name} is to make share servers, and its driver {spec.driver} cannot"
    remedy = "remove shareServers; the backend's own server then exports the shares"
    source = desired.field_source(address_of(Kind.BACKEND, name), "spec", "shareServers")
    return (
        error("backend.share-servers", summary, remedy=remedy, address=address_of(Kind.BACKEND, name), source=source),
    )


def _network_findings(desired: Desired, name: str, spec: BackendSpec) -> tuple[Diagnostic, ...]:
    address = address_of(Kind.BACKEND, name)
    if spec.network is None:
        summary = f"backend {name} is to make share servers, and names no network service to give them addresses"
        remedy = "add network: {plugin: standalone}, or another plugin"
        source = desired.field_source(address, "spec", "shareServers")
        return (error("backend.no-network", summary, remedy=remedy, address=address, source=source),)
    from sharectl.manifests.schemas import compiled_test  # noqa: PLC0415 - only where there are share servers
    from sharectl.manifests.validation import explain  # noqa: PLC0415 - only where there are share servers

    schema = network_plugin_factory(spec.network.plugin).config_schema
    config = dict(spec.network.config)
    if compiled_test(schema)(config):
        return ()
    return tuple(
        error(
            finding.code,
            finding.summary,
            remedy=finding.remedy,
            address=address,
            source=desired.field_source(address, *finding.path),
        )
        for finding in explain(config, schema, document=0, prefix=("spec", "network", "config"))
    )


class NetworkServices:
    """Opens the network service of each backend once, whichever thread asks first; closes them all at the end."""

    def __init__(
        self,
        specs: Mapping[str, BackendSpec],
        base_directory: str,
        resolve_secret: SecretResolver,
        elsewhere: Mapping[str, Callable[[str], NetworkPlugin]] = MappingProxyType({}),
    ) -> None:
        """Serve the backends of `specs`; relative paths are under `base_directory`.

        Those of `elsewhere` are asked through workers; each is opened with the lineage of the state.
        """
        self._specs = specs
        self._base_directory = base_directory
        self._resolve_secret = resolve_secret
        self._elsewhere = elsewhere
        self._plugins: OpenedOnce[NetworkPlugin] = OpenedOnce(self._open, lambda plugin: plugin.close())
        self._owner = ""
        self._writes = False
        self._ledger: StateAddressLedger | None = None

    def attach_for_reading(self, reader: StateReader, lineage: str) -> None:
        """Let the services know what the state says of addresses now, unless they keep their accounts there; nothing can be taken then."""
        if not self._writes:
            rows = reader.find(kind=Kind.NETWORK_ALLOCATION)
            self._know(lineage, StateAddressLedger(lambda: rows))

    def attach(self, store: StateStore, lease: Lease) -> None:
        """Let the services keep their accounts in the state, under its lock."""

        def commit(changes: Sequence[Change]) -> None:
            store.commit(lease, changes)

        with store.read() as reader:
            rows = reader.find(kind=Kind.NETWORK_ALLOCATION)
            lineage = reader.view(()).lineage
        self._writes = True
        self._know(lineage, StateAddressLedger(lambda: rows, commit))

    def _know(self, lineage: str, ledger: StateAddressLedger) -> None:
        """Let services that are opened from now on have this ledger; those that have another are closed."""
        self.close()
        self._owner, self._ledger = lineage, ledger

    def plugin(self, backend: str) -> NetworkPlugin:
        """Return the network service of the backend; one that opens slowly holds up no other. Raises DriverError."""
        return self._plugins.get(backend)

    def _open(self, backend: str) -> NetworkPlugin:
        if self._ledger is None:
            message = (
                f"the network service of backend {backend} needs the state's accounts of addresses, which were not read"
            )
            raise DriverError(message)
        if backend in self._elsewhere:
            return self._elsewhere[backend](self._owner)
        return self._opened(backend, self._owner, self._ledger)

    def open_near(self, backend: str, lineage: str) -> NetworkPlugin:
        """Return the network service of the backend for a worker, which has no way to the accounts in the state. Raises DriverError."""
        return self._opened(backend, lineage, StateAddressLedger(_no_accounts))

    def _opened(self, backend: str, owner: str, ledger: StateAddressLedger) -> NetworkPlugin:
        spec = self._specs.get(backend)
        if spec is None or spec.network is None:
            message = f"backend {backend} has no network service"
            raise DriverError(message)
        environment = NetworkEnvironment(backend, owner, self._base_directory, self._resolve_secret, ledger)
        with network_errors_translated():
            return network_plugin_factory(spec.network.plugin).open(spec.network, environment)

    def close(self) -> dict[str, str]:
        """Close every service that was opened; return why, by backend, for those that could not be."""
        return self._plugins.close(_CLOSE_TIMEOUT_SECONDS)


def _no_accounts() -> Mapping[Address, Record]:
    message = "the accounts of addresses are in the state, which a worker neither reads nor writes"
    raise NetworkError(message)


def has_own_network(spec: BackendSpec) -> bool:
    """Tell whether addresses for the backend's share servers are given here, also where workers serve it: nobody else is asked."""
    return spec.network is not None and asks_nobody(spec.network.plugin)


def needs_service_and_state(spec: BackendSpec) -> bool:
    """Tell whether the backend's network plugin needs both a service and accounts in the state, which no one process can reach."""
    return spec.network is not None and needs_ledger(spec.network.plugin) and not asks_nobody(spec.network.plugin)


def subnets_to_check(desired: Desired, view: StateView) -> dict[str, dict[str, ShareNetworkSubnet]]:
    """Return the subnets in which the plan may make share servers: by backend and share network, where no server is yet."""
    backends = {name: spec for name, spec in desired.backends.items() if spec.share_servers and spec.enabled}
    if not backends:
        return {}
    wanted = {
        desired.share(address).share_network
        for address in desired.digests
        if is_of(Kind.SHARE, address) and address not in view.records
    }
    found: dict[str, dict[str, ShareNetworkSubnet]] = {}
    for name, spec in backends.items():
        for network in sorted(wanted & desired.share_networks.keys(), key=str):
            subnet = subnet_for(desired.share_networks[network or ""], spec.availability_zone)
            if subnet is not None and server_address(str(network), subnet, name) not in view.records:
                found.setdefault(name, {})[str(network)] = subnet
    return found


def observe_servers(
    driver: HandlesShareServers,
    open_plugin: Callable[[], NetworkPlugin],
    subnets: Mapping[str, ShareNetworkSubnet],
    *,
    lists: bool,
    resource_ids: frozenset[str] | None,
) -> ServerObservation:
    """Ask a backend for its share servers, and its network service for their addresses and for room in `subnets` (by share network).

    Raises BackendUnavailableError where the backend does not answer; a network service that does not is told of in the answer.
    """
    servers = None
    if lists:
        call = "list_share_servers"
        servers = all_expected(call, ObservedShareServer, driver.list_share_servers(resource_ids))
    count = driver.share_server_allocations()
    allocations = network_error = None
    doubled: frozenset[str] = frozenset()
    findings: dict[str, tuple[Diagnostic, ...]] = {}
    try:
        if lists:
            listed = open_plugin().list_allocations()
            allocations = {held.allocation_id: held for held in listed}
            counts = Counter(held.allocation_id for held in listed)
            doubled = frozenset(allocation_id for allocation_id, count in counts.items() if count > 1)
        if subnets:
            from sharectl.engine.subnets import subnet_findings  # noqa: PLC0415 - only where a server may be made

            plugin = open_plugin()
            findings = {network: subnet_findings(plugin, driver, subnet, count) for network, subnet in subnets.items()}
    except (DriverError, NetworkError) as problem:
        network_error = str(problem)
        unable = error("network.unknown", f"the network service could not be asked: {problem}")
        findings = dict.fromkeys(subnets, (unable,))
    return ServerObservation(
        servers=None if servers is None else {s.resource_id: s for s in servers if s.resource_id is not None},
        unmanaged=() if servers is None else tuple(server for server in servers if server.resource_id is None),
        allocations=allocations,
        network_error=network_error,
        address_count=count,
        findings=findings,
        doubled=doubled,
    )
