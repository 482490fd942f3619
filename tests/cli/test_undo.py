"""`sharectl diff` and `sharectl undo`: what a run changed, and the patch that takes it back."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import pytest

from sharectl.model.canonical import canonical_json
from sharectl.model.records import AddHistory, BeginOperation, HistoryEntry, PutRun
from sharectl.render.patch import patch_text
from sharectl.state.sqlite.store import open_store
from sharectl.state.testing.samples import ALICE, RUN, make_operation
from sharectl.workspace.planned_edits import FileChange

if TYPE_CHECKING:
    from pathlib import Path

    from sharectl.model.canonical import JsonObject
    from tests.cli.console import Console

GIT = shutil.which("git") or "git"
BACKEND = """\
apiVersion: sharectl/v1
kind: Backend
metadata: {name: sim}
spec:
  driver: simulated
  config: {stateFile: sim.db, protocols: [NFS, CIFS], pools: [{name: gold1, total: 10TiB}]}
"""
SHARES = """\
# one for all
apiVersion: sharectl/v1
kind: Share
metadata: {name: one, labels: {team: a}}
spec:
  size: 1GiB   # small
  protocol: NFS
  allowShrink: true
  deletionPolicy: trash
  access:
    - {type: ip, to: 10.0.0.0/8, level: rw}   # everybody
    # but this one
    - {type: ip, to: 10.0.3.5, level: none}
---
apiVersion: sharectl/v1
kind: Share
metadata: {name: two}
spec: {size: 1GiB, protocol: CIFS, deletionPolicy: delete}
---
apiVersion: sharectl/v1
kind: Share
metadata: {name: three}
spec: {size: 1GiB, protocol: CIFS, deletionPolicy: delete}
---
apiVersion: sharectl/v1
kind: AccessRule
metadata: {name: staff}
spec:
  shares: [two, three]
  type: group
  to: staff
  level: ro   # they read
"""


def git(root: Path, *words: str, stdin: str = "") -> str:
    """Run git in the repository, as nobody in particular."""
    who = {f"GIT_{role}_{what}": "x@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        [GIT, *words], cwd=root, check=True, capture_output=True, text=True, input=stdin, env={**os.environ, **who}
    )
    return done.stdout


@pytest.fixture
def repository(console: Console) -> Console:
    """Return a repository in git that has been applied."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\nspec: {manifests: [manifests]}\n")
    console.write("manifests/backend.yaml", BACKEND)
    console.write("manifests/shares.yaml", SHARES)
    git(console.root, "init", "-q")
    assert console("apply", "--yes").code == 0
    return console


def apply(console: Console, *pairs: tuple[str, str], code: int = 0) -> None:
    """Change the manifests of the shares, and apply them."""
    text = (console.root / "manifests/shares.yaml").read_text(encoding="utf-8")
    for before, after in pairs:
        assert before in text
        text = text.replace(before, after)
    console.write("manifests/shares.yaml", text)
    ended = console("apply", "--yes", "--allow-deletions", "9", "--allow-revocations", "9")
    assert ended.code == code, ended


def undone(console: Console, run: str = "last") -> JsonObject:
    """Return what undoes the run, as JSON."""
    plain: JsonObject = orjson.loads(console("undo", run, "-o", "json").out)
    return plain


def test_the_patch_of_a_run_brings_the_manifests_back(repository: Console) -> None:
    """Comments, order and layout with them; git takes it, and the next plan takes the run back."""
    gone = "    # but this one\n    - {type: ip, to: 10.0.3.5, level: none}\n"
    apply(
        repository,
        ("1GiB   # small", "3GiB   # small"),
        ("labels: {team: a}", "labels: {team: b}"),
        ("level: rw}   # everybody", "level: ro}   # everybody"),
        (gone, "    # but this one\n    - {type: ip, to: 10.0.3.5, level: rw}\n"),
        ("level: ro   # they read", "level: rw   # they read"),
    )
    ended = repository("undo", "last")
    assert ended.code == 0, ended
    assert "sharectl plan" in ended.err
    git(repository.root, "apply", stdin=ended.out)
    assert (repository.root / "manifests/shares.yaml").read_text(encoding="utf-8") == SHARES
    planned = repository("plan", "--allow-revocations", "9")
    assert "3GiB → 1GiB" in planned.out
    assert repository("undo", "last").err.count("nothing in the manifests to change") == 1


