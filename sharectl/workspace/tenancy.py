"""Looking at tenants' networks closely: a share network with its servers, a share server with its addresses and shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.drivers.base import DriverError
from sharectl.drivers.share_servers import HandlesShareServers
from sharectl.model.diagnostics import DiagnosticError, did_you_mean, error, warning
from sharectl.model.frozen import dataclass
from sharectl.model.kinds import Kind, address_of, name_of
from sharectl.state.rows import server_spec_of

if TYPE_CHECKING:
    from sharectl.manifests.desired import Desired
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address
    from sharectl.model.observed import ObservedShareServer
    from sharectl.model.records import Record
    from sharectl.model.share_networks import ShareNetworkSpec
    from sharectl.state.contract import StateStore
    from sharectl.workspace.backends import Backends


@dataclass(frozen=True, slots=True)
class ShareServerView:
    """What is known of one share server. `observed` is the server as its backend lists it, None where it did not say."""

    address: Address
    record: Record
    shares: tuple[Record, ...]
    observed: ObservedShareServer | None = None
    diagnostics: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True)
class ShareNetworkView:
    """What is known of one share network: its manifest, None where that is gone, and its servers with how many shares are on each."""

    address: Address
    spec: ShareNetworkSpec | None
    servers: tuple[tuple[Record, int], ...]


def inspect_share_server(store: StateStore, backends: Backends, address: Address, *, ask: bool) -> ShareServerView:
    """Return what the state and, if `ask`, the backend know of the share server. Raises DiagnosticError where there is none."""
    with store.read() as reader:
        record = reader.record(address)
        shares = () if record is None else tuple(reader.children(record).values())
        servers = reader.addresses(address_of(Kind.SHARE_SERVER, "")) if record is None else ()
    if record is None:
        remedy = did_you_mean(address, servers) or "a share server is made with the first share on its network"
        raise DiagnosticError(error("show.unknown", f"the state has no {address}", remedy=remedy, address=address))
    if not ask:
        return ShareServerView(address, record, shares)
    observed, problem = _ask(backends, record)
    return ShareServerView(address, record, shares, observed, () if problem is None else (problem,))


def inspect_share_network(desired: Desired, store: StateStore, address: Address) -> ShareNetworkView:
    """Return what manifests and state know of the share network. Raises DiagnosticError where neither knows it."""
    name = name_of(address)
    with store.read() as reader:
        servers = tuple(
            (record, len(reader.children(record)))
            for record in reader.find(kind=Kind.SHARE_SERVER).values()
            if server_spec_of(record).share_network == name
        )
    spec = desired.share_networks.get(name)
    if spec is None and not servers:
        remedy = did_you_mean(address, [address_of(Kind.SHARE_NETWORK, known) for known in desired.share_networks])
        summary = f"neither the manifests nor the state have {address}"
        raise DiagnosticError(error("show.unknown", summary, remedy=remedy or "describe it", address=address))
    return ShareNetworkView(address, spec, servers)


def server_edges(store: StateStore) -> list[tuple[Address, Address]]:
    """Return what depends on what on account of share servers, as the state knows it: shares on servers, servers on networks and backends."""
    with store.read() as reader:
        edges: list[tuple[Address, Address]] = []
        for address, record in reader.find(kind=Kind.SHARE_SERVER).items():
            edges += [(share, address) for share in reader.children(record)]
            edges.append((address, address_of(Kind.SHARE_NETWORK, server_spec_of(record).share_network)))
            edges.append((address, address_of(Kind.BACKEND, record.backend or "")))
    return edges


def _ask(backends: Backends, record: Record) -> tuple[ObservedShareServer | None, Diagnostic | None]:
    address, backend = record.address, record.backend or ""
    try:
        driver = backends.driver(backend)
        found = driver.list_share_servers([record.resource_id]) if isinstance(driver, HandlesShareServers) else ()
    except DriverError as problem:
        summary = f"backend {backend} could not be asked: {problem}"
        detail = "what is shown is what the state last knew."
        return None, warning("backend.unknown", summary, detail=detail, address=address)
    if not found:
        return None, warning("share_server.gone", f"{address} is not on backend {backend} any more", address=address)
    return found[0], None
