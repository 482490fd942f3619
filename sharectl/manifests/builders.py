"""Turn the valid document of each kind into its spec as plain JSON, checking what a schema cannot say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sharectl.manifests.access import AccessError, canonical_client, canonical_ip, canonical_user
from sharectl.manifests.concealment import is_secret_name
from sharectl.manifests.findings import Finding
from sharectl.manifests.names import MOVED_FROM, former_names, is_name, why_not_exportable
from sharectl.model.kinds import Kind, address_of
from sharectl.model.quantities import SizeError, parse_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.model.canonical import JsonObject
    from sharectl.model.kinds import Address

_SHARE_FIELDS: Final = (
    ("type", "share_type", None),
    ("availabilityZone", "availability_zone", None),
    ("shareNetwork", "share_network", None),
    ("sourceSnapshot", "source_snapshot", None),
    ("deletionPolicy", "deletion_policy", "retain"),
    ("retainAccess", "retain_access", False),
    ("protect", "protect", False),
    ("allowShrink", "allow_shrink", False),
    ("replacement", "replacement", "refuse"),
)
_HINT_FIELDS: Final[tuple[tuple[str, str, Any], ...]] = (
    ("sameHost", "same_host", []),
    ("differentHost", "different_host", []),
    ("onlyHost", "only_host", None),
)
_SNAPSHOT_FIELDS: Final = (
    ("share", "share", None),
    ("deletionPolicy", "deletion_policy", "retain"),
    ("protect", "protect", False),
)
_REFERENCE_FIELDS: Final = (
    ("type", "share_type", Kind.SHARE_TYPE),
    ("shareNetwork", "share_network", Kind.SHARE_NETWORK),
    ("sourceSnapshot", "source_snapshot", Kind.SNAPSHOT),
)
PLACEMENT_FIELDS: Final = ("type", "availabilityZone", "shareNetwork")
"""What a share asks for that its type may rule out."""
_SUBNET_FIELDS: Final = {
    "availabilityZone": "availability_zone",
    "cidr": "cidr",
    "gateway": "gateway",
    "networkType": "network_type",
    "segmentationId": "segmentation_id",
    "mtu": "mtu",
    "neutronNetId": "neutron_net_id",
    "neutronSubnetId": "neutron_subnet_id",
    "novaNetId": "nova_net_id",
    "allocationRanges": "allocation_ranges",
    "excluded": "excluded",
}
_SERVICE_FIELDS: Final = {
    "dnsIp": "dns_ip",
    "server": "server",
    "domain": "domain",
    "user": "user",
    "password": "password",
    "ou": "ou",
}
_CAPACITY_FIELDS: Final = {
    "reservedPercentage": "reserved_percentage",
    "reservedSnapshotPercentage": "reserved_snapshot_percentage",
    "reservedShareExtendPercentage": "reserved_share_extend_percentage",
    "maxOverSubscriptionRatio": "max_over_subscription_ratio",
    "thinProvisioning": "thin_provisioning",
}
_BACKEND_FIELDS: Final = {
    "lanes": "lanes",
    "attempts": "attempts",
    "enabled": "enabled",
    "shareServers": "share_servers",
    "maxShareServers": "max_share_servers",
    "unusedShareServers": "unused_share_servers",
    "availabilityZone": "availability_zone",
    "capabilities": "capabilities",
    "ignore": "ignore",
}
_WHOLE_NUMBERS: Final = ("lanes", "attempts", "maxShareServers")
_BOOLEAN_EXTRA_SPECS: Final = ("driver_handles_share_servers",)
_MAX_VLAN: Final = 4094
_UNIT_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Checker:
    """Collects the findings of one document."""

    def __init__(self, document: int, address: str, findings: list[Finding]) -> None:
        """Add to `findings`."""
        self.document = document
        self.address = address
        self.findings = findings

    def add(  # noqa: PLR0913 - the parts of a Finding
        self,
        code: str,
        summary: str,
        remedy: str,
        *path: str | int,
        detail: str = "",
        key: bool = False,
        other: tuple[str | int, ...] = (),
    ) -> None:
        """Record an error at `path`; `{other}` in the summary becomes the place of `other`."""
        finding = Finding(
            f"manifest.{code}", summary, detail, remedy, self.document, path, key, self.address or None, other
        )
        self.findings.append(finding)

    def exportable(self, name: str, protocol: str = "NFS") -> None:
        """Check the name of a share of this protocol, or of a snapshot, which is exported under no name of its own."""
        reason = why_not_exportable(name, protocol)
        if reason:
            self.add(
                "name", f"the name {name!r} cannot be exported: {reason}", "choose another name", "metadata", "name"
            )

    def ip(self, text: str, *path: str | int, network: bool = False) -> str | None:
        """Return the canonical address (or network) at `path`, or None where it is none."""
        try:
            canonical = canonical_ip(text)
        except AccessError as failure:
            self.add(failure.code, failure.summary, failure.remedy, *path)
            return None
        if ("/" in text) is not network:
            wanted = (
                "a network with its prefix length, such as 10.20.0.0/24"
                if network
                else "an address without a prefix length"
            )
            self.add("ip", f"{text[:80]!r} is not {wanted}", f"write {wanted}", *path)
            return None
        return canonical


def build_share(
    document: JsonObject, checker: Checker, *, protocol_is_known: bool = True
) -> tuple[JsonObject, list[list[str]]]:
    """Return the share's plain spec and its inline rules, in their order (a wrong rule is left out).

    Where the protocol is not known, nothing is checked that depends on it.
    """
    metadata, spec = document["metadata"], document["spec"]
    checker.exportable(metadata["name"], spec["protocol"] if protocol_is_known else "NFS")
    plain: JsonObject = {"name": metadata["name"], "protocol": spec["protocol"], "size_bytes": 0}
    try:
        plain["size_bytes"] = parse_size(spec["size"])
    except SizeError as failure:
        checker.add("size", str(failure), "write a number and a unit, such as 100GiB, 1.5TiB or 500GB", "spec", "size")
    _take(spec, _SHARE_FIELDS, plain)
    if "revertTo" in spec:
        plain["revert_to"] = {name: spec["revertTo"][name] for name in ("snapshot", "request")}
    hints = spec.get("schedulerHints")
    if hints:
        _take(hints, _HINT_FIELDS, plain)
    if metadata.get("labels"):
        plain["labels"] = metadata["labels"]
    rules = []
    for number, rule in enumerate(spec.get("access", ())):
        protocol = spec["protocol"] if protocol_is_known else None
        access_to = check_rule(rule, protocol, checker, "spec", "access", number)
        rules.append([rule["type"], access_to or "", rule["level"]])
    return plain, rules


def check_rule(rule: JsonObject, protocol: str | None, checker: Checker, *path: str | int) -> str | None:
    """Return the canonical `to` of an access rule, or None where it is wrong; `protocol` is the share's, where it is known."""
    if rule["type"] == "user" and protocol == "NFS":
        add_user_on_nfs(checker, *path)
        return None
    canonical = canonical_client if rule["type"] == "ip" else canonical_user
    try:
        return canonical(rule["to"])
    except AccessError as failure:
        checker.add(failure.code, failure.summary, failure.remedy, *path, "to")
        return None


