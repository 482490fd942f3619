"""Which client is meant, and what the rules let it do."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharectl.model.access import AccessRule
from sharectl.model.diagnostics import DiagnosticError
from sharectl.mounting.clients import (
    Client,
    Reach,
    addresses_of_host,
    is_this_machine_only,
    parse_client,
    reach_of,
    span_of,
)


def client(text: str, *addresses: str) -> Client:
    """Return the client; a host has these addresses."""
    return parse_client(text, lambda _name: addresses)


def ip(access_to: str, level: str = "rw") -> AccessRule:
    """Return an address rule."""
    return AccessRule("ip", access_to, level)


def reach(text: str, *rules: AccessRule) -> Reach | None:
    """Return what a client may do."""
    return reach_of(client(text).spans, rules)


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.0.0.5", "10.0.0.5/32"),
        ("10.0.0.5/24", "10.0.0.0/24"),
        ("fd00::5", "fd00::5/128"),
        ("[fd00::5]", "fd00::5/128"),
        ("::ffff:10.0.0.5", "10.0.0.5/32"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::/0", "::/0"),
    ],
)
def test_an_address_or_network_is_a_client(text: str, network: str) -> None:
    """An IPv4 address that is mapped into IPv6 is the IPv4 address, as servers see it."""
    assert client(text).spans == (span_of(network),)


def test_a_host_comes_from_all_its_addresses() -> None:
    """Each once; the zone of a link-local one is left out."""
    host = client("db1.example", "10.0.0.5", "fd00::5", "10.0.0.5", "fe80::1%2")
    assert host.spans == (span_of("10.0.0.5"), span_of("fd00::5"), span_of("fe80::1"))
    assert host.versions == {4, 6}


@pytest.mark.parametrize(
    "text", ["", "-x", "a b", "10", "10.0.0", "0x7f.1", "fe80::1%eth0", "10.0.0.0/33", "é.example", "a" * 254]
)
def test_what_names_nobody_is_refused(text: str) -> None:
    """A resolver would take `10` for 0.0.0.10, so it is not asked."""
    with pytest.raises(DiagnosticError, match="is not an address, a network or a host name"):
        client(text, "10.0.0.5")


def test_an_unknown_host_is_refused_with_the_reason() -> None:
    """What the resolver says, and what to write instead."""

    def unknown(name: str) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(DiagnosticError) as caught:
        parse_client("nobody.invalid", unknown)
    (found,) = caught.value.diagnostics
    assert found.code == "mounts.unknown-host"
    assert found.summary == "the host nobody.invalid cannot be resolved here: Name or service not known"
    assert "10.0.0.0/24" in found.remedy


def test_the_resolver_of_this_machine_is_asked() -> None:
    """The name that every machine has."""
    assert {"127.0.0.1", "::1"} & set(addresses_of_host("localhost"))


@pytest.mark.parametrize(
    ("addresses", "expected"), [(["127.0.1.1"], True), (["::1", "127.0.0.1"], True), (["127.0.1.1", "10.0.0.5"], False)]
)
def test_a_host_that_only_this_machine_knows_is_seen(addresses: list[str], expected: bool) -> None:  # noqa: FBT001 - a case says yes or no
    """Many a host's own name is a loopback address to it."""
    assert is_this_machine_only(client("db1", *addresses)) is expected


@pytest.mark.parametrize("order", [1, -1])
def test_the_longest_prefix_decides(order: int) -> None:
    """Whatever the order of the rules."""
    rules = [ip("0.0.0.0/0", "ro"), ip("10.0.0.0/8", "rw"), ip("10.0.0.5", "ro")][::order]
    assert reach("10.0.0.5", *rules) == Reach(read_only=True, rules=(ip("10.0.0.5", "ro"),))
    assert reach("10.0.0.6", *rules) == Reach(read_only=False, rules=(ip("10.0.0.0/8"),))
    assert reach("192.0.2.1", *rules) == Reach(read_only=True, rules=(ip("0.0.0.0/0", "ro"),))


def test_a_rule_of_the_other_ip_version_lets_nobody_in() -> None:
    """Nor does a user rule, or a network beside."""
    assert reach("10.0.0.5", ip("::/0"), ip("10.0.1.0/24"), AccessRule("user", "10.0.0.5", "rw")) is None
    assert reach("fd00::5", ip("0.0.0.0/0")) is None


