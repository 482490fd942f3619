"""Turn the valid document of each kind into its spec as plain JSON, checking what a schema cannot say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sharectl.manifests.access import AccessError, canonical_client, canonical_ip, canonical_user
from sharectl.manifests.fields import plain_of
from sharectl.manifests.names import MOVED_FROM, former_names, is_name, why_not_exportable
from sharectl.manifests.positions import is_secret_name
from sharectl.model.backends import BackendSpec
from sharectl.model.client_addresses import nobody_at
from sharectl.model.fields import camel
from sharectl.model.kinds import Kind, address_of
from sharectl.model.share_networks import SecurityServiceSpec, ShareNetworkSpec
from sharectl.model.specs import ShareSpec, ShareTypeSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.manifests.findings import Checker
    from sharectl.model.canonical import JsonObject
    from sharectl.model.codec import Spec
    from sharectl.model.quantities import SizeError

_BOOLEAN_EXTRA_SPECS: Final = ("driver_handles_share_servers",)
_MAX_VLAN: Final = 4094


def build_share(
    document: JsonObject, checker: Checker, *, protocol_is_known: bool = True
) -> tuple[JsonObject, list[list[str]]]:
    """Return the share's plain spec and its inline rules, in their order (a wrong rule is left out).

    Where the protocol is not known, nothing is checked that depends on it.
    """
    metadata, spec = document["metadata"], document["spec"]
    _check_exportable(metadata["name"], spec["protocol"] if protocol_is_known else "NFS", checker)
    plain = {"size_bytes": 0, **_plain(ShareSpec, document, checker)}
    rules = []
    for number, rule in enumerate(spec.get("access", ())):
        protocol = spec["protocol"] if protocol_is_known else None
        access_to = check_rule(rule, protocol, checker, "spec", "access", number)
        rules.append([rule["type"], access_to or "", rule["level"]])
    return plain, rules


def _check_exportable(name: str, protocol: str, checker: Checker) -> None:
    reason = why_not_exportable(name, protocol)
    if reason:
        summary = f"the name {name!r} cannot be exported: {reason}"
        checker.add("name", summary, "choose another name", "metadata", "name")


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


def build_managed(cls: type[Spec], document: JsonObject, checker: Checker) -> JsonObject:
    """Return the plain spec of a resource that a plan makes and that is not a share."""
    _check_exportable(document["metadata"]["name"], "NFS", checker)  # it is exported under no name of its own
    return _plain(cls, document, checker)


def _plain(cls: type[Spec], document: JsonObject, checker: Checker) -> JsonObject:
    """Return the plain form of the spec in a document that meets its schema; a size that cannot be read is left out and reported."""

    def failed(path: tuple[str, ...], failure: SizeError) -> None:
        remedy = "write a number and a unit, such as 100GiB, 1.5TiB or 500GB"
        checker.add("size", str(failure), remedy, "spec", *path)

    metadata = document["metadata"]
    plain = {"name": metadata["name"], **plain_of(cls, document["spec"], failed)}
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
            "moved",
            f"{wrong[0]!r} is not a former name",
            "write the old name, or several with commas between them",
            *path,
        )
    if document["metadata"]["name"] in names:
        checker.add("moved", "the annotation names the resource itself", "write the name that it had before", *path)
    return [] if wrong else [name for name in dict.fromkeys(names) if name != document["metadata"]["name"]]


def build_backend(document: JsonObject, checker: Checker) -> JsonObject:
    """Return the keyword arguments of the BackendSpec, nested ones as objects; the driver's schema is checked elsewhere."""
    plain = {"config": {}, **plain_of(BackendSpec, document["spec"])}
    if plain.get("step_timeout_seconds") == 0:
        checker.add("duration", "a time-out of zero fails every step", "write one such as 5m", "spec", "stepTimeout")
    if plain.get("list_timeout_seconds") == 0:
        checker.add(
            "duration", "a time-out of zero leaves no time to answer", "write one such as 2m", "spec", "listTimeout"
        )
    if "network" in plain:
        _check_secrets(plain["network"].get("config", {}), checker, "spec", "network", "config")
    _check_secrets(plain["config"], checker, "spec", "config")
    for number, pattern in enumerate(plain.get("ignore", {}).get("access", ())):
        if pattern["type"] == "ip":
            check_rule(pattern, None, checker, "spec", "ignore", "access", number)
    return plain


def build_share_type(document: JsonObject, checker: Checker) -> JsonObject:
    """Return the keyword arguments of the ShareTypeSpec, with Manila's texts for numbers and booleans."""
    plain = plain_of(ShareTypeSpec, document["spec"])
    extra_specs = {name: str(value) for name, value in plain.get("extra_specs", {}).items()}
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
    return {**plain, "extra_specs": extra_specs}


def build_share_network(document: JsonObject, checker: Checker) -> JsonObject:
    """Return the keyword arguments of the ShareNetworkSpec, subnets as objects."""
    network = plain_of(ShareNetworkSpec, document["spec"])
    zones: dict[str | None, int] = {}
    for number, plain in enumerate(network["subnets"]):
        path = ("spec", "subnets", number)
        _check_subnet(plain, checker, path)
        zone = plain.get("availability_zone")
        if zone in zones:
            where = f"zone {zone}" if zone else "shares without a zone of their own"
            checker.add(
                "subnet",
                f"a second subnet for {where}; the first is spec.subnets[{zones[zone]}]",
                "keep one for each zone",
                *path,
            )
        zones.setdefault(zone, number)
    return {"security_services": [], **network}


def _check_subnet(plain: JsonObject, checker: Checker, path: tuple[str | int, ...]) -> None:
    import ipaddress  # noqa: PLC0415 - only networks need it

    cidr = _checked_ip(plain["cidr"], checker, *path, "cidr", network=True) if "cidr" in plain else None
    gateway = _checked_ip(plain["gateway"], checker, *path, "gateway") if "gateway" in plain else None
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
        _check_reserved(cidr, checker, *path, "cidr")
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
            try:
                found = parse_address_range(text)
            except ValueError as failure:
                checker.add("subnet", str(failure), "correct it", *path, camel(name), number)
                continue
            if not subnet.holds(found):
                checker.add(
                    "subnet",
                    f"{text} is not within {plain['cidr']}",
                    "name addresses of the subnet",
                    *path,
                    camel(name),
                    number,
                )


def build_security_service(document: JsonObject, checker: Checker) -> JsonObject:
    """Return the keyword arguments of the SecurityServiceSpec."""
    spec = document["spec"]
    if "dnsIp" in spec:
        _checked_ip(spec["dnsIp"], checker, "spec", "dnsIp")
    return plain_of(SecurityServiceSpec, spec)


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
