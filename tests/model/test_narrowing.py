"""Which rules count as taken away or narrowed."""

from __future__ import annotations

import pytest

from sharectl.model.narrowing import narrowed
from tests.planner.world import rule


@pytest.mark.parametrize(
    ("before", "after", "lost"),
    [
        ("", "ip:10.0.0.1", ""),
        ("ip:10.0.0.1", "", "ip:10.0.0.1"),
        ("ip:10.0.0.1", "ip:10.0.0.1=ro", "ip:10.0.0.1"),
        ("ip:10.0.0.1=ro", "ip:10.0.0.1", ""),
        ("ip:10.0.0.0/8", "ip:10.1.0.0/16", "ip:10.0.0.0/8"),
        ("ip:10.1.0.0/16", "ip:10.0.0.0/8", ""),
        ("ip:10.1.0.0/16", "ip:10.0.0.0/8=ro", "ip:10.1.0.0/16"),
        ("ip:10.1.0.0/16=ro", "ip:0.0.0.0/0", ""),
        ("ip:10.1.0.0/16", "ip:::/0", "ip:10.1.0.0/16"),
        ("ip:2001:db8::1", "ip:2001:db8::/32", ""),
        ("ip:10.0.0.0/8", "ip:10.0.0.0/8 ip:10.0.0.1=ro", "ip:10.0.0.1"),
        ("ip:10.0.0.0/8=ro", "ip:10.0.0.0/8=ro ip:10.0.0.1=ro", ""),
        ("ip:10.0.0.0/8 ip:10.1.0.0/16=ro", "ip:10.0.0.0/8 ip:10.1.0.0/16=ro ip:10.1.1.0/24=ro", ""),
        ("ip:10.0.0.0/8 ip:10.1.0.0/16=ro", "ip:10.0.0.0/8", ""),
        ("ip:10.0.0.0/8=ro ip:10.1.0.0/16", "ip:10.0.0.0/8=ro", "ip:10.1.0.0/16"),
        ("user:alice user:bob=ro", "user:bob", "user:alice"),
        ("user:alice", "user:Alice", ""),
        ("user:alice", "user:alice ip:10.0.0.0/8", "user:alice"),
        ("user:alice ip:10.0.0.0/8", "user:alice ip:10.0.0.0/7", ""),
        ("ip:unreadable: line", "ip:10.0.0.1", "ip:unreadable: line"),
        ("ip:10.0.0.0/8", "ip:10.0.0.0/8 ip:10.0.0.13=none", "ip:10.0.0.13"),
        ("ip:10.0.0.0/8=ro", "ip:10.0.0.0/8=ro ip:10.0.0.13=none", "ip:10.0.0.13"),
        ("ip:10.0.0.0/8", "ip:10.0.0.0/8 ip:192.0.2.1=none", ""),
        ("ip:10.0.0.0/8 ip:10.0.0.13=none", "ip:10.0.0.0/8", ""),
        ("ip:10.0.0.0/8 ip:10.0.0.13=none", "ip:10.0.0.13=none", "ip:10.0.0.0/8"),
        ("ip:10.0.0.0/8 ip:10.0.0.13", "ip:10.0.0.0/8 ip:10.0.0.13=none", "ip:10.0.0.13"),
        ("user:alice", "user:alice ip:192.0.2.1=none", "ip:192.0.2.1"),
        ("user:*", "user:* user:bob=none", "user:bob"),
        ("user:*", "user:* user:bob=ro", "user:bob"),
        ("user:*=ro", "user:*=ro user:bob", ""),
        ("user:* user:bob", "user:*", ""),
        ("user:*=ro user:bob", "user:*=ro", "user:bob"),
        ("group:staff", "group:staff user:bob=none", "user:bob"),
        ("group:staff", "group:staff group:interns=none", "group:interns"),
        ("group:staff user:bob", "group:staff", "user:bob"),
        ("guest:*=ro user:bob", "user:bob", "guest:*"),
    ],
)
def test_what_somebody_loses(before: str, after: str, lost: str) -> None:
    """A rule counts where a client can do less by the rules that decide afterwards."""
    old, new = ([rule(text) for text in texts.split(" ") if text and text != "line"] for texts in (before, after))
    if "unreadable" in before:
        old = [rule("ip:unreadable: line")]
    assert " ".join(one.key for one in narrowed(old, new)) == lost
