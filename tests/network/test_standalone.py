"""The standalone plugin: which addresses it gives, what it says of a wire, and what it refuses."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharectl.model.address_ranges import AddressRange
from sharectl.model.share_networks import ShareNetworkSubnet
from sharectl.network.base import AddressClaim, NetworkError, NetworkExhaustedError
from sharectl.network.standalone.plugin import AddressPool
from sharectl.network.testing import new_claim, new_request
from tests.network.ledger import MemoryLedger

from .opening import open_plugin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sharectl.network.base import NetworkPlugin

    PluginMaker = Callable[..., NetworkPlugin]


@pytest.fixture
def ledger() -> MemoryLedger:
    """Give the ledger that all plugins of the test share."""
    return MemoryLedger()


@pytest.fixture
def make_plugin(tmp_path: Path, ledger: MemoryLedger) -> PluginMaker:
    """Open plugins over the ledger."""

    def make(backend: str = "backend", **config: Any) -> NetworkPlugin:  # noqa: ANN401 - parts of documents have many types
        return open_plugin("standalone", config, tmp_path, backend=backend, ledger=ledger)

    return make


def addresses(plugin: NetworkPlugin, subnet: ShareNetworkSubnet, count: int) -> list[str]:
    """Return the next addresses of the subnet."""
    return [plugin.allocate(new_request(subnet)).ip_address for _ in range(count)]


class TestAddresses:
    """Which addresses are given, and in which order."""

    def test_the_lowest_come_first(self, make_plugin: PluginMaker) -> None:
        """Less network, gateway, broadcast and what is excluded."""
        subnet = ShareNetworkSubnet(cidr="10.0.0.0/29", gateway="10.0.0.3", excluded=("10.0.0.1", "10.0.0.5-10.0.0.5"))
        plugin = make_plugin()
        assert addresses(plugin, subnet, 3) == ["10.0.0.2", "10.0.0.4", "10.0.0.6"]
        with pytest.raises(NetworkExhaustedError, match=r"10\.0\.0\.0/29 .*'tenant': 3 of 3 are used; widen"):
            plugin.allocate(new_request(subnet))

    def test_ranges_are_used_in_ascending_order(self, make_plugin: PluginMaker) -> None:
        """Overlaps count once."""
        ranges = ("10.0.0.20", "10.0.0.10-10.0.0.11", "10.0.0.11")
        subnet = ShareNetworkSubnet(cidr="10.0.0.0/24", gateway="10.0.0.10", allocation_ranges=ranges)
        assert addresses(make_plugin(), subnet, 2) == ["10.0.0.11", "10.0.0.20"]

    @pytest.mark.parametrize(
        ("cidr", "expected"),
        [
            ("10.0.0.0/30", ["10.0.0.1", "10.0.0.2"]),
            ("10.0.0.0/31", ["10.0.0.0", "10.0.0.1"]),
            ("10.0.0.7/32", ["10.0.0.7"]),
            ("2001:db8::/126", ["2001:db8::1", "2001:db8::2", "2001:db8::3"]),
            ("2001:db8::/127", ["2001:db8::", "2001:db8::1"]),
        ],
    )
    def test_small_networks(self, make_plugin: PluginMaker, cidr: str, expected: list[str]) -> None:
        """Networks of one or two addresses have neither a network's nor a broadcast address; IPv6 has no broadcast."""
        plugin = make_plugin()
        assert addresses(plugin, ShareNetworkSubnet(cidr=cidr), len(expected)) == expected
        assert plugin.check(ShareNetworkSubnet(cidr=cidr))[0].code == "network.exhausted"

    def test_an_address_that_came_back_is_given_before_a_fresh_one(self, make_plugin: PluginMaker) -> None:
        """As in Manila's plugin, the lowest free one."""
        plugin, subnet = make_plugin(), ShareNetworkSubnet(cidr="10.0.0.0/24")
        made = [plugin.allocate(new_request(subnet)) for _ in range(4)]
        for one in (made[2], made[0]):
            plugin.deallocate(one.allocation_id, one.share_server_id)
        assert addresses(plugin, subnet, 3) == ["10.0.0.1", "10.0.0.3", "10.0.0.5"]

    def test_what_another_process_gave_back_is_found(self, make_plugin: PluginMaker) -> None:
        """When this one thinks that nothing is left."""
        subnet = ShareNetworkSubnet(cidr="10.0.0.0/30")
        plugin, other = make_plugin(), make_plugin()
        request = new_request(subnet)
        plugin.allocate(request)
        plugin.allocate(new_request(subnet))
        other.deallocate(request.allocation_id, request.share_server_id)
        assert addresses(plugin, subnet, 1) == ["10.0.0.1"]

    def test_what_another_process_took_meanwhile_is_passed_over(
        self, make_plugin: PluginMaker, ledger: MemoryLedger
    ) -> None:
        """The ledger decides, not what the plugin remembers."""
        subnet = ShareNetworkSubnet(cidr="10.0.0.0/24")
        plugin = make_plugin()
        assert addresses(plugin, subnet, 1) == ["10.0.0.1"]
        for last in (2, 3):
            ledger.claim(new_claim("standalone/default/flat", f"10.0.0.{last}"))
        assert addresses(plugin, subnet, 1) == ["10.0.0.4"]

    def test_a_preferred_address_outside_of_the_ranges_is_not_given(self, make_plugin: PluginMaker) -> None:
        """Nor one of the other IP version."""
        subnet = ShareNetworkSubnet(cidr="10.0.0.0/24", excluded=("10.0.0.9",))
        plugin = make_plugin()
        wishes = ("10.0.0.9", "10.0.0.255", "192.0.2.1", "::1")
        given_out = [plugin.allocate(new_request(subnet, preferred_address=wish)).ip_address for wish in wishes]
        assert given_out == ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]

    def test_an_address_is_not_lost_when_the_ledger_fails(
        self, make_plugin: PluginMaker, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The next attempt gets it."""
        subnet, plugin = ShareNetworkSubnet(cidr="10.0.0.0/30"), make_plugin()

        def full(claim: AddressClaim) -> AddressClaim:
            raise NetworkError(claim.scope)

        with monkeypatch.context() as patch:
            patch.setattr(ledger, "claim", full)
            with pytest.raises(NetworkError, match="standalone/default/flat"):
                plugin.allocate(new_request(subnet))
        assert addresses(plugin, subnet, 2) == ["10.0.0.1", "10.0.0.2"]

    def test_many_addresses_cost_the_same_each(self, make_plugin: PluginMaker) -> None:
        """The last thousands take no longer than the first, but for noise; all of them differ."""
        plugin, subnet = make_plugin(), ShareNetworkSubnet(cidr="10.0.0.0/14")
        given_out, times = [""], []
        for _ in range(20):
            begun = time.thread_time()
            given_out = addresses(plugin, subnet, 1000)
            times.append(time.thread_time() - begun)
        assert min(times[-8:]) < 3 * min(times[:8])  # the best of several: a collection of garbage may fall into any
        assert given_out[-1] == "10.0.78.32"
        assert len({one.ip_address for one in plugin.list_allocations()}) == 20_000


def test_the_next_address_costs_the_same_whatever_came_back_in_which_order() -> None:
    """Of a hundred thousand, half came back in no order."""

    def taken(count: int) -> float:
        times = []
        for _ in range(10):
            begun = time.thread_time()
            for _ in range(count // 10):
                pool.take()
            times.append(time.thread_time() - begun)
        return min(times)

    pool = AddressPool([AddressRange(6, 1, 2**64)], ())
    in_order_seconds = taken(100_000)
    for number in range(1, 100_000, 2):
        pool.give_back(number * 7919 % 100_000 + 1)
    assert pool.used == 50_000
    assert taken(50_000) < 10 * in_order_seconds
    assert pool.take() == 100_001


class TestScopes:
    """Where addresses must be unique."""

    def test_two_tenants_on_two_segments_may_have_the_same_addresses(self, make_plugin: PluginMaker) -> None:
        """On one backend."""
        plugin = make_plugin()
        for number in (1, 2):
            subnet = ShareNetworkSubnet(cidr="10.0.0.0/24", network_type="vxlan", segmentation_id=number)
            assert addresses(plugin, subnet, 1) == ["10.0.0.1"]

    def test_one_segment_is_one_scope_for_all_backends_and_networks(self, make_plugin: PluginMaker) -> None:
        """Whatever ranges and share networks name it."""
        wide = ShareNetworkSubnet(cidr="10.0.0.0/24", network_type="vlan", segmentation_id=5)
        narrow = ShareNetworkSubnet(cidr="10.0.0.0/29", network_type="vlan", segmentation_id=5)
        one, two = make_plugin("one"), make_plugin("two")
        given_out = (
            addresses(one, wide, 1) + addresses(two, narrow, 1) + addresses(one, narrow, 1) + addresses(one, wide, 1)
        )
        assert given_out == ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]

    def test_other_wires_are_another_scope(self, make_plugin: PluginMaker) -> None:
        """A physical network of its own has all addresses again."""
        subnet = ShareNetworkSubnet(cidr="10.0.0.0/24", network_type="vlan", segmentation_id=5)
        assert addresses(make_plugin("one"), subnet, 1) == ["10.0.0.1"]
        assert addresses(make_plugin("two", physicalNetwork="berlin"), subnet, 1) == ["10.0.0.1"]


class TestConfiguration:
    """The network of the backend, as in Manila, and defaults."""

    def test_a_subnet_without_cidr_is_that_of_the_backend(self, make_plugin: PluginMaker) -> None:
        """With gateway, mask, ranges, segment and MTU."""
        plugin = make_plugin(
            gateway="10.9.0.1",
            mask="255.255.0.0",
            allowedIpRanges=["10.9.1.0-10.9.1.9", "10.9.2.7"],
            excluded=["10.9.1.0/31"],
            networkType="vlan",
            segmentationId=77,
            mtu=9000,
        )
        allocation = plugin.allocate(new_request(ShareNetworkSubnet()))
        assert (allocation.ip_address, allocation.cidr, allocation.gateway) == ("10.9.1.2", "10.9.0.0/16", "10.9.0.1")
        assert (allocation.network_type, allocation.segmentation_id, allocation.mtu) == ("vlan", 77, 9000)
        assert allocation.mac_address is None

    def test_a_subnet_that_describes_itself_goes_before(self, make_plugin: PluginMaker) -> None:
        """Its addresses replace all of the backend's, its type brings its own id; its MTU stands alone."""
        plugin = make_plugin(gateway="10.9.0.1", mask=16, networkType="vlan", segmentationId=77, mtu=9000)
        own = ShareNetworkSubnet(cidr="2001:db8::/64", network_type="flat", mtu=1400)
        allocation = plugin.allocate(new_request(own))
        assert (allocation.cidr, allocation.gateway, allocation.ip_version) == ("2001:db8::/64", None, 6)
        assert (allocation.network_type, allocation.segmentation_id, allocation.mtu) == ("flat", None, 1400)
        other = plugin.allocate(new_request(ShareNetworkSubnet(cidr="10.1.0.0/24", segmentation_id=78)))
        assert (other.network_type, other.segmentation_id, other.mtu) == ("vlan", 78, 9000)

    def test_without_anything_a_network_is_flat(self, make_plugin: PluginMaker) -> None:
        """With the MTU of Ethernet."""
        allocation = make_plugin().allocate(new_request(ShareNetworkSubnet(cidr="10.0.0.0/24")))
        assert (allocation.network_type, allocation.segmentation_id, allocation.mtu) == ("flat", None, 1500)

    @pytest.mark.parametrize(
        ("config", "words"),
        [
            ({"gateway": "10.0.0.1", "mask": "33"}, "cannot be '10.0.0.1' with the mask '33'"),
            ({"gateway": "router", "mask": 24}, "write the router's address"),
            ({"networkType": "vlan"}, "a vlan network needs a segmentation id from 1 to 4094"),
            ({"networkType": "vlan", "segmentationId": 5000}, "from 1 to 4094, and this one has 5000"),
            ({"segmentationId": 5}, "a flat network has no segmentation id"),
            (
                {"gateway": "10.0.0.1", "mask": 24, "allowedIpRanges": ["10.0.1.1"]},
                "10.0.1.1 is not within the network",
            ),
            ({"gateway": "10.0.0.1", "mask": 24, "excluded": ["x"]}, "'x' is not a range of addresses"),
        ],
    )
    def test_a_configuration_that_cannot_work_is_refused_at_once(
        self, make_plugin: PluginMaker, config: dict[str, Any], words: str
    ) -> None:
        """When the plugin is opened."""
        with pytest.raises(NetworkError, match=words):
            make_plugin(**config)

    @pytest.mark.parametrize(
        ("subnet", "words"),
        [
            (ShareNetworkSubnet(), "has no cidr"),
            (ShareNetworkSubnet(cidr="10.0.0.0/24", network_type="vlan"), "needs a segmentation id"),
            (ShareNetworkSubnet(cidr="10.0.0.0/24", network_type="vxlan", segmentation_id=2**24), "16777216"),
        ],
    )
    def test_a_subnet_that_cannot_be_used_is_a_finding(
        self, make_plugin: PluginMaker, subnet: ShareNetworkSubnet, words: str
    ) -> None:
        """Of the plan, and an error where an address is asked for nevertheless."""
        plugin = make_plugin()
        (finding,) = plugin.check(subnet)
        assert finding.code == "network.subnet"
        assert words in finding.summary
        with pytest.raises(NetworkError, match=words):
            plugin.allocate(new_request(subnet))

    def test_too_few_addresses_for_what_is_wanted(self, make_plugin: PluginMaker) -> None:
        """The finding has the numbers, and the remedy."""
        plugin, subnet = make_plugin(), ShareNetworkSubnet(cidr="10.0.0.0/28", gateway="10.0.0.1")
        addresses(plugin, subnet, 3)
        assert list(plugin.check(subnet, 10)) == []
        (finding,) = plugin.check(subnet, 11)
        assert finding.summary == "10.0.0.0/28 has too few addresses: 10 free of 13, 11 wanted"
        assert "allocationRanges" in finding.remedy
        plugin.close()


@given(st.data())
def test_the_pool_always_gives_the_lowest_free_address(data: st.DataObject) -> None:
    """Whatever was taken before, taken by name, and given back, in any order."""
    ranges = (AddressRange(4, 3, 6), AddressRange(4, 9, 9), AddressRange(4, 12, 15))
    everything = [3, 4, 5, 6, 9, 12, 13, 14, 15]
    taken = data.draw(st.sets(st.integers(0, 20)))
    pool = AddressPool(ranges, taken)
    free = set(everything) - taken
    for _ in range(data.draw(st.integers(0, 25))):
        number = data.draw(st.integers(0, 20))
        match data.draw(st.sampled_from(["take", "prefer", "give back"])):
            case "take":
                expected = min(free, default=None)
                assert pool.take() == expected
                free -= {expected}
            case "prefer":
                expected = number if number in free else min(free, default=None)
                assert pool.take(number) == expected
                free -= {expected}
            case _:
                pool.give_back(number)
                free |= {number} & set(everything)
        assert (pool.size, pool.used) == (len(everything), len(everything) - len(free))