def test_diff_shows_each_field_before_and_after(repository: Console) -> None:
    """For people and programs; the id of the run may be cut short."""
    apply(repository, ("1GiB   # small", "2GiB   # small"), ("level: rw}   # everybody", "level: ro}   # everybody"))
    shown = repository("diff", "last").out
    assert "size  1GiB → 2GiB" in shown
    assert "access ip:10.0.0.0/8 rw → ro" in shown
    plain = orjson.loads(repository("diff", "last", "-o", "json").out)
    changes = [change for deed in plain["deeds"] for change in deed["changes"]]
    assert {"field": "size", "before": "1GiB", "after": "2GiB"} in changes
    assert repository("diff", plain["run"]["run_id"][:8]).out == shown


def test_a_manifest_that_has_changed_since_is_told_and_left(repository: Console) -> None:
    """As a whole: half of its access could let in who was kept out."""
    apply(
        repository,
        ("level: rw}   # everybody", "level: ro}   # everybody"),
        ("to: 10.0.3.5, level: none", "to: 10.0.3.5, level: ro"),
        ("level: ro   # they read", "level: rw   # they read"),
    )
    text = (repository.root / "manifests/shares.yaml").read_text(encoding="utf-8")
    repository.write("manifests/shares.yaml", text.replace("to: 10.0.3.5, level: ro", "to: 10.0.3.5, level: rw"))
    found = undone(repository)
    assert {remark["address"] for remark in found["left"]} == {"share/one"}
    assert "10.0.3.5" in found["left"][0]["text"]
    assert "everybody" not in "".join(line for line in found["patch"].splitlines() if line[:1] in "+-")
    assert "+  level: ro   # they read" in found["patch"]
    assert repository("undo", "last").code == 1


def test_what_a_plan_refuses_is_no_success(repository: Console) -> None:
    """The patch has it, and CI has to see that somebody must decide."""
    apply(repository, ("{name: two}\nspec: {size: 1GiB", "{name: two}\nspec: {size: 3GiB"))
    ended = repository("undo", "last")
    assert ended.code == 1
    assert "In the patch, and refused as it is:\n  share/two: a plan refuses to shrink it" in ended.err
    assert "\n+spec: {size: 1GiB" in ended.out
    assert "refuses to shrink" in undone(repository)["follows"][0]["text"]


def test_a_deleted_share_comes_back_in_a_file_of_its_own_and_what_is_lost_is_said(repository: Console) -> None:
    """With its access as it was; the patch is taken, and the manifests are valid with it."""
    two = "---\napiVersion: sharectl/v1\nkind: Share\nmetadata: {name: two}\nspec: {size: 1GiB, protocol: CIFS, deletionPolicy: delete}\n"
    apply(repository, (two, ""), ("shares: [two, three]", "shares: [three]"))
    found = undone(repository)
    assert [remark["address"] for remark in found["lost"]] == ["share/two"]
    assert "destroyed" in found["lost"][0]["text"]
    (path,) = found["files"]
    assert path.startswith("manifests/undone-")
    git(repository.root, "apply", stdin=found["patch"])
    text = (repository.root / path).read_text(encoding="utf-8")
    assert "to: staff" in text
    assert repository("validate").code == 0
    assert "1 created" not in repository("diff", "last").out


def test_a_share_that_was_made_goes_with_the_rules_that_name_it(repository: Console) -> None:
    """Out of the list of a document that others need; what an apply then does is said."""
    new = "---\napiVersion: sharectl/v1\nkind: Share\nmetadata: {name: new}\nspec: {size: 1GiB, protocol: CIFS, deletionPolicy: delete}\n"
    apply(
        repository,
        ("shares: [two, three]", "shares: [two, new, three]"),
        ("  level: ro   # they read\n", f"  level: ro   # they read\n{new}"),
    )
    found = undone(repository)
    assert "deleted" in next(remark["text"] for remark in found["follows"] if remark["address"] == "share/new")
    git(repository.root, "apply", stdin=found["patch"])
    assert (repository.root / "manifests/shares.yaml").read_text(encoding="utf-8") == SHARES


