"""The network of a share server on the array: IPspace, broadcast domain and VLAN ports of its segment, its LIFs and routes.

A VLAN can be in one IPspace only, so that all share servers on it are in the IPspace of the first. Its name has the VLAN and the id
of that server: by the one it is found where a server is made, by the other where a creation was cut short.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, Final

from sharectl.drivers.base import ConflictError, DriverError, TransientError
from sharectl.drivers.ontap.errors import ArrayError
from sharectl.drivers.ontap.names import read_note
from sharectl.drivers.ontap.share_servers.names import lif_number, segment_in, segment_name
from sharectl.drivers.ontap.share_servers.wanted import FoundLif, lif_changes, port_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sharectl.drivers.ontap.client import Array
    from sharectl.drivers.ontap.share_servers.segments import SegmentUse
    from sharectl.drivers.ontap.share_servers.settings import Home
    from sharectl.drivers.ontap.share_servers.wanted import WantedLif, WantedServer
    from sharectl.model.canonical import JsonObject

IPSPACES: Final = "network/ipspaces"
DOMAINS: Final = "network/ethernet/broadcast-domains"
PORTS: Final = "network/ethernet/ports"
LIFS: Final = "network/ip/interfaces"
ROUTES: Final = "network/ip/routes"
SERVICE_POLICY: Final = "default-data-files"
LIF_FIELDS: Final = (
    "name",
    "svm.name",
    "ip.address",
    "ip.netmask",
    "enabled",
    "state",
    "services",
    "location.home_node.name",
    "location.home_port.name",
)

_PORT_FIELDS: Final = (
    "name",
    "node.name",
    "vlan.base_port.name",
    "broadcast_domain.name",
    "broadcast_domain.ipspace.name",
)


class Network:
    """Segments, LIFs and routes on one array."""

    def __init__(self, array: Array, use: SegmentUse) -> None:
        """Ask for nothing yet."""
        self._array = array
        self._use = use

    # Segments

    def ensure_segment(self, wanted: WantedServer, ipspace: str | None, inhabited: Iterable[str] = ()) -> str:
        """Make the ports on the segment that the server needs, and what they are in; return the IPspace that its SVM has to be in.

        `ipspace` is the one that it is in already, `inhabited` are those of all SVMs. Precondition: the caller is among those who make
        a server on the segment.
        """
        tag = wanted.segment.tag
        if tag is None:
            return ipspace or self._ipspace_of_port(wanted.homes[0])
        with self._use.alone(tag):
            place = ipspace or self._use.place(tag) or _place_among(inhabited, tag)
            if place is None:
                place = segment_name(tag, wanted.resource_id)
                self._make(IPSPACES, {"name": place})
            elif _tag_of(place) != tag:
                message = (
                    f"the SVM of share server {wanted.name} is in the IPspace {place}, which is not one of VLAN {tag}"
                )
                raise ConflictError(message)
            self._ensure_domain(place, wanted)
            for home in wanted.homes:
                place = self._ensure_port(home, wanted, place)
            self._use.settle(tag, place)
        return place

    def _ipspace_of_port(self, home: Home) -> str:
        query = {"name": home.port, "node.name": home.node}
        found = self._array.records(PORTS, query=query, fields=("name", "broadcast_domain.ipspace.name"))
        if not found:
            message = f"the node {home.node} has no port {home.port}; correct shareServers.homes of the backend"
            raise DriverError(message)
        domain = found[0].get("broadcast_domain")
        if not domain:
            message = (
                f"the port {home.port} of {home.node} is in no broadcast domain, and can carry no LIF; put it into one"
            )
            raise DriverError(message)
        return str(domain["ipspace"]["name"])

    def _ensure_domain(self, place: str, wanted: WantedServer) -> None:
        body = {"name": place, "mtu": wanted.segment.mtu, "ipspace": {"name": place}}
        if self._make(DOMAINS, body):
            return
        query = {"name": place, "ipspace.name": place}
        for record in self._array.records(DOMAINS, query=query, fields=("mtu",)):
            if record["mtu"] != wanted.segment.mtu:
                self._change_mtu(place, wanted, record)

    def _change_mtu(self, place: str, wanted: WantedServer, record: JsonObject) -> None:
        """Give the broadcast domain of a segment the MTU that its network has; others on it were told another one."""
        segment = wanted.segment
        svms = self._array.records("svm/svms", query={"ipspace.name": place}, fields=("comment",))
        notes = [read_note(svm.get("comment")) for svm in svms]
        if any(note is None or note.resource_id != wanted.resource_id for note in notes):
            message = (
                f"VLAN {segment.tag} has an MTU of {record['mtu']} for other share servers there, and {segment.mtu} by this "
                "network; give the subnets of one VLAN one mtu"
            )
            raise ConflictError(message)
        self._array.patch((DOMAINS, record["uuid"]), {"mtu": segment.mtu})

    def _ensure_port(self, home: Home, wanted: WantedServer, place: str) -> str:
        """Make the VLAN port; where another process was quicker, join it. Returns the IPspace that the port is in."""
        body = {
            "type": "vlan",
            "node": {"name": home.node},
            "vlan": {"base_port": {"name": home.port, "node": {"name": home.node}}, "tag": wanted.segment.tag},
            "broadcast_domain": {"name": place, "ipspace": {"name": place}},
            "enabled": True,
        }
        if self._make(PORTS, body):
            return place
        query: Mapping[str, str | int] = {"node.name": home.node, "type": "vlan", "vlan.tag": wanted.segment.tag or 0}
        found = self._array.records(PORTS, query=query, fields=_PORT_FIELDS)
        port = next((each for each in found if each["vlan"]["base_port"]["name"] == home.port), None)
        name = port_name(home, wanted.segment)
        if port is None:
            message = f"the array says that the port {name} of {home.node} is there, and does not show it"
            raise TransientError(message)
        domain = port.get("broadcast_domain") or {}
        there = str(domain.get("ipspace", {}).get("name", ""))
        if there == place and domain.get("name") == place:
            return place
        if there and _tag_of(there) == wanted.segment.tag and not self._is_needed(place):
            self.remove_segment(place)
            return there
        where = f"the broadcast domain {domain['name']} of the IPspace {there}" if domain else "no broadcast domain"
        message = (
            f"the port {name} of {home.node} is there already, in {where}, and sharectl did not make it; "
            "remove it, or take another VLAN for this network"
        )
        raise ConflictError(message)

    def _is_needed(self, place: str) -> bool:
        ports = self._array.records(PORTS, query={"broadcast_domain.ipspace.name": place}, fields=("name",))
        return bool(ports or self._array.records("svm/svms", query={"ipspace.name": place}, fields=("name",)))

    def remove_segment(self, place: str) -> None:
        """Remove an IPspace that no SVM is in, with all that is in it; what is gone already is no error.

        Raises ConflictError where somebody else uses a part of it.
        """
        for port in self._array.records(
            PORTS, query={"broadcast_domain.ipspace.name": place}, fields=("name", "type", "node.name")
        ):
            shown = f"the port {port['name']} of {port['node']['name']}"
            if port["type"] != "vlan":
                message = (
                    f"{shown} is in the IPspace {place}, and sharectl did not put it there; move it, then apply again"
                )
                raise ConflictError(message)
            self._remove((PORTS, port["uuid"]), f"{shown} stays: a LIF that is not sharectl's is on it")
        for domain in self._array.records(DOMAINS, query={"ipspace.name": place}, fields=("name",)):
            self._remove((DOMAINS, domain["uuid"]), f"the broadcast domain {domain['name']} stays: ports are in it")
        for ipspace in self._array.records(IPSPACES, query={"name": place}, fields=("name",)):
            self._remove((IPSPACES, ipspace["uuid"]), f"the IPspace {place} stays: something is in it")

    def _make(self, path: str, body: JsonObject) -> bool:
        """Make something; tell whether it was not there yet."""
        try:
            self._array.post(path, body)
        except ArrayError as problem:
            if problem.kind != "dup":
                raise
            return False
        return True

    def _remove(self, path: tuple[str, str], stays: str) -> None:
        try:
            self._array.delete(path)
        except ArrayError as problem:
            if problem.kind == "inuse":
                message = f"{stays}; move it away, then apply again ({problem})"
                raise ConflictError(message) from problem
            if problem.kind != "gone":
                raise

    # LIFs and routes

    def lifs(self, svm: str) -> Sequence[FoundLif]:
        """Return the LIFs of the SVM that sharectl made."""
        return found_lifs(self._array.records(LIFS, query={"svm.name": svm}, fields=LIF_FIELDS))

    def ensure_lifs(self, svm: str, wanted: WantedServer, found: Iterable[FoundLif]) -> None:
        """Make the LIFs of an SVM as they are to be."""
        changes = lif_changes(wanted.lifs, found)
        for gone in changes.removed:
            self.remove_lif(gone.uuid)
        for change in changes.changed:
            body = {
                "ip": {"address": change.wanted.address, "netmask": str(change.wanted.prefix_length)},
                "location": {"home_node": {"name": change.wanted.node}, "home_port": _port(change.wanted)},
                "enabled": True,
            }
            self._array.patch((LIFS, change.found.uuid), _changed_parts(body, change.found, change.wanted))
        for lif in changes.made:
            self._make_lif(svm, lif)

    def remove_lif(self, uuid: str) -> None:
        """Remove a LIF; one that is gone is no error."""
        try:
            self._array.delete((LIFS, uuid))
        except ArrayError as problem:
            if problem.kind != "gone":
                raise

    def _make_lif(self, svm: str, lif: WantedLif) -> None:
        body = {
            "name": lif.name,
            "svm": {"name": svm},
            "ip": {"address": lif.address, "netmask": str(lif.prefix_length)},
            "location": {"home_node": {"name": lif.node}, "home_port": _port(lif)},
            "service_policy": {"name": SERVICE_POLICY},
            "enabled": True,
        }
        if self._make(LIFS, body):
            return
        if all(lif.name != found.name for found in self.lifs(svm)):
            message = f"the address {lif.address} is in use on the array already, by a LIF that is not one of this share server"
            raise ConflictError(message)

    def ensure_routes(self, svm: str, gateways: Sequence[str], *, is_new: bool) -> None:
        """Lead everything through the gateways; other routes are left as they are."""
        there = set()
        if gateways and not is_new:
            found = self._array.records(ROUTES, query={"svm.name": svm}, fields=("gateway", "destination"))
            there = {record["gateway"] for record in found if _is_default(record)}
        for gateway in gateways:
            if gateway not in there:
                self._make(ROUTES, {"svm": {"name": svm}, "gateway": gateway})


def _tag_of(ipspace: str) -> int | None:
    segment = segment_in(ipspace)
    return None if segment is None else segment[0]


def _place_among(ipspaces: Iterable[str], tag: int) -> str | None:
    return min((name for name in ipspaces if _tag_of(name) == tag), default=None)


def found_lifs(records: Iterable[JsonObject]) -> tuple[FoundLif, ...]:
    """Return the LIFs among these that sharectl made, by the places of their addresses."""
    lifs = (
        FoundLif(
            record["uuid"],
            record["name"],
            str(ipaddress.ip_address(record["ip"]["address"])),
            _prefix_length(record["ip"].get("netmask")),
            record.get("location", {}).get("home_node", {}).get("name", ""),
            record.get("location", {}).get("home_port", {}).get("name", ""),
            bool(record.get("enabled", True)),
            record.get("state", "up") == "up",
        )
        for record in records
        if lif_number(record["name"]) is not None
    )
    return tuple(sorted(lifs, key=lambda lif: lif_number(lif.name) or 0))


def _prefix_length(netmask: Any) -> int | None:  # noqa: ANN401 - as the array writes it
    text = str(netmask)
    if text.isdecimal():
        return int(text)
    try:
        return ipaddress.ip_network(f"0.0.0.0/{text}").prefixlen
    except ValueError:
        return None


def _port(lif: WantedLif) -> JsonObject:
    return {"name": lif.port, "node": {"name": lif.node}}


def _changed_parts(body: JsonObject, found: FoundLif, wanted: WantedLif) -> JsonObject:
    differs = {
        "ip": (found.address, found.prefix_length) != (wanted.address, wanted.prefix_length),
        "location": (found.node, found.port) != (wanted.node, wanted.port),
        "enabled": not found.is_enabled,
    }
    return {name: value for name, value in body.items() if differs[name]}


def _is_default(route: JsonObject) -> bool:
    destination = route.get("destination") or {}
    address = ipaddress.ip_address(destination.get("address") or "::")
    return address.is_unspecified and _prefix_length(destination.get("netmask", "0")) == 0
