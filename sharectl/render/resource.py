"""One resource with everything known of it: a share, snapshot or backend, a share server, or a share network."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import orjson

from sharectl.model.codec import codec_of
from sharectl.model.diagnostics import counted, listed
from sharectl.model.kinds import MANAGED_KINDS, Kind, address_of, is_of
from sharectl.model.quantities import approximate_size, format_size
from sharectl.model.specs import DeletionPolicy
from sharectl.model.table import SPECS
from sharectl.mounting.locations import parse_location
from sharectl.planner.saved.document import changes_to_list
from sharectl.planner.share_servers.changes import subnet_label
from sharectl.render.by_default import default_facts, default_objects
from sharectl.render.formats import document, named_fields
from sharectl.render.freshness import freshness_object, time_text
from sharectl.render.mounts_tables import mount_commands
from sharectl.render.sentences import change_action, change_text, shown_field, shown_value
from sharectl.render.state import place_of, record_fields, rule_text, rules_list
from sharectl.render.text import PLAIN, paint, visible
from sharectl.state.rows import allocations_of, attributes_of, server_spec_of, spec_object_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sharectl.model.access import AccessRule
    from sharectl.model.canonical import JsonObject
    from sharectl.model.ignoring import AccessPattern
    from sharectl.model.networks import NetworkAllocation
    from sharectl.model.observed import ObservedShare
    from sharectl.model.records import HistoryEntry, LockStatus, OperationRecord
    from sharectl.model.share_networks import ShareNetworkSubnet
    from sharectl.render.text import Look
    from sharectl.workspace.inspection import ResourceView, ShareNetworkView, ShareServerView

_LABEL_WIDTH: Final = 14
_TOLD_APART: Final = frozenset({"name", "size_bytes", "deletion_policy", "retain_access", "protect", "labels"})


def resource_lines(view: ResourceView, look: Look = PLAIN) -> Iterator[str]:
    """Yield the resource for people; what the backend says now goes before what the state remembers."""
    spec, color = _spec_of(view, recorded=bool(view.wanted)), look.color
    is_share = spec is not None and is_of(Kind.SHARE, view.address)
    yield paint(visible(view.address), "heading", color)
    for label, text in _facts(view, spec):
        yield f"  {label:<{_LABEL_WIDTH}} {visible(text)}"
    yield from _wanted_lines(view, color=color)
    yield from _failure_lines(view.last_failure, color=color)
    if view.rules:
        yield ""
        yield paint("Access", "heading", color)
        for rule in view.rules:
            client_list = view.client_lists.get(rule.rule.key)
            text = f"  {rule_text(rule)}{f'  {visible(client_list)}' if client_list else ''}"
            yield text if rule.status == "active" else paint(text, "error", color)
    elif is_share and view.record is not None:
        yield ""
        yield "Nobody has access: the share has no access rules."
    yield from _ignored_lines(view, color=color)
    if spec is not None and is_share:
        yield from _mount_lines(spec, export_locations(view), color=color)
    if view.used_by:
        yield ""
        yield paint("Shares that use it", "heading", color)
        yield from (f"  {visible(share)}" for share in view.used_by)
    if view.snapshots:
        yield ""
        yield paint("Snapshots", "heading", color)
        for snapshot in view.snapshots:
            size = "" if snapshot.size_bytes is None else f"  {format_size(snapshot.size_bytes)}"
            yield f"  {visible(snapshot.address)}{size}"


def _ignored_lines(view: ResourceView, *, color: bool) -> Iterator[str]:
    """Yield the patterns of access rules that belong to others, each with the rules of the share that it covers now."""
    if not view.ignored:
        return
    yield ""
    yield paint("Left to others (spec.ignore.access of the backend)", "heading", color)
    for pattern, rules in _covered(view):
        yield f"  {visible(f'{pattern.access_type}:{pattern.to}')}{_in_force(view, rules)}"


def _in_force(view: ResourceView, rules: list[AccessRule]) -> str:
    if view.observed is None:
        return ""
    named = ", ".join(f"{visible(rule.key)} {visible(rule.grant)}" for rule in rules)
    return f"  has access: {named}" if named else "  nobody has access by it"


def _covered(view: ResourceView) -> list[tuple[AccessPattern, list[AccessRule]]]:
    others = () if view.observed is None else view.observed.ignored_access
    return [(pattern, [rule for rule in others if pattern.covers(rule)]) for pattern in view.ignored]


def _wanted_lines(view: ResourceView, *, color: bool) -> Iterator[str]:
    """Yield where the manifest differs from the record."""
    if view.wanted:
        yield ""
        yield paint("Changes in its manifest that are not applied yet", "heading", color)
        for change in view.wanted:
            yield f"  {change_action(change).value} {change_text(change)}"


def _failure_lines(entry: HistoryEntry | None, *, color: bool) -> Iterator[str]:
    if entry is not None:
        problem = orjson.loads(entry.detail).get("error") or "no reason is recorded"
        yield ""
        yield paint("Last error", "heading", color)
        yield paint(f"  {visible(entry.at)}  {visible(entry.verb)}: {visible(str(problem))}", "error", color)


def resource_object(view: ResourceView) -> JsonObject:
    """Return the resource as a JSON object, `sharectl-resource` version 1; what is not known is null."""
    spec = _spec_of(view)
    locations = export_locations(view) if is_of(Kind.SHARE, view.address) else ()
    observed = view.observed
    return document(
        "resource",
        address=view.address,
        in_manifests=view.spec is not None,
        spec=spec,
        record=None if view.record is None else record_fields(view.record),
        access=[{**rule, "client_list": view.client_lists.get(key)} for key, rule in _rules_by_key(view)],
        observed=None if observed is None else _observed_fields(observed),
        used_bytes=view.used_bytes,
        export_locations=[] if spec is None else [_location_fields(spec, location) for location in locations],
        snapshots=[snapshot.address for snapshot in view.snapshots],
        settings=view.settings,
        by_default=default_objects(view.by_default),
        used_by=list(view.used_by),
        wanted=changes_to_list(view.wanted),
        last_error=_failure_fields(view.last_failure),
        operations=[_operation_fields(operation) for operation in view.operations],
        view=freshness_object(view.freshness),
        ignored_access=[
            {**pattern._asdict(), "rules": [rule.as_object() for rule in rules]} for pattern, rules in _covered(view)
        ],
    )


def _rules_by_key(view: ResourceView) -> Iterator[tuple[str, JsonObject]]:
    return zip((rule.rule.key for rule in view.rules), rules_list(view.rules), strict=True)


def _observed_fields(observed: ObservedShare) -> JsonObject:
    rules = {"access": observed.access, "ignored_access": observed.ignored_access}
    policy, scheduled = observed.snapshot_policy, observed.scheduled_snapshots
    return {
        **observed._asdict(),
        **{name: [rule.as_object() for rule in found] for name, found in rules.items()},
        "snapshot_policy": None if policy is None else policy.as_plain(),
        "scheduled_snapshots": None if scheduled is None else scheduled._asdict(),
    }


def _operation_fields(operation: OperationRecord) -> JsonObject:
    return named_fields(operation, "operation_id", "run_id", "verb", "started_at")


def _failure_fields(entry: HistoryEntry | None) -> JsonObject | None:
    if entry is None:
        return None
    return {"at": entry.at, "verb": entry.verb, "error": orjson.loads(entry.detail).get("error")}


def _spec_of(view: ResourceView, *, recorded: bool = False) -> JsonObject | None:
    """Return the plain form of the manifest's spec, or of the one last applied where there is no manifest, or that is asked for."""
    if view.spec is not None and not recorded:
        return view.spec.as_plain()
    if view.record is None or view.record.kind not in MANAGED_KINDS:
        return None
    return spec_object_of(view.record)


