"""Neutron's API: the requests that the plugin makes, and what networks, subnets and ports say of an allocation, on JSON as Neutron sends it."""

from __future__ import annotations

import ipaddress
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sharectl.model.networks import NetworkAllocation
from sharectl.network.base import NetworkError, NetworkExhaustedError, NetworkNotFoundError
from sharectl.network.openstack.service import OpenStackService, error_of
from sharectl.network.wires import segmentation_problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sharectl.model.canonical import JsonObject
    from sharectl.network.base import SecretResolver
    from sharectl.network.openstack.account import Account
    from sharectl.network.openstack.service import Answer


DEVICE_OWNER: Final = "manila:share"
"""Manila's own mark, so that firewalls, quota reports and operators' tools that know Manila's ports know sharectl's too."""

_ID: Final = re.compile(r"[0-9A-Za-z-]{1,64}")
_PORT_FIELDS: Final = (
    "id",
    "name",
    "description",
    "network_id",
    "device_id",
    "device_owner",
    "fixed_ips",
    "mac_address",
    "status",
    "created_at",
    "binding:vif_type",
)
_PAGE_SIZE: Final = 1000
_IDS_AT_ONCE: Final = 50  # a request line of about 2,000 characters, which every proxy lets through
_NO_ADDRESS: Final = frozenset({"IpAddressGenerationFailure", "IpAddressGenerationFailureAllServices"})
_NO_QUOTA: Final = "OverQuota"
_ADDRESS_REFUSED: Final = frozenset(
    {"IpAddressAlreadyAllocated", "IpAddressInUse", "InvalidIpForSubnet", "InvalidIpForNetwork"}
)


class NeutronApi:
    """Neutron for one account; may be used by several threads at once."""

    def __init__(self, account: Account, resolve_secret: SecretResolver) -> None:
        """Make no connection yet."""
        self._service = OpenStackService(account, resolve_secret, "Neutron", "network", "/v2.0")

    def ports(self, **filters: str) -> list[JsonObject]:
        """Return all ports of sharectl and Manila that match the filters, page by page."""
        return self._pages("ports", {"device_owner": DEVICE_OWNER, "fields": _PORT_FIELDS, **filters})

    def create_port(self, port: Mapping[str, Any], *, address: str | None) -> JsonObject | None:
        """Make a port; return None if the `address` that it asks for is not available.

        Raises NetworkExhaustedError where the subnet has no address left, or the project no port.
        """
        what = f"create a port on the network {port['network_id']}"
        answer = self._service.call(
            "POST", "/ports", what, body={"port": port}, accept=(HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT)
        )
        if not answer.is_refusal:
            created: JsonObject = answer.body["port"]
            return created
        if address is not None and answer.kind in _ADDRESS_REFUSED:
            return None
        if answer.kind in _NO_ADDRESS:
            message = (
                f"no address is free in the Neutron network {port['network_id']}: {answer.message}; "
                "give its subnet a further allocation pool, or delete ports that nobody needs"
            )
            raise NetworkExhaustedError(message)
        if answer.kind == _NO_QUOTA:
            message = (
                f"the project's quota of Neutron ports is used up: {answer.message}; "
                "raise it (openstack quota set --ports), or delete ports that nobody needs"
            )
            raise NetworkExhaustedError(message)
        raise error_of(answer, "Neutron", what)

    def update_port(self, port_id: str, changes: Mapping[str, Any]) -> JsonObject:
        """Change a port and return it."""
        answer = self._service.call("PUT", f"/ports/{port_id}", f"change the port {port_id}", body={"port": changes})
        port: JsonObject = answer.body["port"]
        return port

    def delete_port(self, port_id: str) -> None:
        """Delete a port; it is not an error if it is already gone."""
        self._service.call("DELETE", f"/ports/{port_id}", f"delete the port {port_id}", accept=(HTTPStatus.NOT_FOUND,))

    def free_addresses(self, network_id: str, subnet_id: str) -> tuple[int, int] | None:
        """Return how many addresses of a subnet are free, and of how many; None where Neutron does not tell this account."""
        answer = self._optional(f"/network-ip-availabilities/{network_id}", "count free addresses")
        subnets = answer.body.get("network_ip_availability", {}).get("subnet_ip_availability", ())
        found = next((subnet for subnet in subnets if subnet["subnet_id"] == subnet_id), None)
        return None if found is None else (max(0, found["total_ips"] - found["used_ips"]), found["total_ips"])

    def free_ports(self) -> tuple[int, int] | None:
        """Return how many ports the project may still have, and of how many; None where that is unlimited or not told."""
        project_id = self._service.project_id()
        if project_id is None:
            return None
        answer = self._optional(f"/quotas/{project_id}/details.json", "read the project's quota")
        quota = answer.body.get("quota", {}).get("port", {"limit": -1})
        if quota["limit"] < 0:
            return None
        return max(0, quota["limit"] - quota["used"] - quota["reserved"]), quota["limit"]

    def close(self) -> None:
        """Close the connections."""
        self._service.close()

    def one(self, kind: str, identifier: str) -> JsonObject:
        """Return a `network`, `subnet` or `port`; raises NetworkNotFoundError."""
        if _ID.fullmatch(identifier) is None:
            message = f"{identifier[:80]!r} is not the id of a Neutron {kind}; openstack {kind} list shows them"
            raise NetworkNotFoundError(message)
        what = f"read the {kind} {identifier}"
        answer = self._service.call("GET", f"/{kind}s/{identifier}", what, accept=(HTTPStatus.NOT_FOUND,))
        if answer.is_refusal:
            message = f"Neutron has no {kind} {identifier}, or does not show it to this account; openstack {kind} list shows those it has"
            raise NetworkNotFoundError(message)
        found: JsonObject = answer.body[kind]
        return found

    def several(self, kind: str, identifiers: Iterable[str]) -> dict[str, JsonObject]:
        """Return `networks` or `subnets` by their ids, those that are there."""
        wanted = sorted(identifiers)
        parts = (wanted[start : start + _IDS_AT_ONCE] for start in range(0, len(wanted), _IDS_AT_ONCE))
        return {found["id"]: found for part in parts for found in self._pages(kind, {"id": part})}

    def _pages(self, kind: str, filters: Mapping[str, Any]) -> list[JsonObject]:
        found: list[JsonObject] = []
        parameters = {**filters, "limit": str(_PAGE_SIZE)}
        while True:
            body = self._service.call("GET", f"/{kind}", f"list {kind}", parameters=parameters).body
            found += body[kind]
            if not any(link.get("rel") == "next" for link in body.get(f"{kind}_links", ())):
                return found
            parameters["marker"] = found[-1]["id"]

    def _optional(self, path: str, what: str) -> Answer:
        return self._service.call("GET", path, what, accept=(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND))