def add_user_on_nfs(checker: Checker, *path: str | int) -> None:
    """Record that a rule gives a user access to an NFS share."""
    detail = "An NFS server sees addresses; it knows no users unless Kerberos proves who they are."
    remedy = "grant by address, `type: ip`, or share with `protocol: CIFS`"
    checker.add("access-type", "an NFS share takes no access rule for a user", remedy, *path, "type", detail=detail)


def references_of_share(plain: JsonObject) -> Iterator[tuple[Address, tuple[str | int, ...]]]:
    """Yield the address of each resource that a share's spec names, with the path of the field that names it."""
    for field, name, kind in _REFERENCE_FIELDS:
        if name in plain:
            yield address_of(kind, plain[name]), ("spec", field)
    if "revert_to" in plain:
        yield address_of(Kind.SNAPSHOT, plain["revert_to"]["snapshot"]), ("spec", "revertTo", "snapshot")
    for field, name in (("sameHost", "same_host"), ("differentHost", "different_host")):
        for number, share in enumerate(plain.get(name, ())):
            yield address_of(Kind.SHARE, share), ("spec", "schedulerHints", field, number)


def build_snapshot(document: JsonObject, checker: Checker) -> JsonObject:
    """Return the snapshot's plain spec."""
    metadata = document["metadata"]
    checker.exportable(metadata["name"])
    plain: JsonObject = {"name": metadata["name"]}
    _take(document["spec"], _SNAPSHOT_FIELDS, plain)
    if metadata.get("labels"):
        plain["labels"] = metadata["labels"]
    return plain


