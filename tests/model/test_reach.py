"""Who gains and who loses, over which protocol, where rules or protocols change."""

from __future__ import annotations

import pytest

from sharectl.model.access import AccessRule
from sharectl.model.reach import NOWHERE, Access, Shift, shifts
from tests.planner.world import rule


def told(found: tuple[Shift, ...]) -> str:
    """Return shifts as text."""
    return ", ".join(
        f"{s.access_type}:{s.access_to}{'-' if s.but_for else ''}{' '.join(s.but_for)} {s.before}>{s.after}"
        f"{'?' if s.unless_grouped else ''}"
        for s in found
    )


def rules(text: str) -> tuple[AccessRule, ...]:
    """Return the rules that a text names."""
    return tuple(sorted(rule(each) for each in text.split()))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("ip:10.0.3.0/24 ip:10.0.0.0/8=ro", "ip:10.0.0.0/8=ro", "ip:10.0.3.0/24 rw>ro"),
        ("ip:10.0.0.0/8", "ip:10.0.0.0/8 ip:10.0.0.13=none", "ip:10.0.0.13 rw>None"),
        ("ip:10.0.0.0/8 ip:10.0.0.13=none", "ip:10.0.0.0/8", "ip:10.0.0.13 None>rw"),
        ("ip:10.0.0.0/8 ip:10.0.0.13=none", "ip:10.0.0.13=none", "ip:10.0.0.0/8-10.0.0.13 rw>None"),
        ("ip:10.0.0.13=none", "", ""),
        ("ip:10.0.0.0/8", "ip:2001:db8::/32", "ip:10.0.0.0/8 rw>None, ip:2001:db8::/32 None>rw"),
    ],
)
def test_clients_of_nfs(before: str, after: str, expected: str) -> None:
    """By the narrowest rule."""
    assert told(shifts(Access("NFS", rules(before)), Access("NFS", rules(after)))) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("user:alice", "user:Alice=ro", "user:Alice rw>ro"),
        ("user:alice user:*=ro", "user:*=ro", "user:alice rw>ro"),
        ("user:* user:alice=ro", "user:alice=ro", "user:*-user:alice rw>None"),
        ("user:*", "guest:*", "guest:* None>rw"),
        ("guest:*=ro", "", "guest:* ro>None"),
        ("group:staff", "group:staff user:bob=none", "user:bob rw>None?"),
        ("group:staff user:bob", "group:staff", "user:bob rw>None?"),
        ("user:*", "user:* user:bob=none", "user:bob rw>None"),
        ("user:bob=none", "", ""),
        ("user:alice", "user:alice ip:10.0.0.0/8", "ip:0.0.0.0/0-10.0.0.0/8 rw>None, ip:::/0 rw>None"),
        ("user:alice ip:10.0.0.0/8", "", "user:alice rw>None"),
        ("", "user:alice ip:10.0.0.0/8", "user:alice None>rw"),
        ("user:alice", "user:alice ip:192.0.2.1=none", "ip:192.0.2.1 rw>None"),
    ],
)
def test_users_of_smb(before: str, after: str, expected: str) -> None:
    """A rule for a user comes before one for a group, before all users, before guests; address rules say from where."""
    assert told(shifts(Access("CIFS", rules(before)), Access("CIFS", rules(after)))) == expected


def test_a_protocol_that_goes_shuts_out_its_clients_alone() -> None:
    """Whoever comes over the other one keeps what they have."""
    both = rules("ip:10.0.0.0/8 user:alice")
    assert told(shifts(Access("NFS_CIFS", both), Access("NFS", rules("ip:10.0.0.0/8")))) == "user:alice rw>None"
    assert told(shifts(Access("NFS_CIFS", both), Access("CIFS", both))) == "ip:10.0.0.0/8 rw>None"


def test_what_is_equal_over_both_protocols_is_told_once() -> None:
    """An address of a share of both is one from which files are mounted, and from which users come."""
    found = shifts(
        Access("NFS_CIFS", rules("ip:10.0.0.0/8 ip:10.9.0.0/16 user:alice")),
        Access("NFS_CIFS", rules("ip:10.0.0.0/8 user:alice")),
    )
    assert found == ()
    [shift] = shifts(
        Access("NFS_CIFS", rules("ip:10.0.0.0/8 ip:11.0.0.0/8 user:alice")),
        Access("NFS_CIFS", rules("ip:10.0.0.0/8 user:alice")),
    )
    assert (shift.access_to, shift.protocol) == ("11.0.0.0/8", "NFS_CIFS")


def test_a_share_that_goes_is_lost_to_all_of_its_clients() -> None:
    """And one that comes is a gain."""
    there = Access("NFS", rules("ip:10.0.0.0/8 ip:10.0.0.13=none"))
    assert told(shifts(there, NOWHERE)) == "ip:10.0.0.0/8-10.0.0.13 rw>None"
    assert told(shifts(NOWHERE, there)) == "ip:10.0.0.0/8-10.0.0.13 None>rw"


def test_other_options_are_neither_gain_nor_loss() -> None:
    """They are told as what they are."""
    before = AccessRule("ip", "10.0.0.1", "rw", (("squash", "none"),))
    [shift] = shifts(Access("NFS", (before,)), Access("NFS", (before._replace(options=()),)))
    assert (shift.effect, shift.before, shift.after) == ("changes", "rw (squash none)", "rw")


def test_unprivileged_ports_that_go_are_a_loss_also_with_a_higher_level() -> None:
    """Clients that come from them are kept out, whatever the others gain."""
    had = AccessRule("ip", "10.0.0.1", "ro", (("insecure", "true"),))
    [shift] = shifts(
        Access("NFS", (had,)), Access("NFS", (had._replace(access_level="rw", options=(("insecure", "false"),)),))
    )
    assert shift.effect == "loses"


def test_a_remark_of_a_driver_is_nobody() -> None:
    """It is no rule that anybody could lose."""
    assert shifts(Access("NFS", (AccessRule("ip", "unreadable: a line", "rw"),)), NOWHERE) == ()