def test_a_network_may_what_all_of_it_may() -> None:
    """One rule holds it whole, or several together; a part of it is not enough."""
    halves = (ip("10.0.0.0/25", "ro"), ip("10.0.0.128/25", "rw"))
    assert reach("10.0.0.0/24", *halves) == Reach(read_only=False, rules=halves)
    assert reach("10.0.0.0/24", halves[0]) is None
    assert reach("10.0.0.0/24", halves[1]) is None
    assert reach("10.0.0.0/23", *halves) is None


def test_of_a_network_the_narrower_rules_are_named() -> None:
    """Those of whom another level holds; where they hold everybody, the wider rule decides nothing."""
    wide, narrow = ip("10.0.0.0/8", "ro"), ip("10.1.0.0/16", "rw")
    assert reach("10.0.0.0/8", narrow, wide) == Reach(read_only=False, rules=(wide, narrow))
    halves = (ip("10.0.0.0/9", "ro"), ip("10.128.0.0/9", "ro"))
    assert reach("10.0.0.0/8", ip("0.0.0.0/0", "rw"), *halves) == Reach(True, (ip("0.0.0.0/0", "rw"), *halves))  # noqa: FBT003 - a case says yes or no


def test_a_host_may_what_one_of_its_addresses_may() -> None:
    """It writes where one address may write; an address that may nothing takes nothing away."""
    spans = client("db1", "10.0.0.5", "10.0.0.6", "192.0.2.1").spans
    assert reach_of(spans, [ip("10.0.0.5", "ro")]) == Reach(read_only=True, rules=(ip("10.0.0.5", "ro"),))
    both = [ip("10.0.0.5", "ro"), ip("10.0.0.6", "rw")]
    assert reach_of(spans, both) == Reach(read_only=False, rules=tuple(both))


def test_a_rule_that_is_no_network_lets_nobody_in() -> None:
    """The state may hold what a driver found by hand."""
    assert reach("10.0.0.5", ip("unreadable: x"), ip("fe80::/10%eth0")) is None


NETWORKS = st.builds(
    lambda number, bits: str(ipaddress.ip_network((number >> (32 - bits) << (32 - bits), bits))),
    st.integers(0x0A000000, 0x0A00000F),
    st.integers(26, 32),
)


@given(st.dictionaries(NETWORKS, st.sampled_from(["ro", "rw"]), max_size=6), NETWORKS)
def test_a_network_may_what_its_addresses_may_one_by_one(levels: dict[str, str], asked: str) -> None:
    """It reaches a share if each address does, and only reads if none may write."""
    rules = [ip(network, level) for network, level in levels.items()]
    each = [reach(str(address), *rules) for address in ipaddress.ip_network(asked)]
    whole = reach(asked, *rules)
    assert (whole is not None) == all(found is not None for found in each)
    if whole is not None and whole.read_only:
        assert all(found is not None and found.read_only for found in each)


def test_a_rule_that_shuts_out_decides_where_it_is_the_narrowest() -> None:
    """For the host itself; a network of which a part is shut out is not let in as a whole."""
    rules = [ip("10.0.0.0/8", "rw"), ip("10.0.0.8/29", "none"), ip("10.0.0.13", "ro")]
    assert reach("10.0.0.9", *rules) is None
    assert reach("10.0.0.8/29", *rules) is None
    assert reach("10.0.0.0/24", *rules) is None
    assert reach("10.0.0.13", *rules) == Reach(read_only=True, rules=(rules[2],))
    assert reach("10.0.1.1", *rules) == Reach(read_only=False, rules=(rules[0],))
    assert reach("192.0.2.1", rules[1]) is None


def test_who_is_shut_out_of_a_network_that_others_fill_is_nobody() -> None:
    """Narrower rules hold each of its addresses."""
    halves = [ip("10.0.0.8/30", "ro"), ip("10.0.0.12/30", "ro")]
    found = reach("10.0.0.0/24", ip("10.0.0.0/8", "ro"), ip("10.0.0.8/29", "none"), *halves)
    assert found is not None
    assert found.read_only
