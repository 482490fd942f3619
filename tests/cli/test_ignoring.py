"""What others have on a backend can be left alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.cli.console import Console  # noqa: TC001 - fixtures are typed with it

if TYPE_CHECKING:
    from pathlib import Path

IGNORE = "ignore: {shares: ['scratch*'], access: [{type: ip, to: 10.9.0.0/24}, {type: user, to: 'CORP\\backup*'}]}"


def configure(console: Console, ignore: str = IGNORE, *, access: str = "10.0.0.1", policy: str = "delete") -> None:
    """Write the backend and a share of each protocol."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    head = "---\napiVersion: sharectl/v1\nkind"
    console.write(
        "all.yaml",
        f"{head}: Backend\nmetadata: {{name: nas}}\nspec: {{driver: directory, config: {{root: s, exportHost: nas}}, {ignore}}}\n"
        f"{head}: Share\nmetadata: {{name: one}}\nspec: {{size: 1GiB, protocol: NFS, deletionPolicy: {policy}, "
        f"access: [{{type: ip, to: {access}, level: rw}}]}}\n",
    )


@pytest.fixture
def shared(console: Console) -> Console:
    """Return a repository that is applied, with a client that a backup appliance has added to the export."""
    configure(console)
    assert console("apply", "--yes").code == 0
    path = fragment(console)
    added = path.read_text(encoding="utf-8").rstrip("\n") + " 10.9.0.7(ro,sync,no_subtree_check,root_squash)\n"
    path.write_text(added, encoding="utf-8")
    return console


def fragment(console: Console) -> Path:
    """Return the one export."""
    (path,) = (console.root / "s" / ".sharectl" / "exports.d").iterdir()
    return path


def clients(console: Console) -> set[str]:
    """Return who is in the export."""
    words = fragment(console).read_text(encoding="utf-8").splitlines()[-1].split(" ")[1:]
    return {word.partition("(")[0] for word in words}


def test_rules_of_others_are_no_difference_and_stay_when_others_change(shared: Console) -> None:
    """They are counted as ignored, and are in the full set that the driver puts in force."""
    ended = shared("refresh", "--detailed-exitcode")
    assert ended.code == 0, ended.out
    assert "holds 1 access rule that its manifest ignores" in ended.out
    assert shared("plan", "--detailed-exitcode").code == 0
    configure(shared, access="10.0.0.2")
    assert shared("apply", "--yes").code == 0
    assert clients(shared) == {"10.0.0.2", "10.9.0.7"}
    assert shared("plan", "--detailed-exitcode").code == 0
    drift = json.loads(shared("refresh", "--output", "json").out)["drift"]
    assert [(each["kind"], each["address"]) for each in drift] == [("ignored", "backend/nas")]


def test_what_the_list_does_not_cover_is_a_difference(shared: Console) -> None:
    """Outside of the network, or without the list at all."""
    configure(shared, "ignore: {access: [{type: ip, to: 10.9.0.8}]}")
    assert shared("refresh", "--detailed-exitcode").code == 2
    assert shared("apply", "--yes").code == 0
    assert clients(shared) == {"10.0.0.1"}


def test_a_rule_of_a_manifest_that_is_left_to_others_is_refused(shared: Console) -> None:
    """It says what contradicts what; the other rules go on."""
    configure(shared, access="10.9.0.9")
    ended = shared("plan")
    assert ended.code == 1
    assert "the rule ip:10.9.0.9 of share/one is one that backend nas ignores" in ended.err


def test_a_share_that_is_retained_keeps_the_rules_of_others_alone(shared: Console) -> None:
    """Access ends that was sharectl's to give."""
    configure(shared, policy="retain")
    assert shared("apply", "--yes").code == 0
    (shared.root / "all.yaml").write_text(
        (shared.root / "all.yaml").read_text().partition("---\napiVersion: sharectl/v1\nkind: Share")[0]
    )
    assert shared("apply", "--yes", "--allow-empty").code == 0
    assert clients(shared) == {"10.9.0.7"}


def test_a_rule_that_sharectl_gave_is_still_known_when_its_share_is_recorded_anew(shared: Console) -> None:
    """Here because its export location is another one."""
    configure(shared, "ignore: {access: [{type: ip, to: 10.0.0.0/8}]}")
    manifest = shared.root / "all.yaml"
    manifest.write_text(manifest.read_text().replace("exportHost: nas", "exportHost: other"))
    shared("apply", "--yes")
    manifest.write_text(manifest.read_text().replace("access: [{type: ip, to: 10.0.0.1, level: rw}]", "access: []"))
    assert shared("apply", "--yes").code == 0
    assert clients(shared) == {"10.9.0.7"}


@pytest.mark.parametrize("policy", ["delete", "retain"])
@pytest.mark.parametrize("refresh", ["full", "changed", "none"])
@pytest.mark.parametrize("edited", [False, True])
def test_a_rule_that_sharectl_gave_is_none_of_others_when_a_list_covers_it_later(
    shared: Console, policy: str, refresh: str, *, edited: bool
) -> None:
    """It is no difference while the manifest has it, and ends with the manifest; what others gave stays."""
    configure(shared, policy=policy)
    assert shared("apply", "--yes").code == 0
    configure(shared, "ignore: {access: [{type: ip, to: 10.0.0.0/8}]}", policy=policy)
    planned = shared("plan")
    assert planned.code == 0, planned.err
    assert "holds 1 access rule that its manifest ignores" in planned.out
    assert "was changed" not in planned.out
    assert shared("apply", "--yes").code == 0
    if edited:
        path = fragment(shared)
        path.write_text(path.read_text(encoding="utf-8").rstrip("\n") + " 192.0.2.1(ro,sync)\n", encoding="utf-8")
    manifest = shared.root / "all.yaml"
    if policy == "retain":
        manifest.write_text(manifest.read_text().partition("---\napiVersion: sharectl/v1\nkind: Share")[0])
    else:
        manifest.write_text(manifest.read_text().replace("access: [{type: ip, to: 10.0.0.1, level: rw}]", "access: []"))
    done = shared("apply", "--yes", "--allow-empty", "--refresh", refresh)
    assert done.code == 0, done.err
    assert "ip:10.0.0.1 rw" in done.out
    assert clients(shared) == {"10.9.0.7"}


