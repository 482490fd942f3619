"""Turn the valid document of each kind into its spec as plain JSON, checking what a schema cannot say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sharectl.manifests.access import AccessError, canonical_client, canonical_ip, canonical_to
from sharectl.manifests.fields import plain_of
from sharectl.manifests.names import MOVED_FROM, former_names, is_name, why_not_exportable
from sharectl.manifests.positions import is_secret_name
from sharectl.manifests.proposals import NO_SECRETS, REFERENCE_REMEDY
from sharectl.manifests.rule_options import add_options_on_cifs, check_options
from sharectl.model.access import OF_CLIENTS, AccessType, joined_protocols, protocols_in
from sharectl.model.client_addresses import nobody_at
from sharectl.model.diagnostics import did_you_mean
from sharectl.model.fields import camel
from sharectl.model.kinds import MANAGED_KINDS, Kind, address_of
from sharectl.model.specs import Protocol
from sharectl.model.table import SPECS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from sharectl.manifests.findings import Checker
    from sharectl.model.access import AccessRule
    from sharectl.model.canonical import JsonObject
    from sharectl.model.quantities import SizeError

_SHARE_SERVERS: Final = "driver_handles_share_servers"
_MAX_VLAN: Final = 4094


def build(kind: Kind, document: JsonObject, checker: Checker, *, protocol_is_known: bool = True) -> JsonObject:
    """Return the plain form of the spec in a document of this kind that meets its schema; a size that cannot be read is reported.

    Where the protocol of a share is not known, nothing is checked that depends on it.
    """

    def failed(path: tuple[str, ...], failure: SizeError) -> None:
        remedy = "write a number and a unit, such as 100GiB, 1.5TiB or 500GB"
        checker.add("size", str(failure), remedy, "spec", *path)

    metadata, spec = document["metadata"], document["spec"]
    if "protocols" in spec:
        spec = {**spec, "protocol": joined_protocols(spec["protocols"])}
    plain = {"name": metadata["name"], **plain_of(SPECS[kind], spec, failed)}
    if metadata.get("labels"):
        plain["labels"] = metadata["labels"]
    if kind is Kind.SHARE:
        plain.setdefault("size_bytes", 0)
    if kind in MANAGED_KINDS:  # a snapshot is not exported under its own name
        protocol = spec["protocol"] if kind is Kind.SHARE and protocol_is_known else "NFS"
        _check_names(metadata["name"], plain, protocol, checker)
    if "snapshot_policy" in plain:
        _check_time_zone(plain["snapshot_policy"].get("time_zone", "UTC"), checker)
    if kind in _CHECKS:
        _CHECKS[kind](spec, plain, checker)
    return plain


def _check_names(name: str, plain: JsonObject, protocol: str, checker: Checker) -> None:
    """Check the name of a share or snapshot, and the one under which clients are to see it."""
    has_other_name = "export_name" in plain
    if has_other_name:
        _check_export_name(plain, protocol, checker)
    reason = why_not_exportable(name, "NFS" if has_other_name else protocols_in(protocol)[-1])
    if reason:
        remedy = "choose another name"
        if not why_not_exportable(name, "NFS"):
            remedy += ", or write the one that clients are to see in spec.exportName"
        checker.add("name", f"the name {name!r} cannot be exported: {reason}", remedy, "metadata", "name")


def _check_export_name(plain: JsonObject, protocol: str, checker: Checker) -> None:
    """Check the name under which clients are to see a share, and compose it (NFC)."""
    from sharectl.model.export_names import canonical, problem  # noqa: PLC0415 - few shares have one

    plain["export_name"] = canonical(plain["export_name"])
    reason = problem(plain["export_name"], protocols_in(protocol))
    if reason is not None:
        summary = f"no share can be exported as {plain['export_name']!r}: {reason}"
        checker.add("export-name", summary, "choose another name", "spec", "exportName")


def inline_rules(spec: JsonObject, protocol: str | None, checker: Checker) -> list[list[Any]]:
    """Return the access rules of a share in their order, a wrong one with an empty `to`; `protocol` is None where it is not known."""
    rules: list[list[Any]] = []
    for number, rule in enumerate(spec.get("access", ())):
        path = ("spec", "access", number)
        found = [rule["type"], check_rule(rule, protocol, checker, *path) or "", rule["level"]]
        options = check_options(rule, protocol, checker, *path)
        rules.append([*found, options] if options else found)
    return rules


def check_rule(rule: JsonObject, protocol: str | None, checker: Checker, *path: str | int) -> str | None:
    """Return the canonical `to` of an access rule, or None where it is wrong; `protocol` is the share's, where it is known."""
    if rule["type"] not in OF_CLIENTS and protocol == Protocol.NFS:
        add_person_on_nfs(rule["type"], checker, *path)
        return None
    try:
        return canonical_to(rule["type"], rule["to"])
    except AccessError as failure:
        checker.add(failure.code, failure.summary, failure.remedy, *path, "to")
        return None