def test_a_rule_that_came_from_a_document_is_taken_from_each_of_its_shares(repository: Console) -> None:
    """Several at once, from one list."""
    rule = (
        "---\napiVersion: sharectl/v1\nkind: AccessRule\nmetadata: {name: guests}\n"
        "spec: {shares: [three, two], type: user, to: bob, level: rw}\n"
    )
    apply(repository, ("  level: ro   # they read\n", f"  level: ro   # they read\n{rule}"))
    git(repository.root, "apply", stdin=undone(repository)["patch"])
    assert (repository.root / "manifests/shares.yaml").read_text(encoding="utf-8") == SHARES


def test_a_state_with_hostile_names_reaches_no_other_file(repository: Console) -> None:
    """The id of a run names a file within the manifests; what older entries do not hold is said."""
    spec = {"name": "gone", "protocol": "NFS", "size_bytes": 1 << 30}
    run = replace(RUN, run_id="../../../etc/cron.d/x")
    entries = [
        HistoryEntry(run.run_id, "2026-05-04T12:00:02Z", f"share/{name}", "forget", "done", canonical_json(detail))
        for name, detail in (
            ("gone", {"changes": [], "reason": "", "removed": {"spec": spec, "access": []}}),
            ("old", {"changes": [], "reason": ""}),
            ("odd", {"changes": [], "reason": "", "removed": {"spec": {"name": "../x"}, "access": []}}),
        )
    ]
    with closing(open_store(repository.root / ".sharectl/state.db", create=True)) as store:
        lease = store.acquire(ALICE, duration_seconds=60)
        store.commit(lease, [PutRun(run), *map(AddHistory, entries)])
        store.release(lease)
    found = undone(repository)
    assert found["files"] == ["manifests/undone-etccrond.yaml"]
    assert {remark["address"] for remark in found["left"]} == {"share/old", "share/odd"}
    git(repository.root, "apply", "--check", stdin=found["patch"])
    assert "not recorded" in repository("diff", "last").out


def begin(console: Console, *begun: tuple[str, str]) -> None:
    """Have a run that was killed while it did these things, verb and share, before anything was recorded of it."""
    run = replace(RUN, run_id="killed-run", started_at="2999-05-04T12:00:00Z")
    operations = [
        replace(make_operation(name, name), run_id=run.run_id, verb=verb, backend="sim", pool="gold1")
        for verb, name in begun
    ]
    with closing(open_store(console.root / ".sharectl/state.db", create=True)) as store:
        lease = store.acquire(ALICE, duration_seconds=60)
        store.commit(lease, [PutRun(run), *map(BeginOperation, operations)])
        store.release(lease)


def test_a_killed_run_is_the_last_one_and_what_it_had_begun_is_told(repository: Console) -> None:
    """Also where nothing of it is in the history: the run before it is not undone in its place."""
    begin(repository, ("create-share", "new"), ("extend-share", "one"))
    told = repository("diff", "last").out
    assert "killed-r" in told
    assert "share/new  create-share has not ended" in told
    assert orjson.loads(repository("diff", "last", "-o", "json").out)["deeds"][0]["outcome"] == "open"
    found = repository("undo", "last")
    assert (found.code, found.out) == (1, "")
    assert "share/one: extend-share: it began, and its end is not recorded" in found.err
    assert "Undoes run killed-r" in found.err


def test_what_a_later_run_found_out_is_left_by_the_killed_one_and_not_by_the_later(repository: Console) -> None:
    """Nobody knows what the killed run changed; what the later one did is recorded, and goes back."""
    apply(repository, ("size: 1GiB   # small", "size: 3GiB   # small"))
    [last] = {deed["address"]: deed for deed in orjson.loads(repository("diff", "last", "-o", "json").out)["deeds"]}
    later = orjson.loads(repository("diff", "last", "-o", "json").out)["run"]["run_id"]
    killed = replace(RUN, run_id="killed-run", started_at="2026-05-04T12:00:00Z")
    detail = canonical_json({"recovered": "the share is recorded as its backend holds it", "run": killed.run_id})
    entry = HistoryEntry(later, "2998-05-04T12:00:00Z", last, "update-access", "recovered", detail)
    with closing(open_store(repository.root / ".sharectl/state.db", create=True)) as store:
        lease = store.acquire(ALICE, duration_seconds=60)
        store.commit(lease, [PutRun(killed), AddHistory(entry)])
        store.release(lease)
    found = undone(repository, "killed")
    assert (found["patch"], [remark["address"] for remark in found["left"]]) == ("", ["share/one"])
    assert "share/one" in repository("diff", "killed").out
    found = undone(repository, later)
    assert "`sharectl undo killed-r` is about that one" in found["left"][0]["text"]
    git(repository.root, "apply", stdin=found["patch"])
    assert (repository.root / "manifests/shares.yaml").read_text(encoding="utf-8") == SHARES


