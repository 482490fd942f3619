"""The NFS options of a rule: read, refused where they mean nothing, and written again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.manifests.write import document_of, dump
from sharectl.model.access import AccessRule
from sharectl.model.specs import ShareSpec
from tests.manifests.support import cifs, document, load_text, share

if TYPE_CHECKING:
    from pathlib import Path

ALL = (
    ("anonymousGid", "100"),
    ("anonymousUid", "4294967294"),
    ("insecure", "true"),
    ("security", "sys,krb5p"),
    ("squash", "all"),
)
WRITTEN = "squash: all, anonymousUid: 4294967294, anonymousGid: 100, security: [krb5p, sys], insecure: true"


def test_options_are_read_in_a_share_and_in_a_document_of_their_own(tmp_path: Path) -> None:
    """As texts, by name; the order in which a manifest has them does not matter."""
    rule = "type: ip, to: 10.0.0.5, level: rw"
    inline = load_text(tmp_path, share("a", f", access: [{{{rule}, {WRITTEN}}}]"))
    apart = load_text(tmp_path, share("a") + document("AccessRule", "r", f"{{share: a, {rule}, {WRITTEN}}}"))
    assert not inline.diagnostics
    assert not apart.diagnostics
    assert inline.desired.access("share/a") == (AccessRule("ip", "10.0.0.5", "rw", ALL),)
    assert apart.desired.access("share/a") == inline.desired.access("share/a")
    assert apart.desired.digests == inline.desired.digests


def test_a_rule_with_options_is_another_than_one_without(tmp_path: Path) -> None:
    """So that a plan sees the change."""
    with_options = load_text(tmp_path, share("a", ", access: [{type: ip, to: 10.0.0.5, level: rw, squash: none}]"))
    without = load_text(tmp_path, share("a", ", access: [{type: ip, to: 10.0.0.5, level: rw}]"))
    assert with_options.desired.digests != without.desired.digests


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """With the types that the schema has."""
    spec = ShareSpec("a", 1 << 30, "NFS")
    rules = [AccessRule("ip", "10.0.0.13", "none"), AccessRule("ip", "10.0.0.5", "rw", ALL)]
    text = dump([document_of(spec, rules)])
    assert "anonymousUid: 4294967294\n" in text
    assert "insecure: true\n" in text
    loaded = load_text(tmp_path, text)
    assert not loaded.diagnostics
    assert set(loaded.desired.access("share/a")) == set(rules)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            cifs("a", ", access: [{type: user, to: bob, level: rw, squash: all}]"),
            "a rule of type user has no `squash`, which is an option of NFS clients",
        ),
        (
            cifs("a", ", access: [{type: ip, to: 10.0.0.5, level: rw, insecure: true}]"),
            "an SMB server knows no `insecure` of a client: that is an option of NFS exports",
        ),
        (
            cifs("a") + document("AccessRule", "r", "{share: a, type: ip, to: 10.0.0.5, level: rw, squash: root}"),
            "an SMB server knows no `squash` of a client: that is an option of NFS exports",
        ),
        (
            share("a", ", access: [{type: ip, to: 10.0.0.5, level: none, anonymousUid: 7}]"),
            "a rule that shuts its client out has no `anonymousUid`",
        ),
        (
            share("a", ", access: [{type: group, to: staff, level: rw}]"),
            "an NFS share takes no access rule for a group",
        ),
        (
            share("a") + document("AccessRule", "r", "{share: a, type: guest, to: '*', level: ro}"),
            "an NFS share takes no access rule for guests",
        ),
    ],
)
def test_a_rule_that_its_share_has_no_use_for_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    """With what to write instead."""
    (found,) = load_text(tmp_path, text).diagnostics
    assert found.summary == expected
    assert found.remedy
