"""A small world to plan in: what the manifests want, what the state has, and what the backends really hold."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson

from sharectl.drivers.base import Capability
from sharectl.model.access import AccessRule
from sharectl.model.backends import BackendSpec
from sharectl.model.diagnostics import error
from sharectl.model.networks import NetworkAllocation
from sharectl.model.observed import BackendReport, ObservedShare, ObservedShareServer, ObservedSnapshot, PoolReport
from sharectl.model.quantities import GIB, parse_size
from sharectl.model.records import OperationRecord, StateView
from sharectl.model.settings import SafetyLimits
from sharectl.model.share_networks import SecurityServiceSpec, ShareNetworkSpec, ShareNetworkSubnet
from sharectl.model.specs import RevertRequest, SchedulerHints, ShareSpec, ShareTypeSpec, SnapshotSpec
from sharectl.plan import plan
from sharectl.planner.draft import Draft
from sharectl.planner.exports import NO_EXPORTS
from sharectl.planner.observed import BackendObservation, ServerObservation, find_deviations
from sharectl.planner.options import Import, PlanOptions
from sharectl.planner.records import with_spec
from sharectl.planner.selection import addresses_with_rules, compare
from sharectl.scheduler.pools import pool_from_report
from tests.desired import desired_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.manifests.desired import Desired
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.plans import Plan
    from sharectl.model.records import Record, RuleRecord
    from sharectl.scheduler.pools import Pool

EVERYTHING = frozenset(Capability)


def rule(text: str) -> AccessRule:
    """Return the rule that `ip:10.0.0.0/8=rw` says."""
    key, _, level = text.partition("=")
    access_type, _, access_to = key.partition(":")
    return AccessRule(access_type, access_to, level or "rw")


def share(name: str, size: str = "1GiB", **fields: Any) -> ShareSpec:  # noqa: ANN401 - the fields of a ShareSpec
    """Return an NFS share; hints are given by their own names, `revert_to` as snapshot and request."""
    if isinstance(fields.get("revert_to"), list):
        fields["revert_to"] = RevertRequest(*fields["revert_to"])
    hints = {key: fields.pop(key) for key in ("same_host", "different_host", "only_host") if key in fields}
    if hints:
        fields["hints"] = SchedulerHints(
            **{key: tuple(value) if isinstance(value, list) else value for key, value in hints.items()}
        )
    return ShareSpec(name, parse_size(size), fields.pop("protocol", "NFS"), **fields)


def allocation(allocation_id: str, server_id: str, ip_address: str) -> NetworkAllocation:
    """Return an address as a network service would give it."""
    return NetworkAllocation(allocation_id, server_id, ip_address, 4, "10.0.0.0/24", "10.0.0.1", "vlan", 7, 1500)


@dataclass
class Backend:
    """What one backend really holds, and how it answers."""

    spec: BackendSpec
    capabilities: frozenset[Capability] = EVERYTHING
    pools: dict[str, int] = field(default_factory=lambda: {"p1": 1000, "p2": 1000})
    shares: dict[str, ObservedShare] = field(default_factory=dict)
    snapshots: dict[str, ObservedSnapshot] = field(default_factory=dict)
    unmanaged: list[ObservedShare] = field(default_factory=list)
    identity: str | None = None
    clones_within: str = "backend"
    error: str | None = None
    asked: bool = True
    asked_ids: frozenset[str] | None = None
    servers: dict[str, ObservedShareServer] = field(default_factory=dict)
    unmanaged_servers: list[ObservedShareServer] = field(default_factory=list)
    allocations: dict[str, NetworkAllocation] = field(default_factory=dict)
    address_count: int = 1
    most_servers: int | None = None
    network_error: str | None = None
    findings: dict[str, tuple[Diagnostic, ...]] = field(default_factory=dict)


class World:
    """Manifests, state and backends; everything starts empty, with one capable backend called nas."""

    def __init__(self, *backends: str, **fields: Any) -> None:  # noqa: ANN401 - the fields of a BackendSpec
        """Have these backends (nas, unless named), alike."""
        self.shares: dict[str, ShareSpec] = {}
        self.access: dict[str, list[AccessRule]] = {}
        self.snapshots: dict[str, SnapshotSpec] = {}
        self.share_types: dict[str, ShareTypeSpec] = {}
        self.networks: dict[str, ShareNetworkSpec] = {}
        self.services: dict[str, SecurityServiceSpec] = {}
        self.moves: dict[str, tuple[str, ...]] = {}
        self.backends: dict[str, Backend] = {}
        self.declared: set[str] = set()
        self.records: dict[str, Record] = {}
        self.rules: dict[str, tuple[RuleRecord, ...]] = {}
        self.operations: tuple[OperationRecord, ...] = ()
        self.ids = Counter[str]()
        for name in backends or ("nas",):
            self.has_backend(name, **fields)

    # -- what the manifests want

    def wants(self, name: str, size: str = "1GiB", *, access: list[str] | None = None, **fields: Any) -> World:  # noqa: ANN401 - parts of documents have many types
        """Describe a share, or describe it anew."""
        self.shares[name] = share(name, size, **fields)
        self.access[f"share/{name}"] = [rule(text) for text in access or ()]
        return self

    def wants_snapshot(self, name: str, of: str, **fields: Any) -> World:  # noqa: ANN401 - the fields of a SnapshotSpec
        """Describe a snapshot."""
        self.snapshots[name] = SnapshotSpec(name, of, **fields)
        return self

    def has_type(self, name: str, **extra_specs: str) -> World:
        """Describe a share type."""
        self.share_types[name] = ShareTypeSpec(name, {key.replace("__", ":"): v for key, v in extra_specs.items()})
        return self

    def has_backend(
        self,
        name: str,
        *,
        lacks: list[str] | None = None,
        pools: dict[str, int] | None = None,
        clones_within: str = "backend",
        limits: dict[str, Any] | None = None,
        **fields: Any,  # noqa: ANN401 - the fields of a BackendSpec
    ) -> World:
        """Describe a backend, and let there be one; `limits` are those of the simulated driver, which its factory tells of."""
        without = EVERYTHING - {Capability(word) for word in lacks or ()}
        config = {} if limits is None else {"stateFile": f"{name}.db", "limits": limits}
        backend = Backend(BackendSpec(name, "simulated", config, **fields), without, clones_within=clones_within)
        known = self.backends.get(name)
        if known is not None:
            known.spec, known.capabilities = backend.spec, backend.capabilities
            backend = known
        if pools is not None:
            backend.pools = dict(pools)
        self.backends[name] = backend
        self.declared.add(name)
        return self

    def has_network(self, name: str, *zones: str | None, services: list[str] | None = None, **fields: Any) -> World:  # noqa: ANN401 - parts of documents have many types
        """Describe a share network with a subnet for each zone (one for all of them, unless named), alike, or describe it anew."""
        fields = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
        subnets = [
            ShareNetworkSubnet(availability_zone=zone, **{"cidr": "10.0.0.0/24", **fields}) for zone in zones or (None,)
        ]
        self.networks[name] = ShareNetworkSpec(name, tuple(subnets), tuple(services or ()))
        return self

    def has_service(self, name: str, **config: Any) -> World:  # noqa: ANN401 - parts of documents have many types
        """Describe a directory service, or describe it anew."""
        self.services[name] = SecurityServiceSpec(name, "ldap", config)
        return self

    def has_tenants(
        self,
        name: str,
        *,
        most_servers: int | None = None,
        address_count: int = 1,
        **fields: Any,  # noqa: ANN401 - the fields of a BackendSpec
    ) -> World:
        """Describe a backend with share servers, and let there be one."""
        self.has_backend(name, share_servers=True, **fields)
        self.backends[name].most_servers = most_servers
        self.backends[name].address_count = address_count
        return self

    def drops(self, *addresses: str) -> World:
        """Take manifests away."""
        for address in addresses:
            kind, _, name = address.partition("/")
            if kind == "share":
                del self.shares[name]
                del self.access[address]
            elif kind == "snapshot":
                del self.snapshots[name]
            elif kind == "share_network":
                del self.networks[name]
            else:
                self.declared.remove(name)
        return self

    def renames(self, former: str, address: str) -> World:
        """Give a share or snapshot another name, and say so in its annotation."""
        kind, _, name = address.partition("/")
        old = former.partition("/")[2]
        if kind == "share":
            self.shares[name] = replace(self.shares.pop(old), name=name)
            self.access[address] = self.access.pop(former)
            for snapshot in self.snapshots.values():
                if snapshot.share == old:
                    self.snapshots[snapshot.name] = replace(snapshot, share=name)
        else:
            self.snapshots[name] = replace(self.snapshots.pop(old), name=name)
            for spec in self.shares.values():
                if spec.source_snapshot == old:
                    self.shares[spec.name] = replace(self.shares[spec.name], source_snapshot=name)
                if spec.revert_to is not None and spec.revert_to.snapshot == old:
                    revert_to = replace(spec.revert_to, snapshot=name)
                    self.shares[spec.name] = replace(self.shares[spec.name], revert_to=revert_to)
        self.moves[address] = (former,)
        return self

    # -- what happens by hand on the backends

    def observed_share(self, address: str) -> ObservedShare:
        """Return the share as it really is."""
        record = self.records[address]
        return self.backends[record.backend or ""].shares[record.resource_id]

    def by_hand(self, address: str, **changes: Any) -> World:  # noqa: ANN401 - the fields of an ObservedShare
        """Change a share behind sharectl's back."""
        record = self.records[address]
        shares = self.backends[record.backend or ""].shares
        if "access" in changes:
            changes["access"] = [rule(text) if isinstance(text, str) else text for text in changes["access"]]
        changes = {name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()}
        shares[record.resource_id] = shares[record.resource_id]._replace(**changes)
        return self

    def vanishes(self, *addresses: str) -> World:
        """Take shares and snapshots from their backends behind sharectl's back."""
        for address in addresses:
            record = self.records[address]
            backend = self.backends[record.backend or ""]
            held: dict[str, dict[str, Any]] = {
                "share": backend.shares,
                "snapshot": backend.snapshots,
                "share_server": backend.servers,
            }
            held[record.kind].pop(record.resource_id, None)
        return self

    def breaks_server(self, address: str, problem: str = "it does not answer") -> World:
        """Let a share server be unwell."""
        record = self.records[address]
        servers = self.backends[record.backend or ""].servers
        servers[record.resource_id] = servers[record.resource_id]._replace(healthy=False, problem=problem)
        return self

    def loses_allocation(self, address: str, number: int = 0) -> World:
        """Take an address of a share server from the network service behind sharectl's back."""
        record = self.records[address]
        del self.backends[record.backend or ""].allocations[f"{record.resource_id}/{number}"]
        return self

    def leaks(self, backend: str, server_id: str) -> World:
        """Let the network service hold an address for a share server that is nowhere."""
        self.backends[backend].allocations[f"{server_id}/0"] = allocation(f"{server_id}/0", server_id, "10.0.0.99")
        return self

    def finds(self, backend: str, network: str, summary: str) -> World:
        """Let the network service have a reason against a server on the network."""
        self.backends[backend].findings[network] = (error("network.exhausted", summary),)
        return self

    def silences_network(self, backend: str) -> World:
        """Let a backend's network service be out of reach."""
        self.backends[backend].network_error = "connection refused"
        return self

    def holds_server(self, backend: str, name: str) -> World:
        """Let a backend hold a share server that sharectl did not make."""
        self.backends[backend].unmanaged_servers.append(ObservedShareServer(None, name, name, ("10.0.0.77",)))
        return self

    def silences(self, backend: str) -> World:
        """Let a backend be out of reach."""
        self.backends[backend].error = "no route to host"
        return self

    def is_swapped(self, backend: str, identity: str | None) -> World:
        """Put another storage behind a backend's name."""
        self.backends[backend].identity = identity
        return self

    def is_not_asked(self, backend: str) -> World:
        """Do not ask a backend what it holds."""
        self.backends[backend].asked = False
        return self

    def is_asked_for(self, backend: str, *addresses: str) -> World:
        """Ask a backend for these resources alone."""
        self.backends[backend].asked_ids = frozenset(self.records[address].resource_id for address in addresses)
        return self

    def cuts_short(self, address: str) -> World:
        """Leave behind what a recovery records of a revert that was cut short."""
        record = self.records[address]
        spec = ShareSpec.from_plain(orjson.loads(record.spec))
        wanted = self.shares[address.removeprefix("share/")].revert_to
        assert wanted is not None
        begun = replace(spec, revert_to=replace(wanted, cut_short=True))
        self.records[address] = with_spec(record, begun)._replace(version=record.version + 1)
        return self

    def loses_row(self, address: str) -> World:
        """Take a row out of the state, as `state rm` does."""
        del self.records[address]
        return self

    def leaves_open(self, *addresses: str) -> World:
        """Leave intents open, the last the oldest."""
        self.operations = tuple(
            OperationRecord(f"o{n}", "r", address, "create-share", f"i{n}", "nas", "p1", f"2026-01-0{9 - n}", b"{}")
            for n, address in enumerate(addresses)
        )
        return self

    def holds_unmanaged(self, backend: str, backend_id: str, size: str | None = "1GiB", **fields: Any) -> World:  # noqa: ANN401 - parts of documents have many types
        """Let a backend hold a share that sharectl did not make."""
        size_bytes = None if size is None else parse_size(size)
        found = ObservedShare(None, backend_id, backend_id, "p1", size_bytes, fields.pop("protocol", "NFS"), **fields)
        self.backends[backend].unmanaged.append(found)
        return self

    def holds_foreign(self, backend: str, name: str, pool: str = "p1", **fields: Any) -> World:  # noqa: ANN401 - the fields of an ObservedShare
        """Let a backend hold a share that another state manages."""
        self.ids["foreign"] += 1
        resource_id = f"{self.ids['foreign']:08d}-foreign"
        found = ObservedShare(resource_id, f"{name}-{resource_id[:8]}", name, pool, GIB, "NFS", **fields)
        self.backends[backend].shares[resource_id] = found
        return self

    def loses_state(self) -> World:
        """Take everything from the state, as the loss of its file does."""
        self.records.clear()
        self.rules.clear()
        self.operations = ()
        return self

    # -- planning

    def draft(self) -> Draft:
        """Return a plan that is about to be made."""
        view = self.view()
        return Draft(self.desired(), view, self.observed(), self.options(), {}, dict(view.records))

    def desired(self) -> Desired:
        """Return what the manifests want."""
        return desired_of(
            shares=self.shares.values(),
            access=self.access,
            snapshots=self.snapshots.values(),
            backends=[backend.spec for name, backend in self.backends.items() if name in self.declared],
            share_types=self.share_types.values(),
            share_networks=self.networks.values(),
            security_services=self.services.values(),
            moves={address: former for address, former in self.moves.items() if self._is_wanted(address)},
        )

    def view(self) -> StateView:
        """Return the state."""
        return StateView("world", len(self.records), dict(self.records), self.operations, dict(self.rules))

    def observed(self) -> Mapping[str, BackendObservation]:
        """Return what the declared backends answer."""
        return {name: self._observation(self.backends[name]) for name in self.declared}

    def pools(self) -> list[Pool]:
        """Return the pools of the backends that answer."""
        found = []
        for name in sorted(self.declared):
            backend = self.backends[name]
            if backend.error is None and backend.spec.enabled:
                report = BackendReport(backend.identity, ("NFS", "CIFS"))
                for pool, total_gib in backend.pools.items():
                    used = sum(s.size_bytes or 0 for s in backend.shares.values() if s.pool == pool)
                    figures = PoolReport(pool, total_gib * GIB, total_gib * GIB - used, used)
                    found.append(pool_from_report(backend.spec, report, figures, backend.capabilities))
        return found

    def options(self, **words: Any) -> PlanOptions:  # noqa: ANN401 - the fields of PlanOptions, as lists and texts
        """Return the options of a plan; `imports` are `{address: backend:backend_id}`, `limits` is `[floor, percentage]`."""
        for name in ("targets", "excludes", "backends", "replaces", "override_protection"):
            if name in words:
                words[name] = frozenset(words[name])
        if "imports" in words:
            words["imports"] = {a: Import(*text.split(":", 1)) for a, text in words["imports"].items()}
        if "limits" in words:
            floor, percentage = words["limits"]
            words["limits"] = SafetyLimits(percentage, floor)
        return PlanOptions(**words)

    def plan(self, **words: Any) -> Plan:  # noqa: ANN401 - see options()
        """Plan, with the access rules alone that the planner asks to see."""
        desired, view, observed, options = self.desired(), self.view(), self.observed(), self.options(**words)
        compared = compare(desired, view.records, destroy=options.destroy)
        asked = addresses_with_rules(desired, view, compared, find_deviations(view, observed), options, NO_EXPORTS)
        rules = {address: rules for address, rules in view.rules.items() if address in asked}
        view = replace(view, rules=rules, rules_total=sum(map(len, view.rules.values())))
        return plan(desired, view, observed, self.pools(), options)

    def _is_wanted(self, address: str) -> bool:
        kind, _, name = address.partition("/")
        return name in (self.shares if kind == "share" else self.snapshots)

    def _observation(self, backend: Backend) -> BackendObservation:
        name = backend.spec.name
        if backend.error is not None or not backend.asked:
            return BackendObservation(name, backend.capabilities, error=backend.error)
        return BackendObservation(
            name,
            backend.capabilities,
            BackendReport(backend.identity, ("NFS", "CIFS"), max_share_servers=backend.most_servers),
            dict(backend.shares),
            dict(backend.snapshots) if Capability.SNAPSHOT in backend.capabilities else None,
            tuple(backend.unmanaged),
            "pool" if backend.clones_within == "pool" else "backend",
            asked_ids=backend.asked_ids,
            servers=self._servers(backend) if backend.spec.share_servers else None,
        )

    def _servers(self, backend: Backend) -> ServerObservation:
        failed = backend.network_error is not None
        return ServerObservation(
            servers=dict(backend.servers),
            unmanaged=tuple(backend.unmanaged_servers),
            allocations=None if failed else dict(backend.allocations),
            network_error=backend.network_error,
            address_count=backend.address_count,
            findings=dict(backend.findings),
        )


