"""Write manifests: specs to documents, and documents to YAML that every reader, of YAML 1.1 or 1.2, takes for the same."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sharectl.manifests.names import MOVED_FROM
from sharectl.manifests.scalars import needs_quotes
from sharectl.model.backends import CapacityPolicy
from sharectl.model.kinds import API_VERSION
from sharectl.model.quantities import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sharectl.model.access import AccessRule
    from sharectl.model.backends import BackendSpec
    from sharectl.model.canonical import JsonObject
    from sharectl.model.share_networks import SecurityServiceSpec, ShareNetworkSpec
    from sharectl.model.specs import ShareSpec, ShareTypeSpec, SnapshotSpec

_SAFE_PLAIN: Final = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./@+:\\ -]*")
_UNSAFE_PART: Final = re.compile(r": |:\Z| \Z| #|  ")
_MAX_PLAIN_CHARACTERS: Final = 100
_MILLISECONDS: Final = 1000
_SUBNET_FIELDS: Final = {
    "availability_zone": "availabilityZone",
    "cidr": "cidr",
    "gateway": "gateway",
    "network_type": "networkType",
    "segmentation_id": "segmentationId",
    "mtu": "mtu",
    "neutron_net_id": "neutronNetId",
    "neutron_subnet_id": "neutronSubnetId",
    "nova_net_id": "novaNetId",
    "allocation_ranges": "allocationRanges",
    "excluded": "excluded",
}
_CAPACITY_FIELDS: Final = {
    "reserved_percentage": "reservedPercentage",
    "reserved_snapshot_percentage": "reservedSnapshotPercentage",
    "reserved_share_extend_percentage": "reservedShareExtendPercentage",
    "max_over_subscription_ratio": "maxOverSubscriptionRatio",
    "thin_provisioning": "thinProvisioning",
}
_SERVICE_FIELDS: Final = {
    "dns_ip": "dnsIp",
    "server": "server",
    "domain": "domain",
    "user": "user",
    "password": "password",
    "ou": "ou",
}


@dataclass(frozen=True, slots=True)
class ManifestDocument:
    """A manifest to be written. `kind` is the document's (`ShareType`); `spec` is as the schema has it; `comment` goes above it."""

    kind: str
    name: str
    spec: JsonObject
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    comment: str = ""


def share_document(
    spec: ShareSpec, access: Iterable[AccessRule] = (), *, moved_from: Sequence[str] = (), comment: str = ""
) -> ManifestDocument:
    """Return the manifest of a share, with its access rules inline; `moved_from` are former names."""
    hints = {
        "sameHost": list(spec.hints.same_host),
        "differentHost": list(spec.hints.different_host),
        "onlyHost": spec.hints.only_host,
    }
    fields = {
        "size": format_size(spec.size_bytes),
        "protocol": str(spec.protocol),
        "type": spec.share_type,
        "availabilityZone": spec.availability_zone,
        "shareNetwork": spec.share_network,
        "sourceSnapshot": spec.source_snapshot,
        "revertTo": None
        if spec.revert_to is None
        else {"snapshot": spec.revert_to.snapshot, "request": spec.revert_to.request},
        "schedulerHints": {name: value for name, value in hints.items() if value},
        "access": [
            {"type": str(rule.access_type), "to": rule.access_to, "level": str(rule.access_level)} for rule in access
        ],
        "deletionPolicy": _unless(str(spec.deletion_policy), "retain"),
        "retainAccess": spec.retain_access,
        "protect": spec.protect,
        "allowShrink": spec.allow_shrink,
        "replacement": _unless(str(spec.replacement), "refuse"),
    }
    return ManifestDocument("Share", spec.name, _present(fields), spec.labels, _moved(moved_from), comment)


def snapshot_document(spec: SnapshotSpec, *, moved_from: Sequence[str] = (), comment: str = "") -> ManifestDocument:
    """Return the manifest of a snapshot; `moved_from` are former names."""
    fields = {
        "share": spec.share,
        "deletionPolicy": _unless(str(spec.deletion_policy), "retain"),
        "protect": spec.protect,
    }
    return ManifestDocument("Snapshot", spec.name, _present(fields), spec.labels, _moved(moved_from), comment)


def access_rule_document(
    name: str, share: str, rule: AccessRule, *, labels: Mapping[str, str] | None = None, comment: str = ""
) -> ManifestDocument:
    """Return the manifest of an access rule in a document of its own; `share` is the share's name."""
    spec = {"share": share, "type": str(rule.access_type), "to": rule.access_to, "level": str(rule.access_level)}
    return ManifestDocument("AccessRule", name, spec, labels or {}, {}, comment)