_TYPE: Final = "provider:network_type"
_SEGMENT: Final = "provider:segmentation_id"
_PHYSICAL: Final = "provider:physical_network"


class UnusableSubnetError(NetworkError):
    """The subnet of the share network cannot be used, whatever state Neutron is in."""


class Segment(NamedTuple):
    """The wire of a Neutron network."""

    network_type: str
    segmentation_id: int | None
    mtu: int


def segment_of(network: JsonObject, physical_network: str | None) -> Segment:
    """Return the wire of a network; of several segments, the one on `physical_network`, as Manila's plugin does.

    Raises UnusableSubnetError where Neutron does not show it, where it is not clear which is meant, and where the ids cannot be.
    """
    where = f"the Neutron network {network['id']}"
    if "segments" in network:
        found = [segment for segment in network["segments"] if segment.get(_PHYSICAL) == physical_network]
        if physical_network is None or len(found) != 1:
            names = ", ".join(sorted(str(segment.get(_PHYSICAL)) for segment in network["segments"]))
            message = f"{where} has several segments, on {names}; name one of these as physicalNetwork in the backend's network config"
            raise UnusableSubnetError(message)
        provider = found[0]
    else:
        provider = network
    if provider.get(_TYPE) is None:
        message = (
            f"Neutron does not show which segment {where.removeprefix('the ')} is; "
            "give the account a role that may read provider attributes (admin, or by Neutron's policy)"
        )
        raise UnusableSubnetError(message)
    segment = Segment(provider[_TYPE], provider.get(_SEGMENT), network["mtu"])
    problem = segmentation_problem(segment.network_type, segment.segmentation_id)
    if problem:
        message = f"{where} cannot be used: {problem}"
        raise UnusableSubnetError(message)
    return segment


def address_on(port: JsonObject, subnet_id: str) -> str | None:
    """Return the first address that the port has on the subnet, canonical, or None."""
    for fixed in port["fixed_ips"]:
        if fixed["subnet_id"] == subnet_id:
            return str(ipaddress.ip_address(fixed["ip_address"]))
    return None


def chosen_port(ports: Sequence[JsonObject], subnet_id: str, preferred_address: str | None) -> JsonObject | None:
    """Return the port to keep of those that were made for one allocation: that with the preferred address, else the oldest; or None.

    A port without an address on the subnet is not kept.
    """
    usable = sorted((port for port in ports if address_on(port, subnet_id)), key=age)
    return next((port for port in usable if address_on(port, subnet_id) == preferred_address), next(iter(usable), None))


def age(port: JsonObject) -> tuple[str, str]:
    """Return what sorts ports from the oldest to the youngest, the same for whoever looks."""
    return port.get("created_at") or "", port["id"]


def allocation_of(port: JsonObject, segment: Segment, subnet: JsonObject) -> NetworkAllocation:
    """Return the allocation that a port on that subnet is."""
    address = address_on(port, subnet["id"])
    if address is None:
        message = f"the Neutron port {port['id']} has lost its address on the subnet {subnet['id']}; apply again"
        raise NetworkError(message)
    return NetworkAllocation(
        allocation_id=port["name"],
        share_server_id=port["device_id"],
        ip_address=address,
        ip_version=subnet["ip_version"],
        cidr=subnet["cidr"],
        gateway=subnet["gateway_ip"],
        network_type=segment.network_type,
        segmentation_id=segment.segmentation_id,
        mtu=segment.mtu,
        mac_address=port["mac_address"],
        port_id=port["id"],
    )
