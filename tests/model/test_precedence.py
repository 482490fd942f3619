"""Which network decides for a client, and what is left of one without others."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharectl.model.precedence import Network, deciding, network_of, without

PREFIXES = st.tuples(st.integers(0, 255), st.integers(0, 8)).map(
    lambda pair: Network(4, 24 + pair[1], (10 << 24 | pair[0]) >> (8 - pair[1]))
)


@pytest.mark.parametrize("text", ["10.0.0.5", "10.0.0.0/8", "0.0.0.0/0", "2001:db8::1", "2001:db8::/32", "::/0"])
def test_a_network_is_written_as_it_was_read(text: str) -> None:
    """A single address without a prefix."""
    assert str(network_of(text)) == text


@pytest.mark.parametrize("text", ["", "alice", "10.0.0.1/8", "fe80::1%eth0", "10.0.0.0/33"])
def test_what_is_no_network_is_none(text: str) -> None:
    """Nor one with host bits, or of one interface."""
    assert network_of(text) is None


NUMBERS = st.integers(0, 300).map(str) | st.sampled_from(["", "00", "07", "+1", "\u0661", " 1", "1_0"])


@given(st.lists(NUMBERS, min_size=3, max_size=5), st.none() | st.integers(0, 40).map(str) | NUMBERS)
def test_an_ipv4_network_is_what_the_library_says(numbers: list[str], prefix: str | None) -> None:
    """However it is written: with host bits, leading zeros or digits of other scripts as well."""
    text = ".".join(numbers) + ("" if prefix is None else f"/{prefix}")
    try:
        parsed = ipaddress.IPv4Network(text)
    except ValueError:
        assert network_of(text) is None
    else:
        found = network_of(text)
        assert found == Network(4, parsed.prefixlen, int(parsed.network_address) >> (32 - parsed.prefixlen))
        assert str(found) == str(parsed).removesuffix("/32")


@given(whole=PREFIXES, holes=st.lists(PREFIXES, max_size=5))
def test_what_is_left_of_a_network_holds_every_other_address_once(whole: Network, holes: list[Network]) -> None:
    """And none of those that were to be left out."""
    left = without(whole, holes)
    addresses = [address for part in left for address in _addresses(part)]
    out = {address for hole in holes if hole.is_within(whole) for address in _addresses(hole)}
    assert sorted(addresses) == sorted(_addresses(whole) - out)


@given(networks=st.dictionaries(PREFIXES, st.integers(), max_size=6), client=st.integers(0, 255))
def test_the_narrowest_network_decides(networks: dict[Network, int], client: int) -> None:
    """Of all that hold the client."""
    address = Network(4, 32, 10 << 24 | client)
    around = [network for network in networks if address.is_within(network)]
    expected = networks[max(around, key=lambda network: network.length)] if around else None
    assert deciding(address, networks) == expected


def test_a_host_taken_out_of_everything_leaves_as_many_networks_as_an_address_has_bits() -> None:
    """No address of it is among them."""
    host = Network(6, 128, 1)
    left = without(Network(6, 0, 0), [host])
    assert len(left) == 128
    assert not any(host.is_within(part) for part in left)


def _addresses(network: Network) -> set[int]:
    parsed = ipaddress.ip_network(str(network))
    return {int(address) for address in parsed}