def check_moves(document: JsonObject, checker: Checker, *, may_move: bool) -> list[str]:
    """Return the former names that the document's annotation gives."""
    annotation = document["metadata"].get("annotations", {}).get(MOVED_FROM)
    if annotation is None:
        return []
    path = ("metadata", "annotations", MOVED_FROM)
    if not may_move:
        remedy = "remove the annotation"
        if document["kind"] == "Backend":
            new = document["metadata"]["name"]
            old = next(iter(former_names(annotation)), "OLD-NAME")
            remedy += f", and rename the backend in the state: `sharectl state mv {address_of(Kind.BACKEND, old)} {address_of(Kind.BACKEND, new)}`"
        checker.add("moved", "only a share or a snapshot can have moved", remedy, *path, key=True)
        return []
    names = former_names(annotation)
    wrong = [name for name in names if not is_name(name)]
    if wrong:
        checker.add(
            "moved", f"{wrong[0]!r} is no former name", "write the old name, or several with commas between them", *path
        )
    if document["metadata"]["name"] in names:
        checker.add("moved", "the annotation names the resource itself", "write the name that it had before", *path)
    return [] if wrong else [name for name in dict.fromkeys(names) if name != document["metadata"]["name"]]


def build_backend(document: JsonObject, checker: Checker) -> JsonObject:
    """Return the keyword arguments of the BackendSpec, nested ones as objects; the driver's schema is checked elsewhere."""
    spec = document["spec"]
    plain: JsonObject = {"driver": spec["driver"], "config": spec.get("config", {})}
    for field, name in _BACKEND_FIELDS.items():
        if field in spec:
            plain[name] = int(spec[field]) if field in _WHOLE_NUMBERS else spec[field]
    if "capacity" in spec:
        plain["capacity"] = {_CAPACITY_FIELDS[field]: value for field, value in spec["capacity"].items()}
    if "stepTimeout" in spec:
        plain["step_timeout_seconds"] = _seconds(spec["stepTimeout"])
        if plain["step_timeout_seconds"] <= 0:
            checker.add(
                "duration", "a time-out of zero fails every step", "write one such as 5m", "spec", "stepTimeout"
            )
    if "network" in spec:
        plain["network"] = {"plugin": spec["network"]["plugin"], "config": spec["network"].get("config", {})}
        _check_secrets(plain["network"]["config"], checker, "spec", "network", "config")
    _check_secrets(plain["config"], checker, "spec", "config")
    for number, pattern in enumerate(plain.get("ignore", {}).get("access", ())):
        if pattern["type"] == "ip":
            check_rule(pattern, None, checker, "spec", "ignore", "access", number)
    return plain


def build_share_type(document: JsonObject, checker: Checker) -> JsonObject:
    """Return the keyword arguments of the ShareTypeSpec, with Manila's texts for numbers and booleans."""
    spec = document["spec"]
    extra_specs = {
        name: value if isinstance(value, str) else str(value) for name, value in spec.get("extraSpecs", {}).items()
    }
    for name in _BOOLEAN_EXTRA_SPECS:
        if name in extra_specs and extra_specs[name].removeprefix("<is>").strip().lower() not in ("true", "false"):
            checker.add(
                "extra-spec",
                f"{name} is true or false, not {extra_specs[name][:60]!r}",
                "write true or false",
                "spec",
                "extraSpecs",
                name,
            )
    return {"extra_specs": extra_specs, "description": spec.get("description", "")}


def build_share_network(document: JsonObject, checker: Checker) -> JsonObject:
    """Return the keyword arguments of the ShareNetworkSpec, subnets as objects."""
    spec = document["spec"]
    subnets = []
    zones: dict[str | None, int] = {}
    for number, subnet in enumerate(spec["subnets"]):
        path = ("spec", "subnets", number)
        plain = {_SUBNET_FIELDS[field]: value for field, value in subnet.items()}
        _check_subnet(plain, checker, path)
        zone = subnet.get("availabilityZone")
        if zone in zones:
            where = f"zone {zone}" if zone else "shares without a zone of their own"
            checker.add(
                "subnet",
                f"a second subnet for {where}; the first is spec.subnets[{zones[zone]}]",
                "keep one for each zone",
                *path,
            )
        zones.setdefault(zone, number)
        subnets.append(plain)
    return {"subnets": subnets, "security_services": spec.get("securityServices", [])}


