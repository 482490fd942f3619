"""One resource with everything known of it: what it is, where, who may reach it, and how to mount it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import orjson

from sharectl.model.kinds import Kind, address_of
from sharectl.model.quantities import approximate_size, format_size
from sharectl.model.specs import ShareSpec, SnapshotSpec
from sharectl.mounting.locations import parse_location
from sharectl.planner.saved.document import changes_to_list
from sharectl.render.mounting import mount_commands
from sharectl.render.paint import paint
from sharectl.render.state_tables import place_of, record_fields, rule_text, rules_list
from sharectl.render.text import PLAIN, visible
from sharectl.render.values import change_action, change_text, shown_value
from sharectl.state.rows import attributes_of, spec_object_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.model.canonical import JsonObject
    from sharectl.render.text import Look
    from sharectl.workspace.inspection import ResourceView

FORMAT: Final = "sharectl-resource"
VERSION: Final = 1
_LABEL_WIDTH: Final = 14


def resource_lines(view: ResourceView, look: Look = PLAIN) -> Iterator[str]:
    """Yield the resource for people; what the backend says now goes before what the state remembers."""
    spec, color = recorded_spec(view), look.color
    yield paint(visible(view.address), "heading", color)
    for label, text in _facts(view, spec):
        yield f"  {label:<{_LABEL_WIDTH}} {visible(text)}"
    yield from _wanted_lines(view, color=color)
    if view.rules:
        yield ""
        yield paint("Access", "heading", color)
        for rule in view.rules:
            text = f"  {rule_text(rule)}"
            yield text if rule.status == "active" else paint(text, "error", color)
    elif isinstance(spec, ShareSpec) and view.record is not None:
        yield ""
        yield "Nobody has access: the share has no access rules."
    if isinstance(spec, ShareSpec):
        yield from _mount_lines(spec, export_locations(view), color=color)
    if view.snapshots:
        yield ""
        yield paint("Snapshots", "heading", color)
        for snapshot in view.snapshots:
            size = "" if snapshot.size_bytes is None else f"  {format_size(snapshot.size_bytes)}"
            yield f"  {visible(snapshot.address)}{size}"


def _wanted_lines(view: ResourceView, *, color: bool) -> Iterator[str]:
    """Yield what the manifest wants otherwise, and what failed when that was last tried."""
    if view.wanted:
        yield ""
        yield paint("Wanted by its manifest, and not so yet", "heading", color)
        for change in view.wanted:
            yield f"  {change_action(change).value} {change_text(change)}"
    if view.last_failure is not None:
        entry = view.last_failure
        problem = orjson.loads(entry.detail).get("error") or "no reason is recorded"
        yield ""
        yield paint("Last error", "heading", color)
        yield paint(f"  {visible(entry.at)}  {visible(entry.verb)}: {visible(str(problem))}", "error", color)


def resource_object(view: ResourceView) -> JsonObject:
    """Return the resource as a JSON object, `sharectl-resource` version 1; what is not known is null."""
    spec = applied_spec(view)
    locations = export_locations(view)
    observed = view.observed
    return {
        "format": FORMAT,
        "version": VERSION,
        "address": view.address,
        "in_manifests": view.spec is not None,
        "spec": None if spec is None else spec.as_plain(),
        "record": None if view.record is None else record_fields(view.record),
        "access": rules_list(view.rules),
        "observed": None
        if observed is None
        else observed._asdict() | {"access": [r._asdict() for r in observed.access]},
        "used_bytes": view.used_bytes,
        "export_locations": [_location_fields(spec.protocol, location, spec.name) for location in locations]
        if isinstance(spec, ShareSpec)
        else [],
        "snapshots": [snapshot.address for snapshot in view.snapshots],
        "settings": view.settings,
        "wanted": changes_to_list(view.wanted),
        "last_error": _failure_fields(view),
    }


def _failure_fields(view: ResourceView) -> JsonObject | None:
    entry = view.last_failure
    if entry is None:
        return None
    return {"at": entry.at, "verb": entry.verb, "error": orjson.loads(entry.detail).get("error")}


def recorded_spec(view: ResourceView) -> ShareSpec | SnapshotSpec | None:
    """Return the spec that was last applied where the manifest wants another; else the manifest's, as `applied_spec`."""
    return applied_spec(replace(view, spec=None)) if view.wanted else applied_spec(view)


