"""Ranges of addresses: what is one, and the arithmetic on them."""

from __future__ import annotations

import ipaddress
import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sharectl.model.address_ranges import AddressRange, address_text, joined, parse_address_range, without

SMALL = st.builds(lambda first, size: AddressRange(4, first, first + size), st.integers(0, 40), st.integers(0, 12))


@pytest.mark.parametrize(
    ("text", "first", "last", "canonical"),
    [
        ("10.0.0.7", "10.0.0.7", "10.0.0.7", "10.0.0.7"),
        ("10.0.0.7-10.0.0.9", "10.0.0.7", "10.0.0.9", "10.0.0.7-10.0.0.9"),
        ("10.0.0.7 - 10.0.0.9", "10.0.0.7", "10.0.0.9", "10.0.0.7-10.0.0.9"),
        ("10.0.0.16/28", "10.0.0.16", "10.0.0.31", "10.0.0.16-10.0.0.31"),
        ("2001:DB8::10-2001:db8:0::1f", "2001:db8::10", "2001:db8::1f", "2001:db8::10-2001:db8::1f"),
        ("::ffff/128", "::ffff", "::ffff", "::ffff"),
    ],
)
def test_a_range_is_an_address_two_or_a_network(text: str, first: str, last: str, canonical: str) -> None:
    """And is printed so that it can be read back."""
    found = parse_address_range(text)
    assert (address_text(found.version, found.first), address_text(found.version, found.last)) == (first, last)
    assert str(found) == canonical
    assert parse_address_range(canonical) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "10.0.0.1-",
        "10.0.0.1-10.0.0.2-10.0.0.3",
        "10.0.0.1-::1",
        "10.0.0.1/24",
        "fe80::1%eth0",
        "10.0.0.010",
        "ten\n",
    ],
)
def test_anything_else_is_refused_with_what_to_write(text: str) -> None:
    """In one line."""
    with pytest.raises(ValueError, match=r"is not a range of addresses; write 10\.20\.0\.10, 10\.20") as refused:
        parse_address_range(text)
    assert "\n" not in str(refused.value)


def test_a_range_that_ends_before_it_begins() -> None:
    """Is a mistake of its own."""
    with pytest.raises(ValueError, match="ends before it begins"):
        parse_address_range("10.0.0.9-10.0.0.8")


def test_ranges_of_two_versions_never_meet() -> None:
    """Even where their numbers are the same."""
    four, six = AddressRange(4, 1, 9), AddressRange(6, 1, 9)
    assert joined([six, four]) == (four, six)
    assert without([four], [six]) == (four,)
    assert not four.holds(six)


def test_a_64_is_not_counted() -> None:
    """Its size is known at once."""
    assert parse_address_range("2001:db8::/64").size == 2**64


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(SMALL), st.lists(SMALL))
def test_the_arithmetic_is_that_of_sets(ranges: list[AddressRange], taken: list[AddressRange]) -> None:
    """What is left is ascending and apart, and holds exactly the addresses of the one less those of the other."""
    left = without(ranges, taken)
    assert _numbers(left) == _numbers(ranges) - _numbers(taken)
    assert _numbers(joined(ranges)) == _numbers(ranges)
    assert all(earlier.last + 1 < later.first for earlier, later in itertools.pairwise(left))
    assert sum(part.size for part in left) == len(_numbers(left))


@given(st.integers(0, 2**32 - 1))
def test_addresses_are_printed_as_ipaddress_does(number: int) -> None:
    """In both versions."""
    assert address_text(4, number) == str(ipaddress.IPv4Address(number))
    assert address_text(6, number) == str(ipaddress.IPv6Address(number))


def _numbers(ranges: object) -> set[int]:
    assert isinstance(ranges, list | tuple)
    return {number for part in ranges for number in range(part.first, part.last + 1)}
