"""What a share server is to be on the array, from a request alone."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharectl.drivers.base import DriverError
from sharectl.drivers.ontap.share_servers.names import (
    lif_name,
    lif_number,
    netbios_name,
    segment_in,
    segment_name,
    svm_name,
)
from sharectl.drivers.ontap.share_servers.settings import Home, ShareServerSettings, share_server_settings
from sharectl.drivers.ontap.share_servers.wanted import (
    FoundLif,
    Segment,
    WantedLif,
    lif_changes,
    segment_problem,
    wanted_server,
)
from sharectl.model.networks import NetworkAllocation
from sharectl.model.requests import ShareServerRequest

SERVER = "0f4c2c5e-9a43-4c0d-8f6e-1d2c3b4a5968"
HOMES = ShareServerSettings((Home("n1", "e0d"), Home("n2", "a0a")))


def allocation(
    number: int, *, tag: int | None = 1010, network_type: str = "vlan", mtu: int = 1500
) -> NetworkAllocation:
    """Return an address as a network service gives it."""
    return NetworkAllocation(
        f"{SERVER}/{number}", SERVER, f"10.9.0.1{number}", 4, "10.9.0.0/24", "10.9.0.1", network_type, tag, mtu
    )


def request(*allocations: NetworkAllocation) -> ShareServerRequest:
    """Return a request with these addresses."""
    return ShareServerRequest(SERVER, "red-default", "red", allocations)


def test_each_address_has_a_lif_at_home_on_a_node_of_its_own() -> None:
    """On the VLAN port there; one gateway is one route."""
    wanted = wanted_server(request(allocation(0), allocation(1)), HOMES)
    assert wanted.segment == Segment(1010, 1500)
    assert wanted.lifs == (
        WantedLif("sharectl_0", "10.9.0.10", 24, "n1", "e0d-1010"),
        WantedLif("sharectl_1", "10.9.0.11", 24, "n2", "a0a-1010"),
    )
    assert wanted.gateways == ("10.9.0.1",)


def test_more_addresses_than_homes_begin_with_the_first_again() -> None:
    """As where a node was taken out of the configuration, and a server that is there keeps its addresses."""
    wanted = wanted_server(request(allocation(0), allocation(1)), ShareServerSettings((Home("n2", "e0d"),)))
    assert [lif.node for lif in wanted.lifs] == ["n2", "n2"]
    assert len(wanted.homes) == 1


def test_a_flat_network_is_on_the_port_itself() -> None:
    """Of either name."""
    for network_type in ("flat", "none"):
        wanted = wanted_server(request(allocation(0, tag=None, network_type=network_type)), HOMES)
        assert (wanted.segment.tag, wanted.lifs[0].port) == (None, "e0d")


@pytest.mark.parametrize(
    "allocations", [(), (allocation(0), allocation(1, tag=1011)), (allocation(0, network_type="vxlan"),)]
)
def test_what_is_not_one_network_of_an_array_is_refused(allocations: tuple[NetworkAllocation, ...]) -> None:
    """None, two, and one in a tunnel."""
    with pytest.raises(DriverError):
        wanted_server(request(*allocations), HOMES)


@pytest.mark.parametrize(
    ("network_type", "tag", "mtu", "said"),
    [
        ("vxlan", 5, 1500, "none on a network of the type vxlan"),
        ("vlan", 4095, 1500, "from 1 to 4094"),
        ("vlan", 5, 9001, "68 to 9000"),
    ],
)
def test_a_segment_that_an_array_cannot_be_on_says_why(network_type: str, tag: int, mtu: int, said: str) -> None:
    """In words of the manifest."""
    problem = segment_problem(network_type, tag, mtu)
    assert problem is not None
    assert said in problem[0]


def test_what_only_the_network_service_knows_is_no_problem() -> None:
    """It is told when it is known."""
    assert segment_problem(None, None, None) is None


def test_an_id_that_is_none_is_refused() -> None:
    """It becomes part of names."""
    with pytest.raises(DriverError, match="not the id"):
        wanted_server(replace(request(allocation(0)), resource_id="*"), HOMES)


def test_names_fit_and_say_whose_they_are() -> None:
    """An SVM's and an IPspace's, which are in one namespace, have at most 47 characters; a NetBIOS name 15."""
    assert len(svm_name(SERVER)) <= 47
    assert len(segment_name(4094, SERVER)) <= 47
    assert len(netbios_name(SERVER)) == 15
    assert segment_in(segment_name(4094, SERVER)) == (4094, SERVER)
    assert lif_number(lif_name(7)) == 7
    for name in ("Default", "sharectl_7", "sharectl_7_x", f"sharectl_77777_{uuid.UUID(SERVER).hex}"):
        assert segment_in(name) is None
    assert lif_number("sharectl_mgmt") is None


def test_settings_are_read_as_they_are_written() -> None:
    """A backend without share servers has none."""
    homes = [{"node": "n1", "port": "e0d"}]
    assert share_server_settings({}) is None
    assert share_server_settings({"shareServers": {"homes": homes}}) == ShareServerSettings((Home("n1", "e0d"),))
    accounts = {"existing": "overwrite", "onRemoval": "leave"}
    found = share_server_settings(
        {"shareServers": {"homes": homes, "rootAggregate": "a1", "nfsVersions": ["4.1"], "machineAccounts": accounts}}
    )
    assert found == ShareServerSettings(
        (Home("n1", "e0d"),), "a1", ("4.1",), overwrites_accounts=True, may_leave_accounts=True
    )


ADDRESSES = st.lists(st.sampled_from([f"10.9.0.{number}" for number in range(1, 6)]), unique=True, max_size=4)


@given(ADDRESSES, ADDRESSES)
def test_whatever_lifs_there_are_the_changes_lead_to_those_that_are_wanted(before: list[str], after: list[str]) -> None:
    """And no address is in use twice on the way."""
    wanted = [WantedLif(lif_name(n), address, 24, "n1", "e0d-7") for n, address in enumerate(after)]
    there = {
        lif_name(n): FoundLif(f"u{n}", lif_name(n), address, 24, "n1", "e0d-7", is_enabled=True, is_up=True)
        for n, address in enumerate(before)
    }
    changes = lif_changes(wanted, there.values())
    addresses = {name: lif.address for name, lif in there.items()}
    for gone in changes.removed:
        del addresses[gone.name]
    for change in changes.changed:
        assert change.wanted.address not in {
            address for name, address in addresses.items() if name != change.found.name
        }
        addresses[change.found.name] = change.wanted.address
    for made in changes.made:
        assert made.address not in addresses.values()
        assert made.name not in addresses
        addresses[made.name] = made.address
    assert addresses == {lif.name: lif.address for lif in wanted}


def test_lifs_that_are_as_they_should_be_are_left_alone() -> None:
    """One that is disabled, has another home or another prefix is changed; where it is now does not matter."""
    lif = WantedLif("sharectl_0", "10.9.0.10", 24, "n1", "e0d-7")
    found = FoundLif("u", "sharectl_0", "10.9.0.10", 24, "n1", "e0d-7", is_enabled=True, is_up=False)
    assert lif_changes([lif], [found]) == lif_changes([], [])
    others = (found._replace(is_enabled=False), found._replace(node="n2"), found._replace(prefix_length=16))
    assert all(lif_changes([lif], [other]).changed for other in others)
