"""A setting of exports that is changed reaches the exports that exist."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.console import Console

SHARES = """\
---
apiVersion: sharectl/v1
kind: Share
metadata: {name: one}
spec: {size: 1GiB, protocol: NFS, access: [{type: ip, to: 10.0.0.1, level: rw}, {type: ip, to: 10.0.0.2, level: ro}]}
---
apiVersion: sharectl/v1
kind: Share
metadata: {name: closed}
spec: {size: 1GiB, protocol: NFS}
---
apiVersion: sharectl/v1
kind: Share
metadata: {name: windows}
spec: {size: 1GiB, protocol: CIFS, access: [{type: user, to: alice, level: rw}]}
"""


def configure(console: Console, settings: str) -> None:
    """Write the backend with these settings, and the shares."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    console.write(
        "all.yaml",
        "apiVersion: sharectl/v1\nkind: Backend\nmetadata: {name: nas}\n"
        f"spec: {{driver: directory, config: {{root: storage, exportHost: nas, {settings}}}}}\n{SHARES}",
    )


@pytest.fixture
def applied_with_user(console: Console) -> Console:
    """Return a repository that is applied with one anonymous user."""
    configure(console, "anonymousUid: 1000")
    assert console("apply", "--yes").code == 0
    return console


def fragment(console: Console) -> Path:
    """Return the one export."""
    (path,) = (console.root / "storage" / ".sharectl" / "exports.d").iterdir()
    return path


@pytest.mark.parametrize(
    ("settings", "reason", "shown", "options"),
    [
        ("anonymousUid: 2000", "anonymousUid 1000 → 2000", ["export/anonymousUid  1000 → 2000"], "anonuid=2000"),
        (
            "anonymousGid: 7",
            "anonymousGid not set → 7, anonymousUid 1000 → not set",
            ["+ export/anonymousGid  7", "- export/anonymousUid  1000"],
            "anongid=7",
        ),
        ("", "anonymousUid 1000 → not set", ["- export/anonymousUid  1000"], "root_squash)"),
    ],
)
@pytest.mark.parametrize("refresh", ["full", "changed", "none"])
def test_a_changed_setting_is_shown_and_carried_out(  # noqa: PLR0913, PLR0917 - what is set, and how it shows
    applied_with_user: Console, settings: str, reason: str, shown: list[str], options: str, refresh: str
) -> None:
    """With the reason that it has, and no word of access that somebody changed."""
    configure(applied_with_user, settings)
    planned = applied_with_user("plan", "--detailed-exitcode", "--refresh", refresh)
    assert planned.code == 2, planned.err
    assert "export.unseen" not in planned.err
    assert f"its export's settings differ from its backend's and share type's: {reason}" in " ".join(
        planned.out.split()
    )
    assert "was changed on" not in planned.out
    fields = [" ".join(line.split()) for line in planned.out.splitlines()]
    for text in shown:
        assert any(" ".join(text.split()) in field for field in fields), planned.out
    steps = json.loads(applied_with_user("plan", "--output", "json", "--refresh", refresh).out)["steps"]
    assert [step["address"] for step in steps] == ["share/one"]
    applied_with_user("plan", "--out", "saved", "--refresh", refresh)
    assert applied_with_user("apply", "saved").code == 0
    assert fragment(applied_with_user).read_text(encoding="utf-8").count(options) == 2
    for mode in ("full", "changed", "none"):
        assert applied_with_user("plan", "--detailed-exitcode", "--refresh", mode).code == 0


def test_a_setting_that_was_changed_by_hand_is_changed_back(applied_with_user: Console) -> None:
    """As any other difference between the export and what it is to be."""
    path = fragment(applied_with_user)
    before = path.read_text(encoding="utf-8")
    path.write_text(before.replace("anonuid=1000", "anonuid=0"), encoding="utf-8")
    planned = applied_with_user("plan", "--detailed-exitcode")
    assert planned.code == 2
    assert "export/anonymousUid" in planned.out
    assert applied_with_user("apply", "--yes").code == 0
    assert path.read_text(encoding="utf-8") == before


def forget_settings(console: Console) -> None:
    """Let the state be one of an older sharectl, which recorded no export settings."""
    with closing(sqlite3.connect(console.root / ".sharectl" / "state.db")) as state, state:
        state.execute(
            "UPDATE resource SET attributes = CAST(json_remove(CAST(attributes AS TEXT), '$.export_settings') AS BLOB)"
        )


@pytest.mark.parametrize("refresh", ["changed", "none"])
def test_a_plan_that_neither_knows_nor_looks_says_so(applied_with_user: Console, refresh: str) -> None:
    """Nobody takes a changed setting for one that is in force; a share without access has no export."""
    forget_settings(applied_with_user)
    assert applied_with_user("plan", "--detailed-exitcode").code == 0
    configure(applied_with_user, "anonymousUid: 2000")
    planned = applied_with_user("plan", "--refresh", refresh)
    assert planned.code == 0
    assert "warning[export.unseen]: the export settings of 2 shares on backend nas are not known" in planned.err
    targeted = applied_with_user("plan", "--refresh", "none", "--target", "share/one")
    assert "the export settings of 1 share on backend nas are not known" in targeted.err
    assert applied_with_user("apply", "--yes").code == 0
    for words in ((), ("--target", "share/one"), ("--backend", "nas")):
        assert "export.unseen" not in applied_with_user("plan", *words).err
