"""What a share server is to be on the array: its segment, its LIFs, its routes and what it joins, from a request alone. Pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.drivers.base import DriverError
from sharectl.drivers.ontap.share_servers.directory import directory_of, known_directory_of
from sharectl.drivers.ontap.share_servers.names import digits_of, lif_name
from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sharectl.drivers.ontap.share_servers.directory import Directory
    from sharectl.drivers.ontap.share_servers.settings import Home, ShareServerSettings
    from sharectl.model.networks import NetworkAllocation
    from sharectl.model.requests import ShareServerRequest

FLAT: Final = "flat"
VLAN: Final = "vlan"
_UNTAGGED: Final = frozenset({FLAT, "none"})
_MOST_TAGS: Final = 4094
_SMALLEST_MTU: Final = 68
_LARGEST_MTU: Final = 9000


class Segment(NamedTuple):
    """The network that a share server is on: `tag` is None where its packets carry none."""

    tag: int | None
    mtu: int


class WantedLif(NamedTuple):
    """A LIF as it is to be, at home on a `port` of a `node`; `prefix_length` is that of its subnet."""

    name: str
    address: str
    prefix_length: int
    node: str
    port: str


@dataclass(frozen=True, slots=True)
class WantedServer:
    """A share server as it is to be. `left` is what it had joined before, where the state knows."""

    resource_id: str
    name: str
    segment: Segment
    homes: tuple[Home, ...]
    lifs: tuple[WantedLif, ...]
    gateways: tuple[str, ...]
    directory: Directory
    left: Directory


def wanted_server(request: ShareServerRequest, settings: ShareServerSettings) -> WantedServer:
    """Return what the request asks for. Raises DriverError where the array cannot have it."""
    digits_of(request.resource_id)
    segment = segment_of(request.name, request.allocations)
    homes = [settings.homes[number % len(settings.homes)] for number in range(len(request.allocations))]
    lifs = tuple(
        WantedLif(
            lif_name(number),
            allocation.ip_address,
            ipaddress.ip_network(allocation.cidr).prefixlen,
            home.node,
            port_name(home, segment),
        )
        for number, (allocation, home) in enumerate(zip(request.allocations, homes, strict=True))
    )
    gateways = (allocation.gateway for allocation in request.allocations if allocation.gateway is not None)
    return WantedServer(
        resource_id=request.resource_id,
        name=request.name,
        segment=segment,
        homes=tuple(dict.fromkeys(homes)),
        lifs=lifs,
        gateways=tuple(dict.fromkeys(gateways)),
        directory=directory_of(request.security_services),
        left=known_directory_of(request.former_security_services),
    )


def segment_of(name: str, allocations: Sequence[NetworkAllocation]) -> Segment:
    """Return the one network that all addresses are on. Raises DriverError where there are several, none, or one that cannot be had."""
    found = {(each.network_type, each.segmentation_id, each.mtu) for each in allocations}
    if len(found) != 1:
        message = f"a share server is on one network; {name!r} was given addresses on {len(found)}"
        raise DriverError(message)
    network_type, segmentation_id, mtu = found.pop()
    problem = segment_problem(network_type, segmentation_id, mtu)
    if problem is not None:
        message = f"{problem[0]}; {problem[1]}"
        raise DriverError(message)
    return Segment(segmentation_id if network_type == VLAN else None, mtu)


def segment_problem(network_type: str | None, segmentation_id: int | None, mtu: int | None) -> tuple[str, str] | None:
    """Return what keeps an array from being on such a network, and the way out; None of what is not known yet is a problem."""
    if network_type is not None and network_type != VLAN and network_type not in _UNTAGGED:
        return (
            f"an array has ports on VLANs and flat networks, and none on a network of the type {network_type}",
            "describe a subnet with networkType vlan or flat for this backend, or let a gateway lead it into a VLAN",
        )
    if network_type == VLAN and segmentation_id is not None and not 1 <= segmentation_id <= _MOST_TAGS:
        return f"a VLAN has an id from 1 to {_MOST_TAGS}, and this one {segmentation_id}", "correct segmentationId"
    if network_type == VLAN and mtu is not None and not _SMALLEST_MTU <= mtu <= _LARGEST_MTU:
        return (
            f"a broadcast domain has an MTU from {_SMALLEST_MTU} to {_LARGEST_MTU}, and this network {mtu}",
            "correct mtu",
        )
    return None


class FoundLif(NamedTuple):
    """A LIF as it is there."""

    uuid: str
    name: str
    address: str
    prefix_length: int | None
    node: str
    port: str
    is_enabled: bool
    is_up: bool


class LifChange(NamedTuple):
    """What is to be done to a LIF that is there."""

    found: FoundLif
    wanted: WantedLif


@dataclass(frozen=True, slots=True)
class LifChanges:
    """What leads from the LIFs of a share server to those that it is to have, in this order."""

    removed: tuple[FoundLif, ...] = ()
    changed: tuple[LifChange, ...] = ()
    made: tuple[WantedLif, ...] = ()


def lif_changes(wanted: Iterable[WantedLif], found: Iterable[FoundLif]) -> LifChanges:
    """Return what has to change. Where LIFs exchange addresses, those that lose theirs are made again: an address is in use only once."""
    wanted = tuple(wanted)
    there = {lif.name: lif for lif in found}
    names = {lif.name for lif in wanted}
    moving = {lif.name for lif in wanted if lif.name in there and there[lif.name].address != lif.address}
    taken = {lif.address for lif in there.values()}
    again = moving if any(lif.name in moving and lif.address in taken for lif in wanted) else set()
    return LifChanges(
        removed=tuple(lif for name, lif in there.items() if name not in names or name in again),
        changed=tuple(
            LifChange(there[lif.name], lif)
            for lif in wanted
            if lif.name in there and lif.name not in again and _differs(there[lif.name], lif)
        ),
        made=tuple(lif for lif in wanted if lif.name not in there or lif.name in again),
    )


def _differs(found: FoundLif, wanted: WantedLif) -> bool:
    is_so = (found.address, found.prefix_length, found.node, found.port, found.is_enabled)
    return is_so != (wanted.address, wanted.prefix_length, wanted.node, wanted.port, True)


def port_name(home: Home, segment: Segment) -> str:
    """Return the port that a LIF is at home on: the one of the configuration, or its VLAN port."""
    return home.port if segment.tag is None else f"{home.port}-{segment.tag}"
