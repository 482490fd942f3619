"""ShareSets on the command line: their shares are shares as any others, and a name that goes is a share that goes."""

from __future__ import annotations

import json

import pytest

from tests.cli.console import Console, run
from tests.cli.test_undo import BACKEND, GIT, git

HEAD = "---\napiVersion: sharectl/v1\nkind"
SET = f"""\
{HEAD}: ShareSet
metadata: {{name: homes, labels: {{team: hr}}}}
spec:
  template:
    size: 1GiB
    protocol: NFS
    deletionPolicy: delete
    access: [{{type: ip, to: 10.0.0.0/8, level: rw}}]
  shares:
    home-alice: {{}}
    home-bob:
      size: 2GiB   # he has films
      protect: true
    home-carol: {{access: [{{type: ip, to: 10.1.0.1, level: ro}}]}}
    scratch-[01-12]: {{}}
"""
BESIDE = f"""\
{HEAD}: AccessRule
metadata: {{name: backup}}
spec: {{shares: [home-alice, scratch-07], type: ip, to: 10.0.0.9, level: ro}}
{HEAD}: Snapshot
metadata: {{name: monday}}
spec: {{share: home-alice, deletionPolicy: delete}}
"""


@pytest.fixture
def homes(console: Console) -> Console:
    """Return a repository with an applied set, a rule and a snapshot that name its shares."""
    git(console.root, "init", "-q")
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\nspec: {manifests: [all.yaml]}\n")
    console.write("all.yaml", BACKEND + SET + BESIDE)
    done = console("apply", "--yes")
    assert done.code == 0, done.err
    return console


def describe(console: Console, text: str) -> None:
    """Write the manifests."""
    console.write("all.yaml", BACKEND + text + BESIDE)


def test_a_set_written_out_changes_nothing_nor_does_the_way_back(homes: Console) -> None:
    """Nor a set of another name, nor a share that goes over to another document."""
    before = (homes.root / "all.yaml").read_text(encoding="utf-8")
    listed = homes("list", "-o", "json").out
    assert homes("fmt", "--expand", "all.yaml").out == "all.yaml\n"
    after = (homes.root / "all.yaml").read_text(encoding="utf-8")
    assert after.count("kind: Share\n") == 15
    assert "ShareSet" not in after
    for text in (
        after,
        before,
        before.replace("name: homes", "name: people"),
        before.replace("    home-alice: {}\n", "")
        + SET.replace("name: homes", "name: more").partition("    home-bob")[0],
    ):
        homes.write("all.yaml", text)
        planned = homes("plan", "--detailed-exitcode")
        assert planned.code == 0, planned.out
        assert "No changes" in planned.out
    assert json.loads(homes("list", "-o", "json").out)["shares"] == json.loads(listed)["shares"]


def test_a_name_that_is_taken_out_is_a_share_that_is_deleted(homes: Console) -> None:
    """With all guards: protection, and the threshold that stops where too many go."""
    describe(homes, SET.replace("    home-carol: {access: [{type: ip, to: 10.1.0.1, level: ro}]}\n", ""))
    planned = homes("plan", "--detailed-exitcode")
    assert planned.code == 2
    assert "share/home-carol" in planned.out
    assert "destroy" in planned.out.lower()
    describe(homes, SET.replace("    home-bob:\n      size: 2GiB   # he has films\n      protect: true\n", ""))
    protected = homes("plan")
    assert protected.code == 1
    assert "share/home-bob" in protected.out + protected.err
    assert "protect" in protected.out + protected.err
    describe(homes, SET.replace("[01-12]", "[07-07]"))
    many = homes("apply", "--yes")
    assert many.code == 1
    assert "share/scratch-01" in many.out + many.err
    assert len(json.loads(homes("list", "-o", "json").out)["shares"]) == 15


def test_a_set_that_is_emptied_or_gone_takes_nothing_along_unasked(homes: Console) -> None:
    """An empty one is a mistake; without the document, the plan stops at what it would remove."""
    head, _, _ = SET.partition("    home-alice")
    homes.write("all.yaml", BACKEND + head.replace("  shares:\n", "  shares: {}\n"))
    empty = homes("apply", "--yes")
    assert empty.code == 1
    assert "all.yaml:17:11" in empty.err
    homes.write("all.yaml", BACKEND)
    gone = homes("apply", "--yes")
    assert gone.code == 1
    assert "the manifests hold no share at all" in gone.err
    assert len(json.loads(homes("list", "-o", "json").out)["shares"]) == 15


def test_what_no_driver_can_do_for_a_set_is_told_once_at_its_template(homes: Console) -> None:
    """With how many shares have it; what an entry says itself is told there, with its share alone."""
    everywhere = SET.replace("    size: 1GiB\n", "    size: 1GiB\n    snapshotPolicy: {daily: {keep: 3}}\n")
    describe(homes, everywhere.replace("home-alice: {}", "home-alice: {snapshotPolicy: {daily: {keep: 9}}}"))
    line = (homes.root / "all.yaml").read_text(encoding="utf-8").partition("snapshotPolicy")[0].count("\n") + 1
    for command in ("validate", "plan"):
        ended = homes(command)
        assert ended.code == 1
        assert ended.err.count("error[") == 2
        assert f"--> all.yaml:{line}:21" in ended.err
        assert "(in 14 shares of share_set/homes)" in ended.err
        assert ended.err.count("]: share/home-alice ") == 1


