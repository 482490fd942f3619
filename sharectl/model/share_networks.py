"""Tenants' networks, the directory services on them, and the share servers that answer there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sharectl.model.codec import Spec
from sharectl.model.fields import Policy, ruled
from sharectl.model.frozen import dataclass, field
from sharectl.model.kinds import Kind
from sharectl.model.verbs import Verb

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIXED: Final = ruled(
    Policy.IMMUTABLE,
    because="{address} and its shares answer there, and clients would lose them.",
    way_out="take the change back; describe a new share network, and move shares to it with spec.replacement",
)
_FUTURE: Final = ruled(Policy.METADATA)


@dataclass(frozen=True, slots=True)
class ShareNetworkSubnet:
    """One subnet of a share network: either described here, or by ids of the network service.

    Share servers get addresses from `allocation_ranges` alone (default: all hosts of `cidr`), and none from `excluded`; each is an
    address, `first-last` or a CIDR.
    """

    availability_zone: str | None = field(
        default=None,
        metadata=ruled(
            Policy.IMMUTABLE,
            because="the share server and the shares on it would lose their network.",
            way_out="put the subnet back until the shares on that server are gone",
        ),
    )
    cidr: str | None = field(default=None, metadata=_FIXED)
    gateway: str | None = field(default=None, metadata=_FIXED)
    network_type: str | None = field(default=None, metadata=_FIXED)
    segmentation_id: int | None = field(default=None, metadata=_FIXED)
    mtu: int | None = field(default=None, metadata=_FIXED)
    neutron_net_id: str | None = field(default=None, metadata=_FIXED)
    neutron_subnet_id: str | None = field(default=None, metadata=_FIXED)
    nova_net_id: str | None = field(default=None, metadata=_FIXED)
    allocation_ranges: tuple[str, ...] = field(default=(), metadata=_FUTURE)
    excluded: tuple[str, ...] = field(default=(), metadata=_FUTURE)


@dataclass(frozen=True, slots=True)
class ShareNetworkSpec(Spec):
    """A tenant's network, on which share servers answer."""

    name: str = field(metadata=ruled(Policy.IDENTITY))
    subnets: tuple[ShareNetworkSubnet, ...]
    security_services: tuple[str, ...] = field(
        default=(),
        metadata=ruled(
            Policy.IN_PLACE,
            verbs=(Verb.UPDATE_SHARE_SERVER,),
            refers_to=Kind.SECURITY_SERVICE,
            is_prerequisite=True,
            because="the driver joins them when it makes a share server, and cannot change that later.",
            way_out="take the change back, or describe a new share network and move the shares to it with spec.replacement",
        ),
    )
    labels: Mapping[str, str] = field(default_factory=dict, metadata=ruled(Policy.UNRECORDED))


@dataclass(frozen=True, slots=True)
class SecurityServiceSpec(Spec):
    """A directory service: `service_type` is `active_directory`, `ldap` or `kerberos`; the password is a reference."""

    name: str = field(metadata=ruled(Policy.IDENTITY))
    service_type: str = field(metadata=ruled(Policy.IN_PLACE, written="type", verbs=(Verb.UPDATE_SHARE_SERVER,)))
    config: Mapping[str, Any] = field(
        metadata=ruled(Policy.IN_PLACE, is_spread=True, verbs=(Verb.UPDATE_SHARE_SERVER,))
    )
    labels: Mapping[str, str] = field(default_factory=dict, metadata=ruled(Policy.METADATA, is_always_kept=True))


@dataclass(frozen=True, slots=True)
class ShareServerSpec(Spec):
    """What the planner wants of a share server: the subnet of its network, how many addresses, which directory services it joins.

    `name` is `NETWORK-SUBNET`, where SUBNET is the subnet's availability zone or `default`.
    """

    name: str = field(metadata=ruled(Policy.IDENTITY))
    share_network: str = field(metadata=ruled(Policy.IDENTITY, refers_to=Kind.SHARE_NETWORK, is_prerequisite=True))
    subnet: ShareNetworkSubnet
    address_count: int = field(
        default=1, metadata=ruled(Policy.IN_PLACE, minimum=1, verbs=(Verb.UPDATE_SHARE_SERVER,), is_always_kept=True)
    )
    security_services: tuple[SecurityServiceSpec, ...] = ()
