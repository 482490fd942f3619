"""Share servers and share networks, for people and programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from sharectl.model.kinds import Kind, address_of
from sharectl.planner.share_servers.changes import subnet_label
from sharectl.render.formats import document
from sharectl.render.paint import paint
from sharectl.render.state_tables import record_fields
from sharectl.render.text import PLAIN, counted, listed, visible
from sharectl.state.rows import allocations_of, server_spec_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.model.canonical import JsonObject
    from sharectl.model.networks import NetworkAllocation
    from sharectl.model.share_networks import ShareNetworkSubnet
    from sharectl.render.text import Look
    from sharectl.workspace.tenancy import ShareNetworkView, ShareServerView

_LABEL_WIDTH: Final = 18


def share_server_lines(view: ShareServerView, look: Look = PLAIN) -> Iterator[str]:
    """Yield the share server: its place, its addresses with what belongs to them, and its shares."""
    spec = server_spec_of(view.record)
    yield paint(visible(view.address), "heading", look.color)
    yield from _fact("status", _status(view))
    yield from _fact("backend", view.record.backend)
    yield from _fact("resource id", view.record.resource_id)
    yield from _fact(
        "network", f"{address_of(Kind.SHARE_NETWORK, spec.share_network)}, subnet {subnet_label(spec.subnet)}"
    )
    services = ", ".join(service.name for service in spec.security_services)
    yield from _fact("directory services", services or None)
    for title, lines in (
        ("Addresses", [_allocation_text(allocation) for allocation in allocations_of(view.record)]),
        ("Shares", [share.address for share in view.shares]),
    ):
        yield ""
        yield paint(title, "heading", look.color)
        yield from (f"  {visible(line)}" for line in lines or ["none"])


def share_server_object(view: ShareServerView) -> JsonObject:
    """Return the share server as a JSON object, `sharectl-share-server` version 1; what is not known is null."""
    return document(
        "share-server",
        address=view.address,
        record=record_fields(view.record),
        allocations=[asdict(allocation) for allocation in allocations_of(view.record)],
        shares=[share.address for share in view.shares],
        observed=None if view.observed is None else view.observed._asdict(),
    )


def share_network_lines(view: ShareNetworkView, look: Look = PLAIN) -> Iterator[str]:
    """Yield the share network: its subnets, its directory services and its share servers."""
    yield paint(visible(view.address), "heading", look.color)
    if view.spec is None:
        yield from _fact("status", "its manifest is gone, and share servers are still on it")
    else:
        yield from _fact("directory services", listed(list(view.spec.security_services), 16) or None)
        yield ""
        yield paint("Subnets", "heading", look.color)
        yield from (f"  {visible(_subnet_text(subnet))}" for subnet in view.spec.subnets)
    yield ""
    yield paint("Share servers", "heading", look.color)
    for record, shares in view.servers:
        addresses = ", ".join(allocation.ip_address for allocation in allocations_of(record))
        yield f"  {visible(record.address)}  {visible(addresses)}  {counted(shares, 'share')}"
    if not view.servers:
        yield "  none: one is made with the first share"


def share_network_object(view: ShareNetworkView) -> JsonObject:
    """Return the share network as a JSON object, `sharectl-share-network` version 1; the spec is null where its manifest is gone."""
    return document(
        "share-network",
        address=view.address,
        spec=None if view.spec is None else asdict(view.spec),
        servers=[
            {
                "address": record.address,
                "backend": record.backend,
                "allocations": [asdict(allocation) for allocation in allocations_of(record)],
                "shares": shares,
            }
            for record, shares in view.servers
        ],
    )


def _status(view: ShareServerView) -> str:
    if view.observed is None:
        return "applied"
    return "healthy" if view.observed.healthy else f"not well: {view.observed.problem}"


def _fact(label: str, text: str | None) -> Iterator[str]:
    if text is not None:
        yield f"  {label:<{_LABEL_WIDTH}} {visible(text)}"


def _allocation_text(allocation: NetworkAllocation) -> str:
    words = [f"{allocation.ip_address} in {allocation.cidr}"]
    words += [f"gateway {allocation.gateway}"] if allocation.gateway is not None else []
    segment = "" if allocation.segmentation_id is None else f" {allocation.segmentation_id}"
    words += [f"{allocation.network_type}{segment}", f"MTU {allocation.mtu}"]
    words += [f"MAC {allocation.mac_address}"] if allocation.mac_address is not None else []
    words += [f"port {allocation.port_id}"] if allocation.port_id is not None else []
    return ", ".join(words)


def _subnet_text(subnet: ShareNetworkSubnet) -> str:
    found = {name: value for name, value in asdict(subnet).items() if value not in (None, ())}
    found.pop("availability_zone", None)
    parts = (f"{name} {', '.join(value) if isinstance(value, tuple) else value}" for name, value in found.items())
    return f"{subnet_label(subnet)}: {'; '.join(parts) or 'described by the network plugin'}"