def test_commands_find_a_share_of_a_set_by_its_address(homes: Console) -> None:
    """And say where it stands; the set itself is no resource, which is said with its shares."""
    assert "home-bob" in homes("show", "share/home-bob").out
    who = json.loads(homes("who", "10.1.0.1", "-o", "json").out)
    places = {each["address"]: each["source"] for each in who["verdicts"] if each.get("source")}
    lines = {address: (source["line"], source["column"]) for address, source in places.items()}
    assert lines["share/home-carol"] == (22, 27)
    assert lines["share/home-alice"] == (16, 14)
    describe(homes, SET.replace("size: 2GiB", "size: 3GiB").replace("home-alice: {}", "home-alice: {size: 2GiB}"))
    planned = homes("plan", "--target", "share/home-bob", "-o", "json")
    assert [step["address"] for step in json.loads(planned.out)["steps"]] == ["share/home-bob"]
    shown = homes("show", "shareset/homes")
    assert shown.code == 1
    assert "a way to write 15 shares" in shown.err
    assert "share/home-alice" in shown.err
    for command in (("plan", "--target"), ("plan", "--exclude"), ("history", "--address")):
        refused = homes(*command, "shareset/homes")
        assert (refused.code, "a way to write 15 shares" in refused.err) == (1, True), refused.err
        assert "neither in the manifests" not in refused.err
    assert "there is no share_set/hores, neither" in homes("plan", "--target", "shareset/hores").err
    assert "home-alice" in homes("graph").out
    assert homes("validate").code == 0


def test_standard_input_holds_a_set_as_a_file_does(homes: Console) -> None:
    """What kustomize writes comes that way."""
    text = (homes.root / "all.yaml").read_text(encoding="utf-8")
    done = run("plan", "-f", "-", "--detailed-exitcode", cwd=homes.root, stdin=text.encode())
    assert done.code == 0, done.err
    wrong = run("plan", "-f", "-", cwd=homes.root, stdin=text.replace("size: 2GiB", "size: 2").encode())
    assert wrong.code == 1
    assert "<stdin>:20:13" in wrong.err


def undo(console: Console, *, code: int = 0) -> tuple[str, str]:
    """Return what `undo last` writes as a patch, after a try of it, and what it says."""
    done = console("undo", "last")
    assert done.code == code, done.err
    if done.out.strip():
        git(console.root, "apply", stdin=done.out)
    return (console.root / "all.yaml").read_text(encoding="utf-8"), done.err


def test_undo_changes_the_entry_and_never_the_document_of_all(homes: Console) -> None:
    """What the template or a range says is told, with its place, to be changed by hand."""
    assert GIT
    before = BACKEND + SET + BESIDE
    describe(homes, SET.replace("size: 2GiB", "size: 3GiB"))
    assert homes("apply", "--yes").code == 0
    homes.write(
        "all.yaml",
        before.replace("size: 2GiB ", "size: 3GiB ").replace("protect: true", "protect: true\n      allowShrink: true"),
    )
    text, _ = undo(homes)
    assert "size: 2GiB   # he has films\n" in text
    assert "    scratch-[01-12]: {}\n" in text
    homes.write(
        "all.yaml", before.replace("2GiB", "3GiB").replace("    home-carol", "    home-dora: {}\n    home-carol")
    )
    assert homes("apply", "--yes").code == 0
    text, _ = undo(homes)
    assert text == before.replace("2GiB", "3GiB")
    homes.write(
        "all.yaml",
        before.replace("2GiB", "3GiB")
        .replace("to: 10.0.0.0/8", "to: 10.0.0.0/9")
        .replace("home-alice: {}", "home-alice: {size: 2GiB}"),
    )
    assert homes("apply", "--yes", "--allow-revocations", "14").code == 0
    same, said = undo(homes, code=1)
    assert same == (homes.root / "all.yaml").read_text(encoding="utf-8")
    assert "ShareSet (all.yaml:10)" in said
    assert "change it there by hand" in said


def test_a_share_of_a_set_is_imported_as_any(homes: Console) -> None:
    """By its address; nothing is written, and the next plan is empty."""
    before = (homes.root / "all.yaml").read_text(encoding="utf-8")
    backend_id = json.loads(homes("show", "share/scratch-03", "-o", "json").out)["record"]["attributes"]["backend_id"]
    assert homes("state", "rm", "share/scratch-03").code == 0
    done = homes("import", "share/scratch-03", backend_id, "--backend", "sim", "--write", ".", "--yes")
    assert done.code == 0, done.err
    assert (homes.root / "all.yaml").read_text(encoding="utf-8") == before
    assert homes("plan", "--detailed-exitcode").code == 0
