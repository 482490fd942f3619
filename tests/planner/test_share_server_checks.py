"""Share servers that a driver would refuse: told before anything is called, at the share or at its network."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from sharectl.model.backends import BackendSpec
from sharectl.model.diagnostics import has_errors
from sharectl.model.share_networks import SecurityServiceSpec, ShareNetworkSpec, ShareNetworkSubnet
from sharectl.model.specs import ShareSpec
from sharectl.planner.shares.checks import ShareChecks
from tests.desired import desired_of
from tests.planner.world import World, codes

if TYPE_CHECKING:
    from pathlib import Path

_DRIVER = """
from sharectl.drivers.base import Capability
from sharectl.drivers.share_checks import ShareServerProblem


class Factory:
    config_schema = {}
    capabilities = frozenset(Capability)

    def open(self, *_): ...

    def share_server_problems(self, backend, server, protocols):
        if server.subnet.network_type == "vxlan":
            yield ShareServerProblem("there are no tunnels", "take a VLAN")
        if "CIFS" in protocols and not server.security_services:
            yield ShareServerProblem("CIFS needs a domain", "name one")


FACTORY = Factory()
"""
VLAN = ShareNetworkSubnet(cidr="10.0.0.0/24", network_type="vlan", segmentation_id=7)
VXLAN = ShareNetworkSubnet(cidr="10.0.0.0/24", network_type="vxlan", segmentation_id=7)
DOMAIN = SecurityServiceSpec("ad", "active_directory", {"domain": "corp.example"})


@pytest.fixture(autouse=True)
def _acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a driver that makes no share servers on VXLANs, and none for CIFS without a domain."""
    (tmp_path / "acme_servers.py").write_text(_DRIVER)
    metadata = tmp_path / "acme_servers-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-servers\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[sharectl.drivers]\nacme = acme_servers:FACTORY\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "acme_servers", raising=False)


def certain(subnet: ShareNetworkSubnet, protocol: str = "NFS", *services: SecurityServiceSpec) -> list[tuple[str, ...]]:
    """Return what is certain of a share on such a network, with one backend of that driver and one that has no share servers."""
    desired = desired_of(
        backends=[BackendSpec("arrays", "acme", {}, share_servers=True)],
        share_networks=[ShareNetworkSpec("red", (subnet,), tuple(service.name for service in services))],
        security_services=services,
    )
    found = ShareChecks(desired).certain(ShareSpec("a", 1, protocol, share_network="red"), ())
    return [(*each.problem.path, each.problem.summary) for each in found]


def test_a_network_that_no_backend_can_be_on_is_told_at_the_share() -> None:
    """By `validate`, which reaches nobody."""
    assert certain(VXLAN) == [("shareNetwork", "there are no tunnels")]
    assert certain(VLAN) == []


def test_a_protocol_that_the_network_has_no_directory_for_is_told() -> None:
    """With one it is fine."""
    assert certain(VLAN, "CIFS") == [("shareNetwork", "CIFS needs a domain")]
    assert certain(VLAN, "CIFS", DOMAIN) == []


def test_a_share_goes_to_a_backend_that_can_be_on_its_network() -> None:
    """The other is no candidate, and says why where it is asked."""
    world = World("nas").has_tenants("arrays").has_tenants("hosts").has_network("red", network_type="vxlan")
    world.backends["arrays"].spec = BackendSpec("arrays", "acme", {}, share_servers=True)
    plan = world.wants("a", share_network="red").plan()
    (made,) = [step for step in plan.steps if step.address == "share/a"]
    assert {candidate.backend for candidate in made.candidates} == {"hosts"}
    alone = World("nas").has_tenants("arrays").has_network("red", network_type="vxlan")
    alone.backends["arrays"].spec = BackendSpec("arrays", "acme", {}, share_servers=True)
    plan = alone.wants("a", share_network="red").plan()
    assert has_errors(plan.diagnostics)
    assert "there are no tunnels" in plan.diagnostics[0].summary
    assert not [step for step in plan.steps if step.address.startswith("share")]


def test_a_directory_service_that_the_shares_need_is_not_taken_away() -> None:
    """The server keeps it, and the plan says what would be lost."""
    from tests.planner.model import settle  # noqa: PLC0415 - needed here alone

    world = World("nas").has_tenants("arrays").has_service("ad", server="dc.example")
    world.has_network("red", services=["ad"])
    world.backends["arrays"].spec = BackendSpec("arrays", "acme", {}, share_servers=True)
    world.wants("a", share_network="red", protocol="CIFS")
    settle(world)
    plan = world.has_network("red").plan()
    assert codes(plan) == ["share_network.unfit share_network/red"]
    assert "CIFS needs a domain" in plan.diagnostics[0].summary
    assert not plan.steps