def add_misplaced(rule: AccessRule, checker: Checker, *path: str | int) -> None:
    """Record that a rule is not for the protocol of its share: one for people on NFS, or with options of NFS on CIFS."""
    if rule.access_type not in OF_CLIENTS:
        add_person_on_nfs(rule.access_type, checker, *path)
    else:
        add_options_on_cifs(rule.options[0][0], checker, *path)


def add_person_on_nfs(access_type: str, checker: Checker, *path: str | int) -> None:
    """Record that a rule gives a user, a group or guests access to an NFS share."""
    detail = "An NFS server sees addresses; it knows no users unless Kerberos proves who they are."
    remedy = "grant by address, `type: ip`, or share with `protocol: CIFS`"
    whom = "guests" if access_type == AccessType.GUEST else f"a {access_type}"
    checker.add("access-type", f"an NFS share takes no access rule for {whom}", remedy, *path, "type", detail=detail)


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
        if document["kind"] == Kind.SHARE_SET.document_kind:
            remedy = "write it in the entry of the share that has moved"
        checker.add("moved", "only a share or a snapshot can have moved", remedy, *path, key=True)
        return []
    names = former_names(annotation)
    wrong = [name for name in names if not is_name(name)]
    if wrong:
        remedy = "write the old name, or several with commas between them"
        checker.add("moved", f"{wrong[0]!r} is not a former name", remedy, *path)
    if document["metadata"]["name"] in names:
        checker.add("moved", "the annotation names the resource itself", "write the name that it had before", *path)
    return [] if wrong else [name for name in dict.fromkeys(names) if name != document["metadata"]["name"]]


def _check_backend(_spec: JsonObject, plain: JsonObject, checker: Checker) -> None:
    """Check what is not the driver's: its config is checked against its schema elsewhere."""
    plain.setdefault("config", {})
    for name, effect, example in (("step", "fails every step", "5m"), ("list", "leaves no time to answer", "2m")):
        if plain.get(f"{name}_timeout_seconds") == 0:
            remedy = f"write one such as {example}"
            checker.add("duration", f"a time-out of zero {effect}", remedy, "spec", f"{name}Timeout")
    if "network" in plain:
        _check_secrets(plain["network"].get("config", {}), checker, "spec", "network", "config")
    _check_secrets(plain["config"], checker, "spec", "config")
    for number, pattern in enumerate(plain.get("ignore", {}).get("access", ())):
        if pattern["type"] in {AccessType.IP, AccessType.GUEST}:  # names of people are patterns here
            check_rule(pattern, None, checker, "spec", "ignore", "access", number)


def _check_share_type(_spec: JsonObject, plain: JsonObject, checker: Checker) -> None:
    """Write numbers and booleans as Manila's texts."""
    extra_specs = {name: str(value) for name, value in plain.get("extra_specs", {}).items()}
    plain["extra_specs"] = extra_specs
    servers = extra_specs.get(_SHARE_SERVERS, "true")
    if servers.removeprefix("<is>").strip().lower() not in ("true", "false"):
        summary = f"{_SHARE_SERVERS} is true or false, not {servers[:60]!r}"
        checker.add("extra-spec", summary, "write true or false", "spec", "extraSpecs", _SHARE_SERVERS)


def _check_time_zone(name: str, checker: Checker) -> None:
    """Refuse a time zone that there is none of; where this machine has no database of them, the storage host decides."""
    import zoneinfo  # noqa: PLC0415 - most manifests name none

    try:
        zoneinfo.ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        known = sorted(zoneinfo.available_timezones())
        if known:
            same = next((zone for zone in known if zone.lower() == name.lower()), "")
            remedy = (
                f"write {same}"
                if same
                else did_you_mean(name, known) or "name one of IANA's database, such as Europe/Berlin"
            )
            path = ("spec", "snapshotPolicy", "timeZone")
            checker.add("time-zone", f"there is no time zone {name[:60]!r}", remedy, *path)


def _check_client_list(_spec: JsonObject, plain: JsonObject, checker: Checker) -> None:
    """Write clients canonically; one that is none is left empty, so that those behind it keep their places."""
    if "clients" in plain:
        plain["clients"] = _checked_clients(plain["clients"], checker, "spec", "clients")
    if "names" in plain:
        plain["names"] = {
            name: _checked_clients(clients, checker, "spec", "names", name) for name, clients in plain["names"].items()
        }


def _checked_clients(clients: Iterable[str], checker: Checker, *path: str) -> list[str]:
    checked = []
    for number, client in enumerate(clients):
        try:
            checked.append(canonical_client(client))
        except AccessError as failure:
            checker.add(failure.code, failure.summary, failure.remedy, *path, number)
            checked.append("")
    return checked