def applied_spec(view: ResourceView) -> ShareSpec | SnapshotSpec | None:
    """Return the manifest's spec, or the one last applied where there is no manifest any more; None for other kinds."""
    if view.spec is not None or view.record is None:
        return view.spec
    plain = spec_object_of(view.record)
    if view.record.kind == Kind.SHARE:
        return ShareSpec.from_plain(plain)
    return SnapshotSpec.from_plain(plain) if view.record.kind == Kind.SNAPSHOT else None


def export_locations(view: ResourceView) -> tuple[str, ...]:
    """Return where clients find the share: as the backend says now, or as the state remembers."""
    if view.observed is not None:
        return view.observed.export_locations
    if view.record is None:
        return ()
    return tuple(attributes_of(view.record).get("export_locations", ()))


def _location_fields(protocol: str, location: str, name: str) -> JsonObject:
    parsed = parse_location(protocol, location)
    return {
        "location": location,
        "host": None if parsed is None else parsed.host,
        "path": None if parsed is None else parsed.path,
        "ip_version": None if parsed is None else parsed.ip_version,
        "mount": [command._asdict() for command in mount_commands(protocol, location, name)],
    }


def _facts(view: ResourceView, spec: ShareSpec | SnapshotSpec | None) -> Iterator[tuple[str, str]]:
    yield "status", _status(view, spec)
    record = view.record
    if record is not None:
        if record.backend is not None:
            yield "place", place_of(record)
        yield "resource id", record.resource_id
    if isinstance(spec, ShareSpec):
        yield from _share_facts(view, spec)
    elif spec is not None:
        yield "snapshot of", address_of(Kind.SHARE, spec.share)
    if spec is not None:
        keeps = ", access stays" if isinstance(spec, ShareSpec) and spec.retain_access else ""
        yield "deletion", f"{spec.deletion_policy}{keeps}{', protected' if spec.protect else ''}"
        if spec.labels:
            yield "labels", ", ".join(f"{key}={value}" for key, value in sorted(spec.labels.items()))
    for name, value in (view.settings or {}).items():
        if name != "name" and value not in (None, "", {}, [], ()):
            yield name.replace("_", " "), shown_value(value)


def _status(view: ResourceView, spec: ShareSpec | SnapshotSpec | None) -> str:
    if view.record is None:
        return "in the manifests" if spec is None else "in the manifests, not applied yet"
    if view.spec is None and spec is not None:
        return f"applied; its manifest {'could not be read' if view.manifest_is_unread else 'is gone'}"
    return "applied"


def _share_facts(view: ResourceView, spec: ShareSpec) -> Iterator[tuple[str, str]]:
    size_bytes = spec.size_bytes
    if view.observed is not None and view.observed.size_bytes is not None:
        size_bytes = view.observed.size_bytes
    size = format_size(size_bytes)
    wanted_bytes = view.spec.size_bytes if isinstance(view.spec, ShareSpec) else spec.size_bytes
    if size_bytes != wanted_bytes:
        size += f" (its manifest says {format_size(wanted_bytes)})"
    yield "size", size
    if view.used_bytes is not None:
        share = f", {view.used_bytes / size_bytes:.0%}" if size_bytes else ""
        yield "used", f"{approximate_size(view.used_bytes)}{share}"
    yield "protocol", spec.protocol
    named = (("type", spec.share_type), ("zone", spec.availability_zone), ("network", spec.share_network))
    yield from ((label, value) for label, value in named if value is not None)
    if view.observed is not None and view.observed.trashed_at is not None:
        yield "in the trash", f"since {view.observed.trashed_at}"


def _mount_lines(spec: ShareSpec, locations: tuple[str, ...], *, color: bool) -> Iterator[str]:
    if not locations:
        return
    yield ""
    yield paint("Export locations", "heading", color)
    for location in locations:
        yield f"  {visible(location)}"
        for system, command in mount_commands(spec.protocol, location, spec.name):
            yield f"    {paint(f'{system:<8}', 'faint', color)} {visible(command)}"
