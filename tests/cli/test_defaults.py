"""Defaults at work: a change of one is shown with every share that it changes, and where it stands."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import orjson
import pytest

from tests.cli.test_import import stray

if TYPE_CHECKING:
    from tests.cli.console import Console

GIT = shutil.which("git") or "git"
TYPE = """\
---
apiVersion: sharectl/v1
kind: ShareType
metadata: {name: standard}
spec: {extraSpecs: {}}
"""
PROJECT = """\
apiVersion: sharectl/v1
kind: Project
spec:
  defaults:
    - kind: Share
      metadata: {labels: {owner: nas}}
      spec:
        type: standard
        protect: true
    - kind: Share
      matchLabels: {team: b}
      spec: {deletionPolicy: retain}
"""
PROTECT = "sharectl.yaml:9:18"


@pytest.fixture
def project(simulated: Console) -> Console:
    """Return a repository with defaults, applied."""
    simulated.write("sharectl.yaml", PROJECT)
    simulated.write("type.yaml", TYPE)
    assert simulated("apply", "--yes").code == 0
    return simulated


def test_a_changed_default_is_planned_for_every_share_and_named_where_it_stands(project: Console) -> None:
    """Each time that it is asked, not from what was read before; what a document says itself stays."""
    assert project("plan", "--detailed-exitcode").code == 0
    project.write("sharectl.yaml", PROJECT.replace("nas", "storage").replace("protect: true", "protect: false"))
    for _ in range(2):
        ended = project("plan", "--detailed-exitcode", "--output", "json")
        assert ended.code == 2
        plan = orjson.loads(ended.out)
        changes = {
            step["address"]: {each["field"]: each["after"] for each in step["changes"]} for step in plan["steps"]
        }
        assert set(changes) == {"share/one", "share/two"}
        assert changes["share/one"]["labels"] == {"owner": "storage", "team": "a"}
        told = {
            found["summary"]: found["source"] for found in plan["diagnostics"] if found["code"] == "defaults.changes"
        }
        assert {text: (at["path"], at["line"]) for text, at in told.items()} == {
            "by this default, metadata.labels.owner of share/one and 1 more changes": ("sharectl.yaml", 6),
            "by this default, spec.protect of share/one and 1 more changes": ("sharectl.yaml", 9),
        }


def test_protection_by_default_outlives_both_the_default_and_the_document(project: Console) -> None:
    """It is in the state: whoever takes both away in one commit loses nothing."""
    project.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    text = (project.root / "all.yaml").read_text()
    parts = text.split("---\n")
    project.write("all.yaml", "---\n".join(part for part in parts if "name: one" not in part))
    ended = project("plan")
    assert ended.code == 1
    assert "share/one is protected and would be removed" in ended.err


def test_show_explain_and_lists_know_where_a_value_is_from(project: Console) -> None:
    """The same place in all of them; labels that are given select as others do."""
    shown = project("show", "share/one", "--output", "json")
    given = {each["field"]: each["source"] for each in orjson.loads(shown.out)["by_default"]}
    assert given == {
        "metadata.labels.owner": "sharectl.yaml:6:34",
        "spec.protect": PROTECT,
        "spec.type": "sharectl.yaml:8:15",
    }
    assert "by default     protect (sharectl.yaml:9)" in project("show", "share/one").out
    explained = orjson.loads(project("explain", "share/one", "--output", "json").out)
    assert {each["field"]: each["source"] for each in explained["by_default"]} == given
    assert "By default: type (sharectl.yaml:8)" in project("explain", "share/one").out
    listed = project("list", "--label", "owner=nas", "--output", "name")
    assert listed.out.split() == ["share/one", "share/two"]


def test_undo_leaves_what_a_default_says_to_the_default(project: Console) -> None:
    """And says where that is: written into each document, it would be in the way of the next change."""
    subprocess.run([GIT, "init", "-q", str(project.root)], check=True)
    project.write("sharectl.yaml", PROJECT.replace("nas", "storage"))
    assert project("apply", "--yes").code == 0
    ended = project("undo", "last")
    assert (
        "share/one: its metadata.labels.owner comes from the default at sharectl.yaml:6:34: change it there"
        in ended.out + ended.err
    )


def test_an_import_writes_how_a_share_was_found_whatever_the_defaults_say(project: Console) -> None:
    """So that the next plan is empty; what protects it is left to the defaults."""
    project.write(
        "sharectl.yaml",
        PROJECT.replace("{deletionPolicy: retain}", "{size: 1TiB}").replace(
            "protect: true", "protect: true\n        deletionPolicy: trash"
        ),
    )
    assert project("apply", "--yes").code == 0
    stray(project, "alpha")
    ended = project("import", "--backend", "sim", "--all", "--write", "taken", "--yes")
    assert ended.code == 0, ended.err
    text = (project.root / "taken" / "imported-sim.yaml").read_text(encoding="utf-8")
    assert text.partition("spec:\n")[2] == "  size: 5GiB\n  protocol: NFS\n  type: null\n  deletionPolicy: retain\n"
    assert project("plan", "--detailed-exitcode").code == 0
    assert "protected" in project("show", "share/alpha").out


def test_defaults_that_are_for_nothing_are_told(project: Console) -> None:
    """A label that is misspelt gives nothing, and nobody would see it; of other files than the project's own nothing follows."""
    project.write("sharectl.yaml", PROJECT.replace("{team: b}", "{team: bb}"))
    ended = project("validate")
    assert ended.code == 0
    assert (
        "warning[defaults.idle]: these defaults are for no Share: none has their labels\n  --> sharectl.yaml:10:7"
        in ended.err
    )
    project.write("more/x.yaml", TYPE.replace("standard", "other"))
    assert "defaults.idle" not in project("validate", "-f", str(project.root / "more")).err