def step_lines(result: Plan) -> list[str]:
    """Return the steps as text: action, verb, address, the changed fields in brackets, and what is waited for."""
    lines = []
    for step in result.steps:
        waits = f" after {', '.join(step.waits_for)}" if step.waits_for else ""
        lines.append(f"{step.action} {step.verb} {step.address}{waits}")
    return lines


def change_lines(result: Plan) -> list[str]:
    """Return all changes of fields as text."""
    return [
        f"{step.verb} {step.address} {change.field}: {change.before} -> {change.after}"
        for step in result.steps
        for change in step.changes
    ]


def drift_lines(result: Plan) -> list[str]:
    """Return the drift as text, with what repairs it."""
    return [
        f"{drift.kind} {drift.address} [{', '.join(change.field for change in drift.changes)}]"
        + (f" by {drift.repaired_by}" if drift.repaired_by else "")
        for drift in result.drift
    ]


def codes(result: Plan) -> list[str]:
    """Return the codes of the diagnostics with their addresses."""
    return [f"{diagnostic.code} {diagnostic.address or ''}".strip() for diagnostic in result.diagnostics]


def held_lines(result: Plan) -> list[str]:
    """Return what is left undone as text: the address, its verbs, and for which other address it is held."""
    return [
        " ".join((each.address, *each.verbs, *(() if each.cause == each.address else ("for", each.cause))))
        for each in result.held
    ]