def export_locations(view: ResourceView) -> tuple[str, ...]:
    """Return where clients find the share: as the backend says now, or as the state remembers."""
    if view.observed is not None:
        return view.observed.export_locations
    if view.record is None:
        return ()
    return tuple(attributes_of(view.record).get("export_locations", ()))


def _location_fields(spec: JsonObject, location: str) -> JsonObject:
    protocol = spec["protocol"]
    parsed = parse_location(protocol, location)
    names = "host", "path", "ip_version"
    place = dict.fromkeys(names) if parsed is None else named_fields(parsed, *names)
    mount = [command._asdict() for command in mount_commands(protocol, location, spec["name"])]
    return {"location": location, **place, "mount": mount}


def _facts(view: ResourceView, spec: JsonObject | None) -> Iterator[tuple[str, str]]:
    yield "status", _status(view, spec)
    yield from _open_facts(view.operations, view.freshness.writer)
    record = view.record
    if record is not None:
        if record.backend is not None:
            yield "place", place_of(record)
        yield "resource id", record.resource_id
    if spec is not None:
        yield from _spec_facts(view, spec)
    for name, value in (view.settings or {}).items():
        if name != "name" and value not in (None, "", {}, [], ()):
            yield name.replace("_", " "), shown_value(value)


def _open_facts(operations: Iterable[OperationRecord], writer: LockStatus | None) -> Iterator[tuple[str, str]]:
    """Yield what has begun on it and has no end yet: it is being changed, or half done."""
    for operation in operations:
        began = f"{operation.verb} began at {operation.started_at}"
        if writer is not None:
            yield "in motion", f"{began}; {writer.holder.name} has been at work since {writer.acquired_at}"
        else:
            yield "half done", f"{began}, and its end is not recorded; the next apply asks its backend"


