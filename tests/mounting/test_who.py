"""What a client, a user or a group may reach by the rules of a share."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharectl.model.access import AccessRule
from sharectl.model.diagnostics import DiagnosticError
from sharectl.model.precedence import network_of
from sharectl.mounting.clients import reach_of, span_of
from sharectl.mounting.who import beginnings_within, concerns, names_around, parse_subject, verdicts

LEVELS = st.sampled_from(["rw", "ro", "none"])


def nobody(name: str) -> list[str]:
    """Resolve no name."""
    raise OSError(name)


def rule(text: str) -> AccessRule:
    """Return the rule that `ip:10.0.0.0/8 rw` describes."""
    key, level = text.rsplit(" ", 1)
    kind, to = key.split(":", 1)
    return AccessRule(kind, to, level)


def told(text: str, protocol: str, *rules: str, groups: tuple[str, ...] = ()) -> list[tuple[str, str, str, str]]:
    """Return protocol, client, level and deciding rule of each verdict."""
    subject = parse_subject(text, groups, nobody)
    found = verdicts(subject, "share/a", protocol, [rule(each) for each in rules])
    return [(each.protocol, each.client, each.level, each.rule.key if each.rule else "") for each in found]


def test_the_narrowest_rule_decides_for_an_address() -> None:
    """Also where it shuts out."""
    rules = "ip:10.0.0.0/8 rw", "ip:10.0.3.0/24 ro", "ip:10.0.3.5 none"
    assert told("10.0.3.5", "NFS", *rules) == [("NFS", "10.0.3.5", "none", "ip:10.0.3.5")]
    assert told("10.0.3.6", "NFS", *rules) == [("NFS", "10.0.3.6", "ro", "ip:10.0.3.0/24")]
    assert told("::ffff:10.9.9.9", "NFS", *rules) == [("NFS", "10.9.9.9", "rw", "ip:10.0.0.0/8")]
    assert told("192.0.2.1", "NFS", *rules) == told("2001:db8::1", "NFS", *rules) == []


def test_of_a_network_each_part_with_a_rule_of_its_own_is_told() -> None:
    """And the whole of it only where a rule holds the whole."""
    rules = "ip:10.0.0.0/8 rw", "ip:10.0.3.5 none", "ip:10.1.0.0/16 ro"
    assert told("10.0.3.0/24", "NFS", *rules) == [
        ("NFS", "10.0.3.0/24", "rw", "ip:10.0.0.0/8"),
        ("NFS", "10.0.3.5", "none", "ip:10.0.3.5"),
    ]
    assert told("0.0.0.0/0", "NFS", *rules)[0] == ("NFS", "10.0.0.0/8", "rw", "ip:10.0.0.0/8")


def test_over_smb_an_address_reaches_as_much_as_the_users_may() -> None:
    """Without rules for people every user of the server may; where all of those shut out, nobody."""
    hosts = "ip:10.0.0.0/8 rw"
    assert told("10.0.0.1", "CIFS", hosts, "user:alice ro") == [("CIFS", "10.0.0.1", "ro", "ip:10.0.0.0/8")]
    assert told("10.0.0.1", "CIFS", hosts) == [("CIFS", "10.0.0.1", "rw", "ip:10.0.0.0/8")]
    assert told("10.0.0.1", "CIFS", hosts, "user:alice none") == []


def test_a_network_without_a_rule_of_its_own_reaches_a_share_whose_users_come_from_everywhere() -> None:
    """But for what is shut out in it."""
    assert told("10.0.0.0/24", "CIFS", "user:alice rw", "ip:10.0.0.5 none") == [
        ("CIFS", "10.0.0.0/24", "rw", ""),
        ("CIFS", "10.0.0.5", "none", "ip:10.0.0.5"),
    ]


def test_a_share_of_both_protocols_has_a_verdict_for_each() -> None:
    """An address that may only read over NFS is kept out over SMB; without users nobody comes over SMB."""
    rules = "ip:10.0.0.0/8 ro", "ip:10.1.0.0/16 rw", "user:alice rw"
    assert told("10.0.0.1", "NFS_CIFS", *rules) == [
        ("NFS", "10.0.0.1", "ro", "ip:10.0.0.0/8"),
        ("CIFS", "10.0.0.1", "none", "ip:10.0.0.0/8"),
    ]
    assert told("10.1.0.1", "NFS_CIFS", "ip:10.1.0.0/16 rw") == [("NFS", "10.1.0.1", "rw", "ip:10.1.0.0/16")]
    assert told("alice", "NFS_CIFS", *rules) == [("CIFS", "alice", "rw", "user:alice")]
    assert told("alice", "NFS_CIFS", "ip:10.0.0.0/8 ro", "user:alice rw") == [("CIFS", "alice", "none", "user:alice")]


def test_the_rule_of_the_user_goes_before_those_of_groups_and_of_all() -> None:
    """Of several groups the least counts; what addresses may not, no user may from them."""
    rules = "user:* ro", "user:CORP\\alice rw", "group:staff rw", "group:guests none"
    assert told("corp\\ALICE", "CIFS", *rules, groups=("guests",)) == [
        ("CIFS", "corp\\ALICE", "rw", "user:CORP\\alice")
    ]
    assert told("bob", "CIFS", *rules) == [("CIFS", "bob", "ro", "user:*")]
    assert told("bob", "CIFS", *rules, groups=("Staff", "guests")) == [("CIFS", "bob", "none", "group:guests")]
    assert told("bob", "CIFS", "user:bob rw", "ip:10.0.0.0/8 ro") == [("CIFS", "bob", "ro", "user:bob")]
    assert told("bob", "NFS", "ip:10.0.0.0/8 rw") == []


def test_guests_come_beside_users() -> None:
    """Whoever leaves the password out is one."""
    rules = "user:alice rw", "guest:* ro"
    assert told("alice", "CIFS", *rules) == [
        ("CIFS", "alice", "rw", "user:alice"),
        ("CIFS", "guests", "ro", "guest:*"),
    ]
    assert told("guest", "CIFS", *rules) == [("CIFS", "guests", "ro", "guest:*")]
    assert told("group:staff", "CIFS", "group:STAFF ro", *rules) == [("CIFS", "staff", "ro", "group:STAFF")]


@pytest.mark.parametrize(
    "text", ["user:", "a/b", "10.0.0.999", "10.0.0.0/33", "host:", "guest:alice", "x\x1b[31m", "group:*"]
)
def test_what_names_nobody_is_refused_with_a_way_out(text: str) -> None:
    """An address that is none is no user either."""
    with pytest.raises(DiagnosticError) as refused:
        parse_subject(text, (), nobody)
    assert all(each.remedy for each in refused.value.diagnostics)


def test_an_address_is_in_no_group() -> None:
    """Rather than leaving the option unheard."""
    with pytest.raises(DiagnosticError, match="in no group"):
        parse_subject("10.0.0.1", ("staff",), nobody)


def networks() -> st.SearchStrategy[str]:
    """Return networks of both versions that are likely to hold one another."""
    four = st.builds(
        lambda bits, length: ipaddress.ip_network((0x0A000000 | bits, length), strict=False),
        st.integers(0, 0x3FF),
        st.integers(8, 32),
    )
    parts = st.lists(st.sampled_from([0, 0, 1, 0xDB8, 0x2001, 0xFFFF]), min_size=8, max_size=8)
    six = st.builds(
        lambda groups, length: ipaddress.ip_network(
            (int("".join(f"{group:04x}" for group in groups), 16), length), strict=False
        ),
        parts,
        st.integers(0, 128),
    )
    return st.one_of(four, six).map(
        lambda found: str(found.network_address) if found.prefixlen == found.max_prefixlen else str(found)
    )


@given(networks(), networks())
def test_the_names_that_are_looked_up_find_every_network_around_and_within(asked: str, named: str) -> None:
    """Whatever zeros the text of an IPv6 network leaves out."""
    span, other = span_of(asked), span_of(named)
    assert span is not None
    assert other is not None
    canonical = str(network_of(named))
    if other.covers(span):
        assert canonical in names_around(span) or span.version != other.version or network_of(named) is None
    elif span.covers(other) and ":" not in named.replace("::ffff:", "."):
        assert any(canonical.startswith(beginning) for beginning in beginnings_within(span))


@given(st.dictionaries(networks(), LEVELS, max_size=6), st.integers(0, 0x3FF))
def test_a_verdict_on_an_address_is_what_its_mount_may_do(rules: dict[str, str], host: int) -> None:
    """By the same rules, in whatever order."""
    address = str(ipaddress.ip_address(0x0A000000 | host))
    active = [AccessRule("ip", to, level) for to, level in rules.items()]
    found = list(verdicts(parse_subject(address, (), nobody), "share/a", "NFS", active))
    span = span_of(address)
    assert span is not None
    reach = reach_of([span], active)
    levels = {each.level for each in found}
    assert levels <= {"none"} if reach is None else levels == {"ro" if reach.read_only else "rw"}
    assert all(concerns(parse_subject(address, (), nobody), each.rule) for each in found if each.rule)
