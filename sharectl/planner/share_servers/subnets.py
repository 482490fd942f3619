"""Subnets of share networks: which of them serves a backend, and what the share server on it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.kinds import Kind, address_of
from sharectl.model.share_networks import ShareServerSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.model.kinds import Address
    from sharectl.model.share_networks import SecurityServiceSpec, ShareNetworkSpec, ShareNetworkSubnet

_DEFAULT: Final = "default"


def subnet_for(network: ShareNetworkSpec, zone: str | None) -> ShareNetworkSubnet | None:
    """Return the subnet for backends in the zone: the zone's own, else the one without a zone, as Manila chooses; None where neither is."""
    by_zone = {subnet.availability_zone: subnet for subnet in network.subnets}
    return by_zone.get(zone) or by_zone.get(None)


def subnet_label(subnet: ShareNetworkSubnet) -> str:
    """Return how addresses of share servers name the subnet: its availability zone, or `default`."""
    return subnet.availability_zone or _DEFAULT


def server_address(network: str, subnet: ShareNetworkSubnet, backend: str) -> Address:
    """Return `share_server/NETWORK-SUBNET@BACKEND`."""
    return address_of(Kind.SHARE_SERVER, f"{network}-{subnet_label(subnet)}@{backend}")


def server_spec(
    network: ShareNetworkSpec,
    subnet: ShareNetworkSubnet,
    address_count: int,
    security_services: Mapping[str, SecurityServiceSpec],
) -> ShareServerSpec:
    """Return what a share server in the subnet is to be; `security_services` are all that the manifests describe."""
    return ShareServerSpec(
        name=f"{network.name}-{subnet_label(subnet)}",
        share_network=network.name,
        subnet=subnet,
        address_count=address_count,
        security_services=tuple(
            security_services[name] for name in network.security_services if name in security_services
        ),
    )


def allocation_ids(server_id: str, count: int) -> tuple[str, ...]:
    """Return the ids under which a share server's addresses are asked for; they follow from its own, so that none is ever lost."""
    return tuple(f"{server_id}/{number}" for number in range(count))
