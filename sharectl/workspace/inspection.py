"""Everything that is known of one resource: its manifest, its record, what the backend says, and what failed last; and of tenants' networks and share servers."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from sharectl.drivers.base import DriverError, MeasuresUsage
from sharectl.drivers.share_servers import HandlesShareServers
from sharectl.engine.answers import all_expected, expected, report_of
from sharectl.executors.failures import failure_of
from sharectl.model.diagnostics import DiagnosticError, did_you_mean, error, warning
from sharectl.model.field_changes import plain_changes, rule_changes
from sharectl.model.frozen import dataclass, field
from sharectl.model.ignoring import IgnoreList
from sharectl.model.kinds import MANAGED_KINDS, Kind, address_of, is_of, kind_of, name_of
from sharectl.model.observed import ObservedShare, ObservedShareServer
from sharectl.state.contract import KeepsUsage
from sharectl.state.rows import server_spec_of, share_ref, spec_object_of
from sharectl.workspace.freshness import Freshness, freshness_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sharectl.drivers.base import Driver
    from sharectl.manifests.desired import Desired
    from sharectl.model.canonical import JsonObject
    from sharectl.model.codec import Spec
    from sharectl.model.diagnostics import Diagnostic, Source
    from sharectl.model.field_changes import FieldChange
    from sharectl.model.ignoring import AccessPattern
    from sharectl.model.kinds import Address
    from sharectl.model.records import HistoryEntry, OperationRecord, Record, RuleRecord
    from sharectl.model.share_networks import ShareNetworkSpec
    from sharectl.model.usage import ShareUse
    from sharectl.state.contract import StateReader, StateStore
    from sharectl.workspace.backends import Backends


@dataclass(frozen=True, slots=True)
class ResourceView:
    """What is known of one resource. `spec` is the share's or snapshot's manifest, None where it has none.

    `record` is its row of the state, None where it has not been applied. `observed` is the share as the backend lists it, and
    `used_bytes` what its data occupies; both None where the backend was not asked or did not say. `settings` is the manifest of any other
    kind. `wanted` is where the manifest differs from the record, `last_failure` the last thing that failed and has not
    been done since. `manifest_is_unread` where there may be a manifest that could not be read. `ignored` are the access rules of
    others that the share's backend is told to leave alone. `client_lists` are the ClientLists in which the clients of access rules stand, by
    the key of the rule; `used_by` are the shares that use a ClientList. `operations` have begun on it, and their ends are not recorded.
    `by_default` are the fields (`spec.type`) that the project's defaults give it, with their places. `noted` is its use as it was last noted; `freshness` says how old all is that the backend was not asked for.
    """

    address: Address
    spec: Spec | None
    record: Record | None
    rules: tuple[RuleRecord, ...] = ()
    snapshots: tuple[Record, ...] = ()
    observed: ObservedShare | None = None
    used_bytes: int | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    settings: JsonObject | None = None
    wanted: tuple[FieldChange, ...] = ()
    last_failure: HistoryEntry | None = None
    manifest_is_unread: bool = False
    ignored: tuple[AccessPattern, ...] = ()
    client_lists: Mapping[str, Address] = field(default_factory=dict)
    used_by: tuple[Address, ...] = ()
    operations: tuple[OperationRecord, ...] = ()
    by_default: Mapping[str, Source | None] = field(default_factory=dict)
    noted: ShareUse | None = None
    freshness: Freshness = Freshness()


def inspect_resource(  # noqa: PLR0913 - the three that may know of it, and how closely they are asked
    desired: Desired, store: StateStore, backends: Backends, address: Address, *, ask: bool, nearest: Callable[[], str]
) -> ResourceView:
    """Return what manifests, state and, if `ask`, the backend know of the resource.

    Raises DiagnosticError where nobody does, with what `nearest` says may have been meant.
    """
    with store.read() as reader:
        record = reader.record(address)
        rules = reader.rules((address,)).get(address, ())
        is_share = record is not None and record.kind == Kind.SHARE
        snapshots = tuple(reader.children(record).values()) if record is not None and is_share else ()
        pinned = None if record is None else _identity_of(reader, record)
        operations = reader.operations(address=address)
    settings = settings_of(desired, address)
    if record is None and address not in desired.digests and settings is None:
        remedy = nearest() or "`sharectl state list` names what there is"
        summary = f"neither the manifests nor the state have {address}"
        raise DiagnosticError(error("show.unknown", summary, remedy=remedy, address=address))
    spec = desired.spec(address) if address in desired.digests else None
    view = ResourceView(
        address,
        spec,
        record,
        rules,
        snapshots,
        settings=settings,
        wanted=wanted_changes(desired, address, record, rules),
        last_failure=last_failure(store, address),
        ignored=_ignored_access(desired, record) if is_share else (),
        client_lists=desired.clients_of_lists(address) if is_of(Kind.SHARE, address) and spec is not None else {},
        used_by=tuple(desired.users_of(address)) if is_of(Kind.CLIENT_LIST, address) else (),
        operations=operations,
        by_default=desired.by_default(address),
        noted=_noted_use(store, record) if is_share else None,
        freshness=freshness_of(store),
    )
    if not ask or record is None or record.kind != Kind.SHARE:
        return view
    observed, used_bytes, diagnostics = _ask(backends, record, pinned)
    return replace(view, observed=observed, used_bytes=used_bytes, diagnostics=diagnostics)


def _noted_use(store: StateStore, record: Record | None) -> ShareUse | None:
    if record is None or not isinstance(store, KeepsUsage):
        return None
    return store.usage_notes().usage([record.resource_id]).get(record.resource_id)


def _ignored_access(desired: Desired, record: Record | None) -> tuple[AccessPattern, ...]:
    backend = None if record is None else desired.backends.get(record.backend or "")
    return () if backend is None else IgnoreList.from_plain(backend.ignore).access


def _identity_of(reader: StateReader, record: Record) -> str | None:
    """Return the identity that the state pinned of the resource's backend."""
    backend = reader.record(address_of(Kind.BACKEND, record.backend or ""))
    return None if backend is None else backend.resource_id