def record(console: Console, address: str, verb: str, *changes: list[object], **detail: object) -> None:
    """Let the newest run in the state have done one thing."""
    run = replace(RUN, run_id="0f0f0f0f-newest")
    plain = canonical_json({"changes": list(changes), "reason": "", **detail})
    entry = HistoryEntry(run.run_id, "2026-05-04T12:00:02Z", address, verb, "done", plain)
    with closing(open_store(console.root / ".sharectl/state.db", create=True)) as store:
        lease = store.acquire(ALICE, duration_seconds=60)
        store.commit(lease, [PutRun(run), AddHistory(entry)])
        store.release(lease)


@pytest.mark.parametrize(
    ("address", "verb", "change"),
    [
        ("share/one", "update-access", ["export/squash", "root", "none"]),
        ("share/one", "update-access", ["access/ip:unreadable: a line", "rw", None]),
        ("share/one", "update-access", ["access/ip:10.0.0.0/8", "whatever", "rw"]),
        ("share_server/one", "update-share-server", ["subnet.cidr", "10.0.0.0/24", "10.0.1.0/24"]),
    ],
)
def test_what_no_patch_turns_back_is_said(repository: Console, address: str, verb: str, change: list[object]) -> None:
    """A setting of the backend, access that no manifest asks for, a share server that followed its network."""
    record(repository, address, verb, change)
    found = undone(repository)
    assert [remark["address"] for remark in found["left"]] == [address]
    assert found["files"] == []


def test_snapshots_that_a_policy_let_go_are_lost(repository: Console) -> None:
    """The policy comes back with the patch, and they do not."""
    policies = [{"hourly": {"keep": keep, "minute": 0}, "time_zone": "UTC"} for keep in (24, 3)]
    record(repository, "share/one", "schedule-snapshots", ["snapshot_policy", *policies])
    [lost] = undone(repository)["lost"]
    assert (lost["address"], "snapshots" in lost["text"]) == ("share/one", True)


def test_a_share_that_comes_back_is_not_turned_back_again(repository: Console) -> None:
    """A revert that was answered is no part of its manifest: it might be carried out once more."""
    request = {"snapshot": "monday", "request": "T-1"}
    spec = {"name": "gone", "protocol": "NFS", "size_bytes": 1 << 30, "revert_to": request}
    record(repository, "share/gone", "trash-share", removed={"spec": spec, "access": []})
    patch = undone(repository)["patch"]
    assert "name: gone" in patch
    assert "revertTo" not in patch


@pytest.mark.parametrize("replacement", ["createFirst", "deleteFirst"])
def test_a_share_that_was_replaced_keeps_its_manifest(repository: Console, replacement: str) -> None:
    """It was there before the run: to take its manifest away would remove the new one, too."""
    old = "metadata: {name: two}\nspec: {size: 1GiB, protocol: CIFS, deletionPolicy: delete"
    apply(repository, (f"{old}}}", f"{old}, replacement: {replacement}}}"))
    rule = "  shares: [two, three]"
    apply(repository, (old, old.replace("CIFS", "NFS")), (rule, "  shares: [three]"))
    found = undone(repository)
    assert "name: two" not in found["patch"]
    assert [remark["text"] for remark in found["lost"]]
    assert "share/two" in {remark["address"] for remark in (*found["left"], *found["lost"])}
    assert "share/two" not in {remark["address"] for remark in found["follows"]}


