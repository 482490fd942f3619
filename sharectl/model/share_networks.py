"""Tenants' networks, the directory services on them, and the share servers that answer there."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.model.canonical import JsonObject


@dataclass(frozen=True, slots=True)
class ShareNetworkSubnet:
    """One subnet of a share network: either described here, or by ids of the network service.

    `allocation_ranges` are the only addresses that share servers may get (all hosts of `cidr` where there are none), `excluded` those
    that they may not; each is an address, `first-last` or a CIDR.
    """

    availability_zone: str | None = None
    cidr: str | None = None
    gateway: str | None = None
    network_type: str | None = None
    segmentation_id: int | None = None
    mtu: int | None = None
    neutron_net_id: str | None = None
    neutron_subnet_id: str | None = None
    nova_net_id: str | None = None
    allocation_ranges: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ShareNetworkSpec:
    """A tenant's network, on which share servers answer."""

    name: str
    subnets: tuple[ShareNetworkSubnet, ...]
    security_services: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SecurityServiceSpec:
    """A directory service: `service_type` is `active_directory`, `ldap` or `kerberos`; the password is a reference."""

    name: str
    service_type: str
    config: Mapping[str, Any]
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ShareServerSpec:
    """What the planner wants of a share server: the subnet of its network, how many addresses, which directory services it joins.

    `name` is `NETWORK-SUBNET`, where SUBNET is the subnet's availability zone or `default`.
    """

    name: str
    share_network: str
    subnet: ShareNetworkSubnet
    address_count: int = 1
    security_services: tuple[SecurityServiceSpec, ...] = ()

    def as_plain(self) -> JsonObject:
        """Return the JSON object from which `from_plain` makes an equal value; what is None or empty is left out."""
        subnet = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self.subnet).items() if v}
        services = [asdict(service) for service in self.security_services]
        plain = {"name": self.name, "share_network": self.share_network, "subnet": subnet}
        return {**plain, "address_count": self.address_count, **({"security_services": services} if services else {})}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> ShareServerSpec:
        """Return the spec that `as_plain` wrote."""
        subnet: JsonObject = {
            name: tuple(value) if isinstance(value, list) else value for name, value in plain["subnet"].items()
        }
        services = tuple(SecurityServiceSpec(**service) for service in plain.get("security_services", ()))
        return cls(
            plain["name"], plain["share_network"], ShareNetworkSubnet(**subnet), plain["address_count"], services
        )