def _check_share_network(_spec: JsonObject, plain: JsonObject, checker: Checker) -> None:
    zones: dict[str | None, int] = {}
    for number, subnet in enumerate(plain["subnets"]):
        path = ("spec", "subnets", number)
        _check_subnet(subnet, checker, path)
        zone = subnet.get("availability_zone")
        if zone in zones:
            where = f"zone {zone}" if zone else "shares without a zone of their own"
            summary = f"a second subnet for {where}; the first is spec.subnets[{zones[zone]}]"
            checker.add("subnet", summary, "keep one for each zone", *path)
        zones.setdefault(zone, number)


def _check_subnet(plain: JsonObject, checker: Checker, path: tuple[str | int, ...]) -> None:
    import ipaddress  # noqa: PLC0415 - only networks need it

    cidr, gateway = (
        _checked_ip(plain[name], checker, *path, name, network=name == "cidr") if name in plain else None
        for name in ("cidr", "gateway")
    )
    plain |= {name: ip for name, ip in (("cidr", cidr), ("gateway", gateway)) if ip and (name != "cidr" or "/" in ip)}
    if cidr and gateway and ipaddress.ip_address(gateway) not in ipaddress.ip_network(cidr):
        summary = f"the gateway {gateway} is outside of {cidr}"
        checker.add("subnet", summary, "name the router's address in the subnet", *path, "gateway")
    if cidr:
        _check_ranges(plain, checker, path)
        _check_reserved(cidr, checker, *path, "cidr")
    kind, segment = plain.get("network_type"), plain.get("segmentation_id")
    if segment is not None and (kind == "flat" or (kind == "vlan" and segment > _MAX_VLAN)):
        reason = "a flat network has none" if kind == "flat" else f"a VLAN id is at most {_MAX_VLAN}"
        summary = f"segmentationId cannot be {segment}: {reason}"
        checker.add("subnet", summary, "correct it, or the networkType", *path, "segmentationId")


def _checked_ip(text: str, checker: Checker, *path: str | int, network: bool = False) -> str | None:
    """Return the canonical address (or network) at `path`, or None where it is not one."""
    try:
        canonical = canonical_ip(text)
    except AccessError as failure:
        checker.add(failure.code, failure.summary, failure.remedy, *path)
        return None
    if ("/" in text) is network:
        return canonical
    wanted = (
        "a network with its prefix length, such as 10.20.0.0/24" if network else "an address without a prefix length"
    )
    checker.add("ip", f"{text[:80]!r} is not {wanted}", f"write {wanted}", *path)
    return None


def _check_reserved(cidr: str, checker: Checker, *path: str | int) -> None:
    """Refuse a network whose addresses no machine can have on a wire that it shares with others."""
    import ipaddress  # noqa: PLC0415 - only networks need it

    network, nobody = ipaddress.ip_network(cidr), nobody_at(cidr)
    reason = nobody.why if nobody is not None else ""
    if network.is_loopback or network.is_link_local:
        reason = "is of the addresses that every machine gives itself"
    if reason:
        checker.add("subnet", f"{cidr} {reason}", "name a network of the tenant's, such as 10.20.0.0/24", *path)


def _check_ranges(plain: JsonObject, checker: Checker, path: tuple[str | int, ...]) -> None:
    from sharectl.model.address_ranges import parse_address_range  # noqa: PLC0415 - only networks need it

    subnet = parse_address_range(plain["cidr"])
    for name in ("allocation_ranges", "excluded"):
        for number, text in enumerate(plain.get(name, ())):
            place = (*path, camel(name), number)
            try:
                if not subnet.holds(parse_address_range(text)):
                    summary = f"{text} is not within {plain['cidr']}"
                    checker.add("subnet", summary, "name addresses of the subnet", *place)
            except ValueError as failure:
                checker.add("subnet", str(failure), "correct it", *place)


def _check_security_service(spec: JsonObject, _plain: JsonObject, checker: Checker) -> None:
    if "dnsIp" in spec:
        _checked_ip(spec["dnsIp"], checker, "spec", "dnsIp")


def _check_secrets(config: JsonObject, checker: Checker, *path: str | int) -> None:
    for place, value in _secret_fields(config, path):
        if not (isinstance(value, dict) and len(value) == 1 and ("env" in value or "file" in value)):
            where = ".".join(str(step) for step in place)
            summary = f"{where} takes a reference to a secret, and nothing else"
            checker.add("secret", summary, REFERENCE_REMEDY, *place, detail=NO_SECRETS)


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


_CHECKS: Final[Mapping[Kind, Callable[[JsonObject, JsonObject, Checker], None]]] = {
    Kind.BACKEND: _check_backend,
    Kind.SHARE_TYPE: _check_share_type,
    Kind.CLIENT_LIST: _check_client_list,
    Kind.SHARE_NETWORK: _check_share_network,
    Kind.SECURITY_SERVICE: _check_security_service,
}
"""What a schema cannot say of a kind, by what is written below `spec` and its plain form."""