def test_a_share_that_was_gone_and_made_again_keeps_its_manifest(repository: Console) -> None:
    """Its manifest was there before the run."""
    with closing(sqlite3.connect(repository.root / "sim.db")) as connection, connection:
        assert connection.execute("DELETE FROM shares WHERE name = 'two'").rowcount == 1
    assert repository("apply", "--yes", "--allow-recreations", "9").code == 0
    found = undone(repository)
    assert (found["patch"], found["follows"]) == ("", [])
    assert {remark["address"] for remark in found["left"]} == {"share/two"}


def test_a_share_that_is_left_for_one_part_says_that_the_others_are_left_too(repository: Console) -> None:
    """Whoever makes the one change by hand would think that all is back."""
    apply(repository, ("size: 1GiB   # small", "size: 3GiB   # small"), ("team: a", "team: b"))
    path = repository.root / "manifests/shares.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("size: 3GiB", "size: 4GiB"), encoding="utf-8")
    found = undone(repository)
    assert found["patch"] == ""
    assert [remark["text"].split(":")[0] for remark in found["left"]] == [
        "its manifest has changed since",
        "so nothing of it is in the patch",
    ]


@pytest.mark.parametrize("command", ["diff", "undo"])
def test_what_names_no_run_is_refused(repository: Console, command: str) -> None:
    """With where their names are; one that means several is told, too."""
    assert "sharectl history" in repository(command, "zzz").err
    ambiguous = repository(command, "")
    assert ambiguous.code == 0 or "write more of it" in ambiguous.err


@pytest.mark.parametrize("name", ["plain.yaml", "with space.yaml", 'quo"te.yaml', "ümlaut.yaml", "back\\slash.yaml"])
def test_git_takes_the_patch_of_any_name(tmp_path: Path, name: str) -> None:
    """Of files that change, come and go, with and without an end of the last line."""
    git(tmp_path, "init", "-q")
    (tmp_path / name).write_text("a\nb", encoding="utf-8")
    (tmp_path / f"gone-{name}").write_text("a\r\n", encoding="utf-8", newline="")
    changes = [
        FileChange(name, "a\nb", "a\nc\n"),
        FileChange(f"new-{name}", None, "n\n"),
        FileChange(f"gone-{name}", "a\r\n", None),
    ]
    git(tmp_path, "apply", stdin=patch_text(changes))
    assert (tmp_path / name).read_text(encoding="utf-8") == "a\nc\n"
    assert (tmp_path / f"new-{name}").read_text(encoding="utf-8") == "n\n"
    assert not (tmp_path / f"gone-{name}").exists()


def test_a_protected_share_that_the_run_has_made_keeps_its_manifest(repository: Console) -> None:
    """A plan would refuse to remove it: people are told what comes first."""
    share = "apiVersion: sharectl/v1\nkind: Share\nmetadata: {name: new}\nspec: {size: 1GiB, protocol: NFS, protect: true}\n"
    repository.write("manifests/new.yaml", share)
    assert repository("apply", "--yes").code == 0
    ended = repository("undo", "last")
    assert (ended.code, ended.out) == (1, "")
    assert "share/new: it is protected, and a plan refuses to remove it: write `protect: false`" in ended.err


def test_a_snapshot_does_not_go_back_to_a_name_that_its_share_has_no_more(repository: Console) -> None:
    """The rename of the share is not in the patch: with the snapshot's part of it alone, no plan could be made."""
    snapshot = "apiVersion: sharectl/v1\nkind: Snapshot\nmetadata: {name: s}\nspec: {share: two}\n"
    repository.write("manifests/snapshots.yaml", snapshot)
    assert repository("apply", "--yes").code == 0
    repository.write("manifests/snapshots.yaml", snapshot.replace("two", "second"))
    renamed = "metadata: {name: second, annotations: {sharectl/moved-from: two}}"
    apply(repository, ("metadata: {name: two}", renamed), ("[two, three]", "[second, three]"))
    ended = repository("undo", "last")
    assert ended.code == 1
    assert "snapshots.yaml" not in ended.out
    assert "snapshot/s: its share was share/two, which is share/second now: change it by hand" in ended.err
    if ended.out:
        git(repository.root, "apply", stdin=ended.out)
    assert repository("validate").code == 0