def _spec_facts(view: ResourceView, spec: JsonObject) -> Iterator[tuple[str, str]]:
    """Yield what was asked for: every field that has not its default, those that belong together on one line."""
    cls: type = SPECS[Kind(view.record.kind)] if view.spec is None and view.record is not None else type(view.spec)
    if "size_bytes" in spec:
        yield from _size_facts(view, spec)
    for name, rule in codec_of(cls).rules.items():
        if name in spec and name not in _TOLD_APART:
            names_one = rule.refers_to in MANAGED_KINDS and isinstance(spec[name], str)
            value = address_of(rule.refers_to, spec[name]) if rule.refers_to and names_one else spec[name]
            yield rule.label or name.replace("_", " "), shown_field(name, value)
    yield from _scheduled_facts(view, spec)
    if view.observed is not None and view.observed.trashed_at is not None:
        yield "in the trash", f"since {view.observed.trashed_at}"
    keeps = ", access stays" if spec.get("retain_access") else ""
    policy = spec.get("deletion_policy", DeletionPolicy.RETAIN)
    yield "deletion", f"{policy}{keeps}{', protected' if spec.get('protect') else ''}"
    if spec.get("labels"):
        yield "labels", ", ".join(f"{key}={value}" for key, value in sorted(spec["labels"].items()))
    yield from default_facts(view.by_default)


def _scheduled_facts(view: ResourceView, spec: JsonObject) -> Iterator[tuple[str, str]]:
    """Yield the policy in force where it is not the share's own, and what there is of the snapshots that it takes."""
    observed = view.observed
    if observed is None:
        return
    if observed.snapshot_policy is not None and "snapshot_policy" not in spec:
        yield "snapshot policy", shown_value(observed.snapshot_policy.as_plain())
    if (found := observed.scheduled_snapshots) is not None:
        kept = f", the oldest of {found.oldest}, the newest of {found.newest}" if found.number else ""
        following = "" if found.next_due is None else f"; the next is due at {found.next_due}"
        yield "scheduled", f"{counted(found.number, 'snapshot')}{kept}{following}"


def _status(view: ResourceView, spec: JsonObject | None) -> str:
    if view.record is None:
        return "in the manifests" if spec is None else "in the manifests, not applied yet"
    if view.spec is None and spec is not None:
        return f"applied; its manifest {'could not be read' if view.manifest_is_unread else 'is gone'}"
    return "applied"


def _size_facts(view: ResourceView, spec: JsonObject) -> Iterator[tuple[str, str]]:
    size_bytes = spec["size_bytes"]
    if view.observed is not None and view.observed.size_bytes is not None:
        size_bytes = view.observed.size_bytes
    size = format_size(size_bytes)
    wanted_bytes = (_spec_of(view) or spec)["size_bytes"]
    if size_bytes != wanted_bytes:
        size += f" (its manifest says {format_size(wanted_bytes)})"
    yield "size", size
    used_bytes = view.used_bytes if view.noted is None or view.used_bytes is not None else view.noted.used_bytes
    if used_bytes is not None:
        share = f", {used_bytes / size_bytes:.0%}" if size_bytes else ""
        seen = "" if view.noted is None or view.used_bytes is not None else f", as seen {time_text(view.noted.seen_at)}"
        yield "used", f"{approximate_size(used_bytes)}{share}{seen}"


def _mount_lines(spec: JsonObject, locations: tuple[str, ...], *, color: bool) -> Iterator[str]:
    if not locations:
        return
    yield ""
    yield paint("Export locations", "heading", color)
    for location in locations:
        yield f"  {visible(location)}"
        for system, command in mount_commands(spec["protocol"], location, spec["name"]):
            yield f"    {system:<8} {visible(command)}"


_FACT_WIDTH: Final = 18


