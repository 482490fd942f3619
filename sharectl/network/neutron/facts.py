"""What Neutron's networks, subnets and ports say of an allocation: pure functions over their JSON."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.network.base import NetworkAllocation, NetworkError
from sharectl.network.segments import segmentation_problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.model.canonical import JsonObject

_TYPE: Final = "provider:network_type"
_SEGMENT: Final = "provider:segmentation_id"
_PHYSICAL: Final = "provider:physical_network"


class UnusableSubnetError(NetworkError):
    """The subnet of the share network cannot be used as it is, whatever becomes of Neutron."""


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

    A port that has no address on the subnet (any more) is none to keep.
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