def test_where_a_field_is_missing_the_default_that_is_for_nothing_is_told_too(project: Console) -> None:
    """It may be meant to give the field: its label is misspelt, not the document incomplete."""
    project.write("sharectl.yaml", PROJECT.replace("{team: b}", "{team: bb}"))
    bare = "apiVersion: sharectl/v1\nkind: Share\nmetadata: {name: bare}\nspec: {protocol: NFS}\n"
    project.write("bare.yaml", bare)
    ended = project("validate")
    assert "`size` is missing in spec" in ended.err
    assert "warning[defaults.idle]: these defaults are for no Share: none has their labels" in ended.err
    project.write("bare.yaml", bare.replace("metadata: {name: bare}\n", ""))
    assert "defaults.idle" not in project("validate").err


def test_defaults_are_for_files_that_are_named_too(project: Console) -> None:
    """Wherever a document is read from, it belongs to the project."""
    named = project.write(
        "new/x.yaml", "apiVersion: sharectl/v1\nkind: Share\nmetadata: {name: new}\nspec: {size: 1GiB, protocol: NFS}\n"
    )
    ended = project(
        "plan",
        "-f",
        str(named),
        "-f",
        str(project.root / "all.yaml"),
        "-f",
        str(project.root / "type.yaml"),
        "--output",
        "json",
    )
    steps = {step["address"]: step for step in orjson.loads(ended.out)["steps"]}
    assert steps["share/new"]["spec"]["share_type"] == "standard"


def test_a_default_that_shares_cannot_follow_is_told_once_with_the_document_that_may_allow_it(
    simulated: Console,
) -> None:
    """Where the default stands, what is proposed would be refused: a share's own document says that its data may go."""
    given = "apiVersion: sharectl/v1\nkind: Project\nspec:\n  defaults:\n    - kind: Share\n      spec: {size: 5GiB, type: standard}\n"
    shares = "".join(
        f"---\napiVersion: sharectl/v1\nkind: Share\nmetadata: {{name: {name}}}\nspec: {{protocol: NFS}}\n"
        for name in ("a1", "a2", "a3")
    )
    simulated.write("type.yaml", TYPE + TYPE.replace("standard", "other"))
    simulated.write("sharectl.yaml", given)
    simulated.write("shares.yaml", shares)
    assert simulated("apply", "--yes").code == 0
    simulated.write("sharectl.yaml", given.replace("5GiB", "1GiB"))
    for command in ("plan", "validate"):
        ended = simulated(command)
        assert ended.code == 1
        assert ended.err.count("error[share.shrink]") == 1
        assert "--> sharectl.yaml:6:20" in ended.err
        said = " ".join(ended.err.split())
        assert "share/a1 and 2 more have it by default." in said
        assert "or set allowShrink: true in the share's own document (share/a1: shares.yaml:4:18)" in said
    simulated.write("sharectl.yaml", given.replace("standard", "other"))
    ended = simulated("plan")
    assert (ended.code, ended.err.count("error[share.immutable]")) == (1, 1)
    assert "(or set spec.replacement in the share's own document (share/a1: shares.yaml:4:18))" in ended.err
    assert (
        "share/a1: type cannot change in place, from standard to other; the same holds for share/a2, share/a3"
        in ended.out
    )
    assert "share/a2: type cannot change in place" in simulated("explain", "share/a2").err


def test_a_default_that_no_driver_can_follow_is_told_once(simulated: Console) -> None:
    """By validate as by plan, with how many have it."""
    given = "apiVersion: sharectl/v1\nkind: Project\nspec:\n  defaults:\n    - kind: Share\n      spec: {snapshotPolicy: {daily: {keep: 9}}}\n"
    simulated.write("sharectl.yaml", given)
    shares = "".join(
        f"---\napiVersion: sharectl/v1\nkind: Share\nmetadata: {{name: {name}}}\nspec: {{size: 1GiB, protocol: NFS}}\n"
        for name in ("a1", "a2", "a3")
    )
    simulated.write("shares.yaml", shares)
    for command in ("validate", "plan"):
        ended = simulated(command)
        assert (ended.code, ended.err.count("error[")) == (1, 1)
        assert "--> sharectl.yaml:6:30" in ended.err
        assert "share/a1 and 4 more have it by default." in " ".join(ended.err.split())
