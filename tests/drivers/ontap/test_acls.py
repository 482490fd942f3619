"""Access lists of CIFS shares: what rules become, and the order in which a list is changed."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.ontap.acls import (
    Entry,
    changes_between,
    entries_of,
    entry_of,
    refused,
    rules_in_force,
)
from sharectl.model.access import AccessRule

if TYPE_CHECKING:
    from collections.abc import Iterable

RANKS = {"no_access": 0, "read": 1, "full_control": 2}
PERMISSIONS = (None, *RANKS)


def rights(entries: Iterable[Entry]) -> tuple[int, int]:
    """Return what the entries give to alice, and to bob, who are both in the group staff: the most of all, or nothing."""
    found = {entry.account: entry.permission for entry in entries}
    return tuple(  # type: ignore[return-value] - two of them
        0 if "no_access" in mine else max((RANKS[each] for each in mine), default=0)
        for mine in ([found[name] for name in (person, "staff") if name in found] for person in ("alice", "bob"))
    )


@pytest.mark.parametrize("person", ["alice", "bob"])
def test_nobody_has_more_or_less_than_before_and_after_on_the_way(person: str) -> None:
    """For each way in which the entries of a user, another one and the group of both can change."""
    place = ("alice", "bob").index(person)
    lists = [
        [
            Entry(name, permission)
            for name, permission in zip(("alice", "bob", "staff"), each, strict=True)
            if permission
        ]
        for each in product(PERMISSIONS, repeat=3)
    ]
    for before, after in product(lists, repeat=2):
        now = {entry.account: entry for entry in before}
        ends = [rights(before)[place], rights(after)[place]]
        for change in changes_between(before, after):
            if change.verb == "delete":
                del now[change.entry.account]
            else:
                assert (change.entry.account in now) == (change.verb == "change")
                now[change.entry.account] = change.entry
            assert rights(now.values())[place] <= max(ends), (before, after)
            assert rights(now.values())[place] >= min(ends), (before, after)
        assert set(now.values()) == set(after)


def test_the_same_list_needs_no_change() -> None:
    """In whatever case the directory spells accounts, and with the right to change in place of the full one."""
    assert not list(changes_between([Entry("CORP\\Bob", "change")], [Entry("corp\\bob", "full_control")]))


@pytest.mark.parametrize(("level", "permission"), [("rw", "full_control"), ("ro", "read"), ("none", "no_access")])
def test_a_level_is_a_permission_and_read_back_as_the_level(level: str, permission: str) -> None:
    """In the list and from it."""
    rule = AccessRule("user", "CORP\\bob", level)
    entry = entry_of(rule)
    assert entry.body() == {"user_or_group": "CORP\\bob", "type": "windows", "permission": permission}
    assert rules_in_force(entries_of({"acls": [entry.body()]})) == (rule,)


def test_everyone_and_unix_accounts_are_remarks() -> None:
    """No manifest can hold them as rules, so that a plan shows them and ends them."""
    found = rules_in_force([Entry("Everyone", "full_control"), Entry("root", "read", "unix_user")])
    assert all(rule.is_remark for rule in found)
    assert [rule.access_level for rule in found] == ["rw", "ro"]


@pytest.mark.parametrize(
    "rule",
    [
        AccessRule("ip", "10.0.0.1", "rw"),
        AccessRule("group", "CORP\\staff", "rw"),
        AccessRule("guest", "*", "ro"),
        AccessRule("user", "*", "rw"),
        AccessRule("user", "everyone", "rw"),
        AccessRule("user", "BUILTIN\\Everyone ", "rw"),
        AccessRule("user", "S-1-1-0", "rw"),
        AccessRule("user", "NT AUTHORITY\\ANONYMOUS LOGON", "ro"),
        AccessRule("user", "CORP\\bob", "rw", (("squash", "none"),)),
        AccessRule("user", "CORP/bob", "rw"),
    ],
)
def test_what_a_list_cannot_say_is_refused_with_the_way_out(rule: AccessRule) -> None:
    """Everybody under other names among them."""
    status = refused([rule])[rule]
    assert status.status == "error"
    assert ";" in status.reason


def test_two_rules_for_one_account_are_refused() -> None:
    """Windows reads both names as one; the other one stays."""
    first, second = AccessRule("user", "CORP\\Bob", "rw"), AccessRule("user", "corp\\bob", "ro")
    assert list(refused([second, first])) == [second]
