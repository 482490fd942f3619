"""What the Nova network plugin says before anything is made: what is wrong with a network, a subnet, an account."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.model.share_networks import ShareNetworkSubnet
from sharectl.network.base import NetworkError, NetworkNotFoundError
from sharectl.network.testing import new_request

if TYPE_CHECKING:
    from sharectl.network.base import NetworkPlugin

    from .nova_server import NovaServer, Plugins

UNKNOWN_ID = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def plugin(make_nova: Plugins) -> NetworkPlugin:
    """Give a plugin with the default configuration."""
    return make_nova()


@pytest.fixture
def subnet(nova: NovaServer) -> ShareNetworkSubnet:
    """Make a VLAN."""
    return nova.new_network()


@pytest.mark.parametrize("wrong", [UNKNOWN_ID, "../os-networks", "a b"])
def test_a_network_that_is_not_there(plugin: NetworkPlugin, wrong: str) -> None:
    """By an id that Nova does not know, or that is none."""
    subnet = ShareNetworkSubnet(nova_net_id=wrong)
    (finding,) = plugin.check(subnet)
    assert finding.code == "network.not-found"
    assert "nova network-list" in finding.summary
    with pytest.raises(NetworkNotFoundError):
        plugin.allocate(new_request(subnet))


def test_a_subnet_without_id(plugin: NetworkPlugin) -> None:
    """The share network has to name Nova's."""
    (finding,) = plugin.check(ShareNetworkSubnet(cidr="10.0.0.0/24"))
    assert "write novaNetId" in finding.summary


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"cidr": "10.99.0.0/24"}, "has no 10.99.0.0/24, but 10."),
        ({"cidr": "CIDR", "allocation_ranges": ("192.0.2.1",)}, "192.0.2.1 is not within the Nova network's 10."),
        ({"cidr": "CIDR", "excluded": ("x",)}, "'x' is not a range of addresses"),
    ],
)
def test_a_subnet_that_contradicts_nova(
    nova: NovaServer, plugin: NetworkPlugin, subnet: ShareNetworkSubnet, more: dict[str, Any], words: str
) -> None:
    """In its CIDR or ranges."""
    if more["cidr"] == "CIDR":
        more = {**more, "cidr": nova.network(subnet)["cidr"]}
    (finding,) = plugin.check(replace(subnet, **more))
    assert finding.code == "network.subnet"
    assert words in finding.summary


def test_ipv6_without_ranges(plugin: NetworkPlugin, ipv6_only: ShareNetworkSubnet) -> None:
    """Nova makes no fixed IPs of IPv6, and nobody can look at all of a /64; the finding says what can be done."""
    (finding,) = plugin.check(ipv6_only)
    assert (finding.code, "keeps no fixed IPs there by itself" in finding.summary) == ("network.subnet", True)
    with pytest.raises(NetworkError, match="has no IPv4, but 2001:db8:9::/64; correct"):
        plugin.allocate(new_request(ipv6_only, ip_version=4))


def test_a_network_with_several_hosts(nova: NovaServer, plugin: NetworkPlugin) -> None:
    """Nova shows the address of such a host as free; so it has to be excluded, or others named."""
    subnet = nova.new_network(29, cidr="10.12.0.0/29", multi_host=True)
    address = nova.administrator("start_network_host", network_id=subnet.nova_net_id, host="compute1")
    assert nova.fixed_ip(address) == {
        "address": address,
        "cidr": "10.12.0.0/29",
        "host": None,
        "hostname": None,
        "reserved": False,
    }
    (finding,) = plugin.check(subnet)
    assert (finding.code, "excluded" in finding.summary) == ("network.subnet", True)
    named = replace(subnet, cidr="10.12.0.0/29", excluded=(address,))
    assert list(plugin.check(named, 3)) == []
    assert [finding.code for finding in plugin.check(named, 4)] == ["network.exhausted"]


def test_too_few_addresses_for_what_is_wanted(nova: NovaServer, plugin: NetworkPlugin) -> None:
    """The finding has the numbers, and nothing is reserved."""
    subnet, addresses = nova.new_small_network()
    plugin.allocate(new_request(subnet))
    (finding,) = plugin.check(subnet, 3)
    cidr = nova.network(subnet)["cidr"]
    assert finding.summary == f"{cidr} has too few addresses: 2 free of 4, 3 wanted"
    assert [nova.fixed_ip(address)["reserved"] for address in addresses] == [True, False, False]


def test_a_search_ends(nova: NovaServer, plugin: NetworkPlugin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nova cannot list addresses; so no more than a thousand are looked at, here two, and the next attempt goes on behind them."""
    monkeypatch.setattr("sharectl.network.nova.plugin._LOOKS", 2)
    subnet, addresses = nova.new_small_network()
    for address in addresses[:2]:
        nova.reserve(address)
    (finding,) = plugin.check(subnet)
    assert "has too few addresses: 0 free among 2 of 4, 1 wanted" in finding.summary
    assert plugin.allocate(new_request(subnet)).ip_address == addresses[2]


def test_an_account_that_is_no_administrator(nova: NovaServer, make_nova: Plugins, subnet: ShareNetworkSubnet) -> None:
    """Does not see the VLAN, and may not read fixed IPs; both say which role is missing."""
    member = make_nova(endpoint=f"{nova.url}/member/v2.1")
    (finding,) = member.check(subnet)
    assert finding.summary.endswith("give the account a role that is Nova's admin")
    make_nova().allocate(new_request(subnet))
    with pytest.raises(NetworkError, match=r"HTTP 403.*Policy doesn't allow .*; give the account a role"):
        member.list_allocations()


def test_an_endpoint_of_the_version_before(nova: NovaServer, make_nova: Plugins, subnet: ShareNetworkSubnet) -> None:
    """Version 2 tells of no reservations, and is at another path; that must not look as if all were gone."""
    make_nova().allocate(new_request(subnet))
    old = make_nova(endpoint=f"{nova.url}/v2")
    for attempt in (old.list_allocations, lambda: old.allocate(new_request(subnet))):
        with pytest.raises(NetworkError, match=r"HTTP 404.*; see whether endpoint is .* version v2\.1"):
            attempt()