def test_a_rule_that_sharectl_gave_stays_with_its_manifest_when_another_changes(shared: Console) -> None:
    """The contradiction is an error, and takes nobody's access away."""
    configure(
        shared,
        "ignore: {access: [{type: ip, to: 10.0.0.0/8}]}",
        access="10.0.0.1, level: rw}, {type: ip, to: 192.0.2.1",
    )
    ended = shared("apply", "--yes")
    assert ended.code == 1
    assert "the rule ip:10.0.0.1 of share/one is one that backend nas ignores" in ended.err
    assert clients(shared) == {"10.0.0.1", "192.0.2.1", "10.9.0.7"}


def test_unmanaged_shares_are_counted_as_ignored(shared: Console) -> None:
    """Those that a pattern names are no drift; others are."""
    for name in ("scratch-1", "scratch-2"):
        (shared.root / "s" / name).mkdir()
    ended = shared("refresh", "--detailed-exitcode")
    assert ended.code == 0, ended.out
    assert "holds 2 shares and 1 access rule that its manifest ignores" in ended.out
    (shared.root / "s" / "other").mkdir()
    ended = shared("refresh", "--detailed-exitcode")
    assert ended.code == 2
    assert "holds 1 share that the state does not know: other" in ended.out


def test_a_pattern_that_names_nobody_is_refused(console: Console) -> None:
    """At its place."""
    configure(console, "ignore: {access: [{type: ip, to: backup.example.org}]}")
    ended = console("validate")
    assert ended.code == 1
    assert "backup.example.org" in ended.err


def test_show_names_what_is_left_to_others(shared: Console) -> None:
    """The patterns of the share's backend, each with the rules that it covers now; of a backend all that it ignores."""
    shown = shared("show", "share/one").out
    assert "Left to others (spec.ignore.access of the backend)\n  ip:10.9.0.0/24  has access: ip:10.9.0.7 ro\n" in shown
    assert "  user:CORP\\backup*  nobody has access by it\n" in shown
    unasked = shared("show", "share/one", "--refresh", "none").out
    assert "\n  ip:10.9.0.0/24\n" in unasked
    plain = json.loads(shared("show", "share/one", "-o", "json").out)
    assert plain["ignored_access"] == [
        {
            "access_type": "ip",
            "to": "10.9.0.0/24",
            "rules": [{"access_type": "ip", "access_to": "10.9.0.7", "access_level": "ro"}],
        },
        {"access_type": "user", "to": "CORP\\backup*", "rules": []},
    ]
    assert "scratch*" in shared("show", "backend/nas").out
    configure(shared, "")
    assert "Left to others" not in shared("show", "share/one").out


@pytest.mark.parametrize(
    ("rule", "pattern"),
    [
        ("{type: user, to: '*', level: ro}", "{type: user, to: '*'}"),
        ("{type: group, to: 'CORP\\Backup Operators', level: ro}", "{type: group, to: 'corp\\backup*'}"),
        ("{type: guest, to: '*', level: ro}", "{type: guest, to: '*'}"),
        ("{type: ip, to: 10.9.0.7, level: none}", "{type: ip, to: 10.9.0.0/24}"),
    ],
)
def test_rules_of_each_type_can_be_left_to_others(console: Console, rule: str, pattern: str) -> None:
    """Given by a state of its own, as another tool would."""
    head = "---\napiVersion: sharectl/v1\nkind"
    backend = (
        f"{head}: Backend\nmetadata: {{name: nas}}\nspec: {{driver: simulated, config: {{stateFile: sim.db}}IGNORE}}\n"
    )
    mine = "{type: ip, to: 10.0.0.0/8, level: rw}, {type: user, to: alice, level: rw}"
    share = (
        f"{head}: Share\nmetadata: {{name: one}}\nspec: {{size: 1GiB, protocols: [NFS, CIFS], access: [{mine}MORE]}}\n"
    )
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    console.write("all.yaml", backend.replace("IGNORE", "") + share.replace("MORE", ""))
    assert console("apply", "--yes").code == 0
    kept = (console.root / ".sharectl" / "state.db").read_bytes()
    console.write("all.yaml", backend.replace("IGNORE", "") + share.replace("MORE", f", {rule}"))
    assert console("apply", "--yes").code == 0
    (console.root / ".sharectl" / "state.db").write_bytes(kept)
    console.write(
        "all.yaml", backend.replace("IGNORE", f", ignore: {{access: [{pattern}]}}") + share.replace("MORE", "")
    )
    ended = console("refresh", "--detailed-exitcode")
    assert ended.code == 0, ended.out
    assert "holds 1 access rule that its manifest ignores" in ended.out


def test_guests_are_ignored_by_no_name(console: Console) -> None:
    """As in a rule: a pattern that never matches is a mistake."""
    configure(console, "ignore: {access: [{type: guest, to: bob}]}")
    ended = console("validate")
    assert ended.code == 1
    assert "guests have no names" in ended.err
    assert "all.yaml:5:" in ended.err