def _ask(
    backends: Backends, record: Record, pinned: str | None
) -> tuple[ObservedShare | None, int | None, tuple[Diagnostic, ...]]:
    try:
        driver = backends.driver(record.backend or "")
        if pinned is not None and report_of(driver).identity != pinned:
            other = warning(
                "backend.identity",
                f"backend {record.backend} is not the storage that the state knows; nothing that it says is shown",
                remedy="mount or connect the right storage; `sharectl plan` says more",
                address=record.address,
            )
            return None, None, (other,)
        listed = all_expected("list_shares", ObservedShare, driver.list_shares([record.resource_id]))
        observed = next(iter(listed), None)
        if observed is None:
            gone = warning(
                "share.gone", f"{record.address} is not on backend {record.backend} any more", address=record.address
            )
            return None, None, (gone,)
        used_bytes = _used_bytes(driver, record)
    except Exception as problem:  # noqa: BLE001 - the driver may be anybody's
        silent = warning(
            "backend.unknown",
            f"backend {record.backend} could not be asked: {failure_of(problem).message}",
            detail="what is shown is what the state last knew.",
            address=record.address,
        )
        return None, None, (silent,)
    return observed, used_bytes, ()


def _used_bytes(driver: Driver, record: Record) -> int | None:
    """Return what the share's data takes; None where the driver cannot say, or not now."""
    try:
        if not isinstance(driver, MeasuresUsage):
            return None
        return expected("used_bytes", int, driver.used_bytes(share_ref(record)))
    except DriverError:
        return None


_LOOKED_THROUGH = 50
"""So many entries of the history are read at most: whatever failed before that has been mended, or was tried again since."""


