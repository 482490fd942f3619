"""A change of a repository in which every verb about share servers occurs, and what must hold after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from sharectl.engine.verbs import TABLE
from sharectl.engine.verbs.base import Runner
from sharectl.planner.records import share_server_id_of
from sharectl.state.rows import allocations_of, attributes_of
from tests.engine.site import UNLIMITED, Site, backend, share

if TYPE_CHECKING:
    from pathlib import Path

    from sharectl.planner.options import PlanOptions

TAKEN_OVER: tuple[str, ...] = ()
EXPECTED = frozenset(
    {"backend/tenants", "backend/nas", "share/keep", "share/grown", "share/moved", "share/plain", "share/new"}
    | {f"share_server/{name}-default@tenants" for name in ("red", "blue", "green")}
)


def tenants(name: str = "tenants", *, spec: str = "", config: str = "") -> str:
    """Return the manifest of a simulated backend with share servers; `spec` and `config` as for `backend`."""
    return backend(name, lanes=4, spec=f"shareServers: true, network: {{plugin: standalone}}, {spec}", config=config)


def network(name: str, number: int = 1, *, subnets: str = "", spec: str = "") -> str:
    """Return the manifest of a share network: one VLAN, unless `subnets` are given as YAML flow entries."""
    subnets = (
        subnets
        or f"{{cidr: 10.0.{number}.0/24, gateway: 10.0.{number}.1, networkType: vlan, segmentationId: {number}}}"
    )
    return (
        f"---\napiVersion: sharectl/v1\nkind: ShareNetwork\nmetadata: {{name: {name}}}\n"
        f"spec: {{subnets: [{subnets}], {spec}}}\n"
    )


def directory_service(name: str, server: str = "ldap.example") -> str:
    """Return the manifest of a directory service."""
    return (
        f"---\napiVersion: sharectl/v1\nkind: SecurityService\nmetadata: {{name: {name}}}\n"
        f"spec: {{type: ldap, server: {server}}}\n"
    )


def on(network_name: str, name: str, *, size: str = "10GiB", policy: str = "delete", spec: str = "") -> str:
    """Return the manifest of a share on a share network."""
    return share(name, size=size, spec=f"shareNetwork: {network_name}, deletionPolicy: {policy}, {spec}")


_RULE = "access: [{type: ip, to: 10.0.0.0/8, level: rw}],"
_COMMON = [backend("nas"), directory_service("people"), network("red", 1), network("green", 3), network("grey", 4)]


def _before() -> list[str]:
    return [
        *_COMMON,
        tenants(),
        network("blue", 2),
        on("red", "keep", spec=_RULE),
        on("blue", "grown"),
        on("grey", "gone"),
        on("grey", "moved", spec="replacement: createFirst"),
        share("plain"),
    ]


def _after() -> list[str]:
    return [
        *_COMMON,
        tenants(config="shareServers: {addresses: 2},"),
        network("blue", 2, spec="securityServices: [people]"),
        on("red", "keep", spec=_RULE),
        on("blue", "grown", size="20GiB"),
        on("green", "new", spec=_RULE),
        on("green", "moved", spec="replacement: createFirst"),
        share("plain"),
    ]


def prepare(root: Path, driver: str) -> None:
    """Make the repository as it is before the change; one server is unwell, and one address belongs to nobody."""
    del driver
    site = Site(root)
    assert site.write(*_before()).apply().result.succeeded
    site.query("tenants", "UPDATE share_servers SET problem = 'its power failed' WHERE name = 'red-default'")
    leak_address(site)
    site.write(*_after())


def leak_address(site: Site) -> None:
    """Leave an address in the state that no share server has."""
    from sharectl.engine.addresses import StateAddressLedger  # noqa: PLC0415 - needed here alone
    from sharectl.model.kinds import Kind  # noqa: PLC0415 - needed here alone
    from sharectl.model.networks import NetworkAllocation  # noqa: PLC0415 - needed here alone
    from sharectl.network.base import AddressClaim  # noqa: PLC0415 - needed here alone

    with site.store() as store, site.opened(store) as (backends, _), site.locked(store, backends, []) as run:
        with store.read() as reader:
            rows = reader.find(kind=Kind.NETWORK_ALLOCATION)
        ledger = StateAddressLedger(lambda: rows, lambda changes: store.commit(run.lease, changes))
        lost = NetworkAllocation("ghost/0", "ghost", "10.0.9.9", 4, "10.0.9.0/24", None, "flat", None, 1500)
        ledger.claim(AddressClaim("somewhere", "tenants", lost))


def options(site: Site) -> PlanOptions:
    """Return the options of the change."""
    del site
    return UNLIMITED


def asks_again(site: Site) -> bool:
    """Tell whether a second apply is needed where nothing went wrong; nothing here needs one."""
    del site
    return False


def check(site: Site) -> None:
    """Assert that the change has been made, once, with nothing lost and nothing left over."""
    plan = site.plan()
    assert plan.is_empty, [step.step_id for step in plan.steps]
    assert not plan.diagnostics, plan.diagnostics
    view = site.view()
    assert not view.operations
    assert {a for a in view.records if not a.startswith("network_allocation/")} == EXPECTED
    check_servers(site)
    told = {line.entry.verb for line in site.history() if line.entry.outcome != "failed"}
    assert {verb.value for verb in {verb for verb, entry in TABLE.items() if entry.runner is Runner.NETWORK}} <= told, (
        told
    )


def check_servers(site: Site, name: str = "tenants") -> None:
    """Assert that state, backend and accounts of addresses tell the same of servers, shares and addresses."""
    records = site.records()
    servers = {r.resource_id: r for r in records.values() if r.kind == "share_server" and r.backend == name}
    rows: list[tuple[Any, ...]] = site.query(name, "SELECT resource_id, allocations, problem FROM share_servers")
    assert {row[0] for row in rows} == set(servers)
    assert not [row for row in rows if row[2]]
    held = {row[0]: {a["allocation_id"]: a["ip_address"] for a in orjson.loads(row[1])} for row in rows}
    recorded = {i: {a.allocation_id: a.ip_address for a in allocations_of(r)} for i, r in servers.items()}
    assert held == recorded
    claims = [r for r in records.values() if r.kind == "network_allocation" and r.backend == name]
    claimed = {r.resource_id: attributes_of(r)["ip_address"] for r in claims}
    assert claimed == {key: ip for allocations in recorded.values() for key, ip in allocations.items()}
    for share_id, server_id in site.query(name, "SELECT resource_id, share_server_id FROM shares"):
        row = next(r for r in records.values() if r.resource_id == share_id)
        assert share_server_id_of(row) == server_id
        assert server_id in servers
