"""Rules that are found on a backend, in the form of a manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.manifests.access import AccessError, canonical_group, canonical_user, writable_access
from sharectl.model.access import AccessRule

if TYPE_CHECKING:
    from collections.abc import Callable

NETWORK = AccessRule("ip", "10.0.0.0/8", "rw")


@pytest.mark.parametrize(
    ("rule", "protocol", "written"),
    [
        (NETWORK, "NFS", NETWORK),
        (AccessRule("ip", "::ffff:10.1.2.3", "ro"), "NFS", AccessRule("ip", "10.1.2.3", "ro")),
        (AccessRule("user", "alice", "ro"), "CIFS", AccessRule("user", "alice", "ro")),
        (AccessRule("user", "alice", "ro"), "NFS", None),
        (AccessRule("ip", "*", "rw"), "NFS", None),
        (AccessRule("ip", "0.0.0.0", "rw"), "NFS", None),  # noqa: S104 - a client
        (AccessRule("ip", "unreadable: 10.0.0.1(rw,no_root_squash)", "rw"), "NFS", None),
        (AccessRule("ip", "10.0.0.1", "rw with squash all and security sys"), "NFS", None),
        (AccessRule("cert", "10.0.0.1", "rw"), "NFS", None),
        (AccessRule("user", "@staff", "rw"), "CIFS", None),
        (AccessRule("user", "*", "ro"), "CIFS", AccessRule("user", "*", "ro")),
        (AccessRule("group", "CORP\\Domain Users", "rw"), "CIFS", AccessRule("group", "CORP\\Domain Users", "rw")),
        (AccessRule("group", "@staff", "rw"), "CIFS", None),
        (AccessRule("group", "staff", "rw"), "NFS", None),
        (AccessRule("guest", "*", "ro"), "CIFS", AccessRule("guest", "*", "ro")),
        (AccessRule("guest", "me", "ro"), "CIFS", None),
        (AccessRule("ip", "10.0.0.13", "none"), "NFS", AccessRule("ip", "10.0.0.13", "none")),
        (AccessRule("ip", "10.0.0.1", "rw", (("squash", "most"),)), "NFS", None),
        (AccessRule("ip", "10.0.0.1", "rw", (("fsid", "0"),)), "NFS", None),
        (AccessRule("ip", "10.0.0.1", "rw", (("anonymousUid", "-1"),)), "NFS", None),
    ],
)
def test_a_rule_is_written_or_left_out_with_the_reason(
    rule: AccessRule, protocol: str, written: AccessRule | None
) -> None:
    """And the rule beside it is not touched."""
    other = AccessRule("ip", "192.0.2.1", "ro")
    found = writable_access([rule, other], protocol)
    assert found.rules == ((other,) if written is None else (written, other))
    assert [left for left, _ in found.left_out] == ([rule] if written is None else [])
    assert all(why for _, why in found.left_out)


def test_two_that_come_to_one_address_with_two_levels() -> None:
    """The second is left out; with one level they are one rule."""
    mapped = AccessRule("ip", "::ffff:10.0.0.1", "ro")
    found = writable_access([AccessRule("ip", "10.0.0.1", "rw"), mapped], "NFS")
    assert (found.rules, found.left_out[0][0]) == ((AccessRule("ip", "10.0.0.1", "rw"),), mapped)
    assert writable_access([mapped, mapped._replace(access_to="10.0.0.1")], "NFS").left_out == ()


@pytest.mark.parametrize("canonical", [canonical_user, canonical_group])
@pytest.mark.parametrize("hidden", ["\u3164", "\ufe0f", "\u2800"])
def test_a_name_has_no_characters_that_show_nothing(canonical: Callable[[str], str], hidden: str) -> None:
    """Two users that no reviewer can tell apart are two users to a server."""
    with pytest.raises(AccessError, match="invisible"):
        canonical(f"alice{hidden}")