def _check_subnet(plain: JsonObject, checker: Checker, path: tuple[str | int, ...]) -> None:
    import ipaddress  # noqa: PLC0415 - only networks need it

    for field in ("segmentation_id", "mtu"):
        if field in plain:
            plain[field] = int(plain[field])
    cidr = checker.ip(plain["cidr"], *path, "cidr", network=True) if "cidr" in plain else None
    gateway = checker.ip(plain["gateway"], *path, "gateway") if "gateway" in plain else None
    if cidr is not None:
        plain["cidr"] = cidr if "/" in cidr else plain["cidr"]
    if gateway is not None:
        plain["gateway"] = gateway
    if cidr and gateway and ipaddress.ip_address(gateway) not in ipaddress.ip_network(cidr):
        checker.add(
            "subnet",
            f"the gateway {gateway} is outside of {cidr}",
            "name the router's address in the subnet",
            *path,
            "gateway",
        )
    if cidr:
        _check_ranges(plain, checker, path)
    kind, segment = plain.get("network_type"), plain.get("segmentation_id")
    if segment is not None and (kind == "flat" or (kind == "vlan" and segment > _MAX_VLAN)):
        reason = "a flat network has none" if kind == "flat" else f"a VLAN id is at most {_MAX_VLAN}"
        checker.add(
            "subnet",
            f"segmentationId cannot be {segment}: {reason}",
            "correct it, or the networkType",
            *path,
            "segmentationId",
        )


def _check_ranges(plain: JsonObject, checker: Checker, path: tuple[str | int, ...]) -> None:
    from sharectl.model.address_ranges import parse_address_range  # noqa: PLC0415 - only networks need it

    subnet = parse_address_range(plain["cidr"])
    for field in ("allocationRanges", "excluded"):
        name = _SUBNET_FIELDS[field]
        for number, text in enumerate(plain.get(name, ())):
            try:
                found = parse_address_range(text)
            except ValueError as failure:
                checker.add("subnet", str(failure), "correct it", *path, field, number)
                continue
            if not subnet.holds(found):
                checker.add(
                    "subnet",
                    f"{text} is not within {plain['cidr']}",
                    "name addresses of the subnet",
                    *path,
                    field,
                    number,
                )


def build_security_service(document: JsonObject, checker: Checker) -> JsonObject:
    """Return the keyword arguments of the SecurityServiceSpec."""
    spec = document["spec"]
    if "dnsIp" in spec:
        checker.ip(spec["dnsIp"], "spec", "dnsIp")
    return {
        "service_type": spec["type"],
        "config": {_SERVICE_FIELDS[field]: spec[field] for field in _SERVICE_FIELDS if field in spec},
    }


def _take(spec: JsonObject, fields: tuple[tuple[str, str, Any], ...], plain: JsonObject) -> None:
    for field, name, default in fields:
        value = spec.get(field, default)
        if value != default:
            plain[name] = value


def _seconds(text: str) -> float:
    unit = "ms" if text.endswith("ms") else text[-1]
    return float(text.removesuffix(unit)) * _UNIT_SECONDS[unit]


def _check_secrets(config: JsonObject, checker: Checker, *path: str | int) -> None:
    for place, value in _secret_fields(config, path):
        if not (isinstance(value, dict) and len(value) == 1 and ("env" in value or "file" in value)):
            where = ".".join(str(step) for step in place)
            summary = f"{where} takes a reference to a secret, and nothing else"
            detail = "A secret in a manifest would be in the repository for ever."
            checker.add(
                "secret", summary, "write a reference instead, {env: NAME} or {file: PATH}", *place, detail=detail
            )


def _secret_fields(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        for name, part in value.items():
            if is_secret_name(name):
                yield (*path, name), part
            else:
                yield from _secret_fields(part, (*path, name))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _secret_fields(part, (*path, number))
