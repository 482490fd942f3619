"""Share servers on a real Nova network through the command line: what Nova reserves, the state's accounts and the servers agree."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest

from tests.network.cloud import BACKEND, FROM_THEN_ON, Cloud
from tests.network.proxy import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from tests.network.nova_server import NovaServer
    from tests.network.proxy import FaultyProxy

SERVER = f"share_server/red-default@{BACKEND}"


class NovaCloud(Cloud):
    """A repository with one tenant, on a Nova network with three addresses to give out."""

    def __init__(self, root: Path, nova: NovaServer, proxy: FaultyProxy, capture: pytest.CaptureFixture[str]) -> None:
        """Begin with one share, not applied yet."""
        super().__init__(root, "nova", f"{proxy.url}/v2.1", proxy, capture)
        self.nova = nova
        self.subnet, self.addresses = nova.new_small_network()
        self.share_networks = {"red": {"novaNetId": self.subnet.nova_net_id}}
        self.write(a="red")

    def reserved(self) -> set[str]:
        """Return those of the three addresses that Nova has reserved."""
        return {address for address in self.addresses if self.nova.fixed_ip(address)["reserved"]}

    def check(self, servers: int) -> None:
        """Assert that there are as many share servers, and that Nova, the state's accounts and the backend tell the same of addresses."""
        held = {plain["ip_address"] for plain in self.allocations(servers)}
        rows = [address for address in self.site.records() if address.startswith("network_allocation/")]
        assert {row.rpartition("/")[2] for row in rows} == held
        assert len(rows) == len(held)
        assert self.reserved() == held


@pytest.fixture
def red(
    nova: NovaServer,
    nova_proxy: FaultyProxy,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> NovaCloud:
    """Give the repository."""
    monkeypatch.setenv("NO_COLOR", "1")
    return NovaCloud(tmp_path / "repository", nova, nova_proxy, capsys)


def test_an_address_is_reserved_as_long_as_its_share_server_is_there(red: NovaCloud) -> None:
    """The VLAN is the segmentation id; an address that is un-reserved by hand is drift, and reserved again."""
    red.apply()
    red.check(servers=1)
    (held,) = red.allocations(servers=1)
    assert held["segmentation_id"] == red.nova.network(red.subnet)["vlan"]
    address = held["ip_address"]
    assert f"{address}:/pool/a" in red("show", "share/a").out
    assert red.steps() == []
    red.nova.unreserve(address)
    assert f"its address {address} is not allocated to it any more" in red("refresh").out
    red.apply()
    red.check(servers=1)
    assert red.reserved() == {address}
    red.destroy()
    red.check(servers=0)


FAULTS: dict[str, dict[str, Any]] = {
    "gone from then on": {"effect": "cut", "times": FROM_THEN_ON},
    "answer lost": {"effect": "lose"},
    "broken": {"effect": "status", "status": 500, "content": b'{"computeFault": {"code": 500, "message": "oops"}}'},
}


@pytest.mark.parametrize("kind", FAULTS)
def test_whichever_request_it_befalls_the_next_apply_converges(red: NovaCloud, kind: str) -> None:
    """Of making a share server and of removing it; nothing stays reserved that nobody has."""
    for number in range(1, 100):
        made_undisturbed = not red.upset(Fault("", "", first=number, **FAULTS[kind]), "apply", "--yes")
        red.apply()
        red.check(servers=1)
        removed_undisturbed = not red.upset(Fault("", "", first=number, **FAULTS[kind]), "destroy", "--yes")
        red.destroy()
        red.check(servers=0)
        if made_undisturbed and removed_undisturbed:
            assert number > 4
            return


def test_killed_at_any_request_it_is_taken_up_by_the_next_apply(red: NovaCloud) -> None:
    """Before Nova has the request, and after it did what it asked for."""
    red.apply()
    making = len(red.proxy.requests)
    red.destroy()
    removing = len(red.proxy.requests)
    for words, requests in (("apply", making), ("destroy", removing)):
        for first, effect in chain(((number, "cut") for number in range(1, requests + 1)), ((1, "lose"),)):
            if words == "destroy":
                red.apply()
            method = "POST" if effect == "lose" else ""
            red.killed(lambda kill: Fault(method, "", effect, first=first, action=kill), words, "--yes")  # noqa: B023 - called at once
            red.apply()
            red.check(servers=1)
            if words == "apply":
                red.destroy()
                red.check(servers=0)