def settings_of(desired: Desired, address: Address) -> JsonObject | None:
    """Return the manifest of a resource other than a share or a snapshot; None where there is none."""
    spec = desired.settings.get(kind_of(address), {}).get(name_of(address))
    return None if spec is None else asdict(spec)


def wanted_changes(
    desired: Desired, address: Address, record: Record | None, rules: Sequence[RuleRecord]
) -> tuple[FieldChange, ...]:
    """Return where the manifest differs from what the state records; nothing where one of them is missing."""
    if record is None or address not in desired.digests or record.kind not in MANAGED_KINDS:
        return ()
    before, after = spec_object_of(record), desired.plain(address)
    if record.kind == Kind.SHARE and record.size_bytes is not None:
        before = {**before, "size_bytes": record.size_bytes}
    changes = plain_changes(before, after)
    if record.kind == Kind.SHARE:
        changes += rule_changes([rule.rule for rule in rules if rule.status == "active"], desired.access(address))
    return changes


def last_failure(store: StateStore, address: Address) -> HistoryEntry | None:
    """Return the last thing that failed at the address and has not been done since; None where there is none."""
    done: set[str] = set()
    for line in store.history(address=address, limit=_LOOKED_THROUGH):
        if line.entry.outcome != "failed":
            done.add(line.entry.verb)
        elif line.entry.verb not in done:
            return line.entry
    return None


def inspect_access_rule(desired: Desired, store: StateStore, address: Address) -> ResourceView:
    """Return what the manifests say of the document of an access rule, of which the state has no row. Raises DiagnosticError where there is none."""
    documents = desired.access_rules()
    rule = documents.get(name_of(address))
    if rule is None:
        known = [address_of(Kind.ACCESS_RULE, name) for name in sorted(documents)]
        remedy = (
            did_you_mean(address, known) or "a rule that stands in its share is shown with `sharectl show share/NAME`"
        )
        raise DiagnosticError(error("show.unknown", f"the manifests have no {address}", remedy=remedy, address=address))
    settings = {
        "type": rule.access_type,
        "to": rule.access_to,
        "level": rule.access_level,
        **(rule.options or {}),
        "labels": rule.labels,
    }
    return ResourceView(
        address, None, None, settings=settings, used_by=tuple(sorted(rule.shares)), freshness=freshness_of(store)
    )


@dataclass(frozen=True, slots=True)
class ShareServerView:
    """What is known of one share server. `observed` is the server as its backend lists it, None where it did not say."""

    address: Address
    record: Record
    shares: tuple[Record, ...]
    observed: ObservedShareServer | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    operations: tuple[OperationRecord, ...] = ()
    last_failure: HistoryEntry | None = None


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
        operations = reader.operations(address=address)
    if record is None:
        remedy = did_you_mean(address, servers) or "a share server is made with the first share on its network"
        raise DiagnosticError(error("show.unknown", f"the state has no {address}", remedy=remedy, address=address))
    view = ShareServerView(address, record, shares, operations=operations, last_failure=last_failure(store, address))
    if not ask:
        return view
    observed, problem = _ask_for_server(backends, record)
    return replace(view, observed=observed, diagnostics=() if problem is None else (problem,))


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


def _ask_for_server(backends: Backends, record: Record) -> tuple[ObservedShareServer | None, Diagnostic | None]:
    address, backend = record.address, record.backend or ""
    try:
        driver = backends.driver(backend)
        listed = driver.list_share_servers([record.resource_id]) if isinstance(driver, HandlesShareServers) else ()
        found = all_expected("list_share_servers", ObservedShareServer, listed)
    except Exception as problem:  # noqa: BLE001 - the driver may be anybody's
        summary = f"backend {backend} could not be asked: {failure_of(problem).message}"
        detail = "what is shown is what the state last knew."
        return None, warning("backend.unknown", summary, detail=detail, address=address)
    if not found:
        return None, warning("share_server.gone", f"{address} is not on backend {backend} any more", address=address)
    return found[0], None