def share_server_lines(view: ShareServerView, look: Look = PLAIN) -> Iterator[str]:
    """Yield the share server: its place, its addresses with what belongs to them, and its shares."""
    spec = server_spec_of(view.record)
    yield paint(visible(view.address), "heading", look.color)
    yield from _fact("status", _server_status(view))
    for label, text in _open_facts(view.operations, None):
        yield from _fact(label, text)
    yield from _fact("backend", view.record.backend)
    yield from _fact("resource id", view.record.resource_id)
    yield from _fact(
        "network", f"{address_of(Kind.SHARE_NETWORK, spec.share_network)}, subnet {subnet_label(spec.subnet)}"
    )
    services = ", ".join(service.name for service in spec.security_services)
    yield from _fact("directory services", services or None)
    yield from _failure_lines(view.last_failure, color=look.color)
    for title, lines in (
        ("Addresses", [_allocation_text(allocation) for allocation in allocations_of(view.record)]),
        ("Shares", [share.address for share in view.shares]),
    ):
        yield ""
        yield paint(title, "heading", look.color)
        yield from (f"  {visible(line)}" for line in lines or ["none"])


def share_server_object(view: ShareServerView) -> JsonObject:
    """Return the share server as a JSON object, `sharectl-share-server` version 1; what is not known is null."""
    return document(
        "share-server",
        address=view.address,
        record=record_fields(view.record),
        allocations=[asdict(allocation) for allocation in allocations_of(view.record)],
        shares=[share.address for share in view.shares],
        observed=None if view.observed is None else view.observed._asdict(),
        last_error=_failure_fields(view.last_failure),
        operations=[_operation_fields(operation) for operation in view.operations],
    )


def share_network_lines(view: ShareNetworkView, look: Look = PLAIN) -> Iterator[str]:
    """Yield the share network: its subnets, its directory services and its share servers."""
    yield paint(visible(view.address), "heading", look.color)
    if view.spec is None:
        yield from _fact("status", "its manifest is gone, and share servers are still on it")
    else:
        yield from _fact("directory services", listed(list(view.spec.security_services), 16) or None)
        yield ""
        yield paint("Subnets", "heading", look.color)
        yield from (f"  {visible(_subnet_text(subnet))}" for subnet in view.spec.subnets)
    yield ""
    yield paint("Share servers", "heading", look.color)
    for record, shares in view.servers:
        addresses = ", ".join(allocation.ip_address for allocation in allocations_of(record))
        yield f"  {visible(record.address)}  {visible(addresses)}  {counted(shares, 'share')}"
    if not view.servers:
        yield "  none: one is made with the first share"


def share_network_object(view: ShareNetworkView) -> JsonObject:
    """Return the share network as a JSON object, `sharectl-share-network` version 1; the spec is null where its manifest is gone."""
    return document(
        "share-network",
        address=view.address,
        spec=None if view.spec is None else asdict(view.spec),
        servers=[
            {
                "address": record.address,
                "backend": record.backend,
                "allocations": [asdict(allocation) for allocation in allocations_of(record)],
                "shares": shares,
            }
            for record, shares in view.servers
        ],
    )


def _server_status(view: ShareServerView) -> str:
    if view.observed is None:
        return "applied"
    return "healthy" if view.observed.healthy else f"not well: {view.observed.problem}"


def _fact(label: str, text: str | None) -> Iterator[str]:
    if text is not None:
        yield f"  {label:<{_FACT_WIDTH}} {visible(text)}"


def _allocation_text(allocation: NetworkAllocation) -> str:
    words = [f"{allocation.ip_address} in {allocation.cidr}"]
    words += [f"gateway {allocation.gateway}"] if allocation.gateway is not None else []
    segment = "" if allocation.segmentation_id is None else f" {allocation.segmentation_id}"
    words += [f"{allocation.network_type}{segment}", f"MTU {allocation.mtu}"]
    words += [f"MAC {allocation.mac_address}"] if allocation.mac_address is not None else []
    words += [f"port {allocation.port_id}"] if allocation.port_id is not None else []
    return ", ".join(words)


def _subnet_text(subnet: ShareNetworkSubnet) -> str:
    found = {name: value for name, value in asdict(subnet).items() if value not in (None, ())}
    found.pop("availability_zone", None)
    parts = (f"{name} {', '.join(value) if isinstance(value, tuple) else value}" for name, value in found.items())
    return f"{subnet_label(subnet)}: {'; '.join(parts) or 'described by the network plugin'}"
