"""Tunnels of several backends on one host: what each lets in, and what of it goes with whom; over IPv4 and over IPv6."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.linux.agent.contract import Problem
from sharectl.drivers.linux.agent.host.namespaces import Address, Segment, TenantNetworks
from tests.drivers.linux.lab import run
from tests.drivers.linux.tenants import segments_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.drivers.linux.tenants import Switch

ADDRESSES = [Address("10.20.0.10", "10.20.0.0/24", None)]


def segment(vni: int) -> Segment:
    """Return a VXLAN."""
    return Segment("vxlan", vni, 1450)


def networks(switch: Switch, *remotes: str, local: str = "192.0.2.10") -> TenantNetworks:
    """Return a backend's side of tenants' networks."""
    vxlan: dict[str, Any] = {"local": local, "remotes": list(remotes), "port": 4789}
    return TenantNetworks({"vxlan": vxlan}, switch.path)


def let_in(switch: Switch) -> set[str]:
    """Return the sources of the policies for tunnel packets, with the one that blocks all others."""
    lines = run("ip", "-n", switch.namespace, "xfrm", "policy", "list").stdout.splitlines()
    return {line.split()[1] for line in lines if line.startswith("src ")}


@pytest.fixture
def servers(switch: Switch) -> Iterator[list[str]]:
    """Give the ids of two share servers, whose namespaces are removed later."""
    ids = [str(uuid.uuid4()) for _ in range(2)]
    yield ids
    for server_id in ids:
        run("ip", "netns", "del", f"sharectl-{server_id}", check=False)
    assert segments_of(switch.path) == []


def test_backends_on_one_network_of_the_host_let_in_what_either_names(switch: Switch, servers: list[str]) -> None:
    """An end that one of them no longer names stays as long as the other does; the last tunnel takes the filter along."""
    one, other = networks(switch, "192.0.2.20", "192.0.2.21"), networks(switch, "192.0.2.21", "192.0.2.22")
    one.ensure(servers[0], segment(100), ADDRESSES)
    other.ensure(servers[1], segment(200), ADDRESSES)
    assert let_in(switch) == {"0.0.0.0/0", "192.0.2.20/32", "192.0.2.21/32", "192.0.2.22/32"}
    networks(switch).ensure(servers[0], segment(100), ADDRESSES)
    assert let_in(switch) == {"0.0.0.0/0", "192.0.2.21/32", "192.0.2.22/32"}
    one.remove(servers[0], segment(100))
    assert other.problem(servers[1], segment(200), ADDRESSES) == ""
    other.remove(servers[1], segment(200))
    assert let_in(switch) == set()


def test_two_share_servers_on_one_vxlan_go_one_by_one(switch: Switch, servers: list[str]) -> None:
    """The VXLAN stays until the last."""
    tenants = networks(switch, "192.0.2.20")
    for server_id, address in zip(servers, ("10.20.0.10", "10.20.0.11"), strict=True):
        tenants.ensure(server_id, segment(100), [Address(address, "10.20.0.0/24", None)])
    tenants.remove(servers[0], segment(100))
    assert tenants.problem(servers[1], segment(100), [Address("10.20.0.11", "10.20.0.0/24", None)]) == ""
    tenants.remove(servers[1], segment(100))


def test_the_ends_of_tunnels_may_have_ipv6_addresses(switch: Switch, servers: list[str]) -> None:
    """Whatever their spelling."""
    run("ip", "-n", switch.namespace, "addr", "add", "2001:db8::10/64", "dev", "lo", "nodad")
    tenants = networks(switch, "2001:DB8:0::20", local="2001:db8:0::10")
    tenants.ensure(servers[0], segment(100), ADDRESSES)
    assert tenants.problem(servers[0], segment(100), ADDRESSES) == ""
    assert let_in(switch) == {"::/0", "2001:db8::20/128"}
    tenants.remove(servers[0], segment(100))
    assert let_in(switch) == set()


def test_another_end_of_this_host_makes_the_tunnel_anew(switch: Switch, servers: list[str]) -> None:
    """A device keeps the address that it was made with."""
    run("ip", "-n", switch.namespace, "addr", "add", "192.0.2.11/24", "dev", "lo")
    networks(switch).ensure(servers[0], segment(100), ADDRESSES)
    moved = networks(switch, local="192.0.2.11")
    assert (
        moved.problem(servers[0], segment(100), ADDRESSES)
        == "the tunnel of its VXLAN 100 has other ends than the settings say"
    )
    moved.ensure(servers[0], segment(100), ADDRESSES)
    assert moved.problem(servers[0], segment(100), ADDRESSES) == ""
    moved.remove(servers[0], segment(100))


def test_a_vxlan_without_settings_or_number_is_refused(switch: Switch, servers: list[str]) -> None:
    """In words that say where to write it."""
    with pytest.raises(Problem, match=r"a VXLAN needs tenantNetworks\.vxlan in the settings"):
        TenantNetworks({}, switch.path).ensure(servers[0], segment(100), ADDRESSES)
    with pytest.raises(Problem, match="a VXLAN needs a segmentation id"):
        networks(switch).ensure(servers[1], Segment("vxlan", None, 1450), ADDRESSES)
