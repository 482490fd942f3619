"""What becomes of each address when the networks of access rules change, held against a look at every address."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharectl.model.address_shifts import AddressShift, address_shifts, joined
from sharectl.model.precedence import Network, network_of, without

Grants = dict[Network, str | None]
FIRST = {4: int(ipaddress.ip_address("10.0.0.0")), 6: int(ipaddress.ip_address("2001:db8::"))}
BITS = {4: 32, 6: 128}
SPAN_BITS = 4
ADDRESSES = [(version, FIRST[version] + offset) for version in (4, 6) for offset in (*range(1 << SPAN_BITS), 1 << 20)]
"""All addresses of a small network of each version, and one that is not in it."""

LEVELS = st.sampled_from([None, "ro", "rw"])


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Return a network in the small space of a version."""
    version, length = draw(st.sampled_from([4, 6])), draw(st.integers(0, SPAN_BITS))
    inside = draw(st.integers(0, (1 << length) - 1))
    return Network(version, BITS[version] - SPAN_BITS + length, (FIRST[version] >> (SPAN_BITS - length)) | inside)


GRANTS = st.dictionaries(networks(), LEVELS, max_size=8)


def holds(network: Network, version: int, address: int) -> bool:
    """Tell whether an address is in a network."""
    return version == network.version and address >> (BITS[version] - network.length) == network.bits


def decided(grants: Grants, base: str | None, version: int, address: int) -> str | None:
    """Return what the narrowest network grants an address."""
    covering = [network for network in grants if holds(network, version, address)]
    return grants[max(covering, key=lambda network: network.length)] if covering else base


def concerning(found: tuple[AddressShift[str], ...], version: int, address: int) -> list[tuple[str | None, str | None]]:
    """Return what the answers say of an address."""
    return [
        (shift.before, shift.after)
        for shift in found
        if holds(shift.network, version, address) and not any(holds(hole, version, address) for hole in shift.but_for)
    ]


@given(GRANTS, GRANTS, st.tuples(LEVELS, LEVELS))
def test_each_address_is_told_once_what_becomes_of_it(
    before: Grants, after: Grants, base: tuple[str | None, str | None]
) -> None:
    """Whatever overlaps: an address that keeps its access is in no answer, any other in one."""
    found = address_shifts(before, after, base)
    for version, address in ADDRESSES:
        had, has = decided(before, base[0], version, address), decided(after, base[1], version, address)
        assert concerning(found, version, address) == ([] if had == has else [(had, has)])


@given(GRANTS, GRANTS)
def test_exceptions_lie_within_and_apart(before: Grants, after: Grants) -> None:
    """A reader can take them away from the network, one after the other."""
    for shift in address_shifts(before, after):
        assert all(hole.is_within(shift.network) and hole != shift.network for hole in shift.but_for)
        assert not any(a.is_within(b) for a in shift.but_for for b in shift.but_for if a != b)


@given(
    st.sets(networks(), max_size=8).map(
        lambda found: [n for n in found if not any(n != o and n.is_within(o) for o in found)]
    )
)
def test_joined_networks_hold_the_same_addresses(found: list[Network]) -> None:
    """None is left of which the other half is there too."""
    whole = joined(found)
    for version, address in ADDRESSES:
        assert any(holds(n, version, address) for n in found) is any(holds(n, version, address) for n in whole)
    assert not any(n.length and n._replace(bits=n.bits ^ 1) in whole for n in whole)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("10.0.0.0/8=rw", "", "10.0.0.0/8"),
        ("10.0.0.0/8=rw 10.0.0.13=rw", "10.0.0.13=rw", "10.0.0.0/8 but 10.0.0.13"),
        ("10.0.0.0/9=rw 10.128.0.0/9=rw", "", "10.0.0.0/8"),
        ("10.0.0.0/8=rw", "10.0.0.0/9=rw 10.128.0.0/9=rw", ""),
        ("10.0.0.0/8=rw", "10.0.0.0/8=rw 10.1.0.0/16=rw", ""),
        ("0.0.0.0/0=rw", "0.0.0.0/0=rw 10.0.0.0/8=ro 10.0.0.0/9=rw", "10.128.0.0/9"),
        (
            "10.0.0.0/8=rw 10.1.0.0/16=ro 10.1.1.0/24=rw",
            "",
            "10.0.0.0/8 but 10.1.0.0/16, 10.1.0.0/16 but 10.1.1.0/24, 10.1.1.0/24",
        ),
        ("::/0=rw", "2001:db8::/32=rw", "::/0 but 2001:db8::/32"),
    ],
)
def test_answers_are_in_the_networks_that_rules_name(before: str, after: str, told: str) -> None:
    """Where a hole is cut into one, that is said instead of listing what is left around it."""
    old, new = (
        {network_of(name): level for name, _, level in (each.partition("=") for each in text.split())}
        for text in (before, after)
    )
    found = address_shifts(old, new)  # type: ignore[arg-type]
    words = [f"{s.network}{' but ' if s.but_for else ''}{' '.join(map(str, s.but_for))}" for s in found]
    assert ", ".join(words) == told


def test_many_ranges_cost_no_more_than_their_sort() -> None:
    """A thousand networks in one, half of them with other access: an answer each, and what is left is never listed."""
    inside = {Network(4, 24, (10 << 16) + number): "ro" if number % 2 else "rw" for number in range(1000)}
    found = address_shifts({Network(4, 8, 10): "rw", **inside}, {})
    assert len(found) == 1 + 500
    assert len(found[0].but_for) == 500
    assert without(Network(4, 8, 10), found[0].but_for)


@given(st.dictionaries(networks(), LEVELS, max_size=4))
def test_what_is_new_is_gained_as_it_would_be_lost(grants: Grants) -> None:
    """A share that comes with few rules is answered as one that goes with them, the other way round."""
    lost = address_shifts(grants, {})
    assert address_shifts({}, grants) == tuple(shift._replace(before=shift.after, after=shift.before) for shift in lost)