def backend_document(spec: BackendSpec, *, comment: str = "") -> ManifestDocument:
    """Return the manifest of a backend."""
    capacity = {name: getattr(spec.capacity, attribute) for attribute, name in _CAPACITY_FIELDS.items()}
    fields = {
        "driver": spec.driver,
        "config": dict(spec.config),
        "lanes": _unless(spec.lanes, 4),
        "shareServers": spec.share_servers,
        "maxShareServers": spec.max_share_servers,
        "unusedShareServers": _unless(str(spec.unused_share_servers), "delete"),
        "availabilityZone": spec.availability_zone,
        "capacity": {name: value for name, value in capacity.items() if value is not None}
        if spec.capacity != CapacityPolicy()
        else None,
        "capabilities": dict(spec.capabilities),
        "stepTimeout": _unless(_duration(spec.step_timeout_seconds), "5m"),
        "attempts": _unless(spec.attempts, 4),
        "network": None
        if spec.network is None
        else _present({"plugin": spec.network.plugin, "config": dict(spec.network.config)}),
    }
    fields["ignore"] = dict(spec.ignore)
    present = _present(fields)
    if not spec.enabled:
        present["enabled"] = False
    return ManifestDocument("Backend", spec.name, present, spec.labels, {}, comment)


def share_type_document(spec: ShareTypeSpec, *, comment: str = "") -> ManifestDocument:
    """Return the manifest of a share type."""
    fields = {"description": spec.description, "extraSpecs": dict(spec.extra_specs)}
    return ManifestDocument("ShareType", spec.name, _present(fields), spec.labels, {}, comment)


def share_network_document(spec: ShareNetworkSpec, *, comment: str = "") -> ManifestDocument:
    """Return the manifest of a share network."""
    subnets = [
        {
            name: list(value) if isinstance(value, tuple) else value
            for attribute, name in _SUBNET_FIELDS.items()
            if (value := getattr(subnet, attribute)) not in (None, ())
        }
        for subnet in spec.subnets
    ]
    fields = {"subnets": subnets, "securityServices": list(spec.security_services)}
    return ManifestDocument("ShareNetwork", spec.name, _present(fields), spec.labels, {}, comment)


def security_service_document(spec: SecurityServiceSpec, *, comment: str = "") -> ManifestDocument:
    """Return the manifest of a security service; its password stays the reference that it is."""
    fields = {"type": spec.service_type, **{name: spec.config.get(key) for key, name in _SERVICE_FIELDS.items()}}
    return ManifestDocument("SecurityService", spec.name, _present(fields), spec.labels, {}, comment)


def dump(documents: Iterable[ManifestDocument]) -> str:
    """Return the documents as YAML text: block style, a comment above each that has one, quotes wherever a reader might err."""
    from ruamel.yaml import YAML  # noqa: PLC0415 - only writing needs it

    yaml = YAML()
    yaml.width = 1 << 20
    yaml.indent(mapping=2, sequence=4, offset=2)
    parts = []
    for document in documents:
        text = io.StringIO()
        metadata: JsonObject = {"name": document.name}
        for name, value in (("labels", document.labels), ("annotations", document.annotations)):
            if value:
                metadata[name] = dict(value)
        whole = {"apiVersion": API_VERSION, "kind": document.kind, "metadata": metadata, "spec": document.spec}
        yaml.dump(_quoted(whole), text)
        parts.append(_comment_lines(document.comment) + text.getvalue())
    return "---\n".join(parts)


def _present(fields: Mapping[str, Any]) -> JsonObject:
    return {
        name: value
        for name, value in fields.items()
        if value is not None and value is not False and value not in ("", [], {})
    }


def _unless(value: Any, default: Any) -> Any:  # noqa: ANN401 - whatever the field holds
    return None if value == default else value


def _moved(names: Sequence[str]) -> dict[str, str]:
    return {MOVED_FROM: ", ".join(names)} if names else {}


def _duration(seconds: float) -> str:
    milliseconds = round(seconds * _MILLISECONDS)
    for unit, scale in (("h", 3_600_000), ("m", 60_000), ("s", _MILLISECONDS)):
        if milliseconds % scale == 0:
            return f"{milliseconds // scale}{unit}"
    return f"{milliseconds}ms"


def _quoted(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString  # noqa: PLC0415 - only writing needs it

    if isinstance(value, str):
        return value if _is_safe_plain(value) else DoubleQuotedScalarString(value)
    if isinstance(value, dict):
        return {_quoted(str(key)): _quoted(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_quoted(part) for part in value]
    return value


def _is_safe_plain(text: str) -> bool:
    if len(text) > _MAX_PLAIN_CHARACTERS or not _SAFE_PLAIN.fullmatch(text):
        return False
    return _UNSAFE_PART.search(text) is None and not text.startswith(("---", "...")) and not needs_quotes(text)


def _comment_lines(comment: str) -> str:
    lines = comment.splitlines()
    printable = ("".join(c if c.isprintable() else " " for c in line).rstrip() for line in lines)
    return "".join(f"# {line}".rstrip() + "\n" for line in printable)
