"""Share servers and share networks, as people and programs see them."""

from __future__ import annotations

from dataclasses import replace

from sharectl.model.networks import NetworkAllocation
from sharectl.model.observed import ObservedShareServer
from sharectl.model.share_networks import SecurityServiceSpec, ShareNetworkSpec, ShareNetworkSubnet, ShareServerSpec
from sharectl.planner.records import share_server_record
from sharectl.render.resource import share_network_lines, share_network_object, share_server_lines
from sharectl.workspace.inspection import ShareNetworkView, ShareServerView
from tests.render.samples import a_record

_SUBNET = ShareNetworkSubnet("z1", "10.0.0.0/24", "10.0.0.1", "vlan", 7, excluded=("10.0.0.9",))
_SPEC = ShareServerSpec("red-z1", "red", _SUBNET, 2, (SecurityServiceSpec("people", "ldap", {}),))
_SEEN = ObservedShareServer("id", "vs1", "red-z1", ("10.0.0.2", "10.0.0.3"))
_ALLOCATIONS = (
    NetworkAllocation(
        "id/0", "id", "10.0.0.2", 4, "10.0.0.0/24", "10.0.0.1", "vlan", 7, 1500, "fa:16:3e:0:0:1", "port-1"
    ),
    NetworkAllocation("id/1", "id", "10.0.0.3", 4, "10.0.0.0/24", None, "flat", None, 9000),
)
_RECORD = share_server_record("share_server/red-z1@nas", "id", "nas", _SPEC, _SEEN, _ALLOCATIONS)
A_SERVER = ShareServerView("share_server/red-z1@nas", _RECORD, (a_record(),), _SEEN)
A_NETWORK = ShareNetworkView("share_network/red", ShareNetworkSpec("red", (_SUBNET,), ("people",)), ((_RECORD, 1),))


def test_a_share_server_is_shown_with_its_addresses_and_shares() -> None:
    """Each address with all that belongs to it."""
    text = "\n".join(share_server_lines(A_SERVER))
    assert "status             healthy" in text
    assert "network            share_network/red, subnet z1" in text
    assert "directory services people" in text
    assert "10.0.0.2 in 10.0.0.0/24, gateway 10.0.0.1, vlan 7, MTU 1500, MAC fa:16:3e:0:0:1, port port-1" in text
    assert "10.0.0.3 in 10.0.0.0/24, flat, MTU 9000" in text
    assert f"Shares\n  {a_record().address}" in text


def test_a_share_server_that_is_not_well_says_why() -> None:
    """And one that was not asked is as it was applied; one without shares says so."""
    unwell = replace(A_SERVER, observed=_SEEN._replace(healthy=False, problem="no answer"), shares=())
    assert "not well: no answer" in "\n".join(share_server_lines(unwell))
    silent = "\n".join(share_server_lines(replace(unwell, observed=None)))
    assert "status             applied" in silent
    assert "Shares\n  none" in silent


def test_a_share_network_is_shown_with_its_servers() -> None:
    """Subnets by zone, and how many shares are on each server."""
    text = "\n".join(share_network_lines(A_NETWORK))
    assert "z1: cidr 10.0.0.0/24; gateway 10.0.0.1; network_type vlan; segmentation_id 7; excluded 10.0.0.9" in text
    assert "share_server/red-z1@nas  10.0.0.2, 10.0.0.3  1 share" in text


def test_a_share_network_without_servers_or_without_manifest_says_so() -> None:
    """A subnet may leave everything to the network plugin."""
    bare = ShareNetworkView("share_network/red", ShareNetworkSpec("red", (ShareNetworkSubnet(),)), ())
    text = "\n".join(share_network_lines(bare))
    assert "default: described by the network plugin" in text
    assert "none: one is made with the first share" in text
    gone = replace(A_NETWORK, spec=None)
    assert "its manifest is gone" in "\n".join(share_network_lines(gone))
    assert share_network_object(gone)["spec"] is None
