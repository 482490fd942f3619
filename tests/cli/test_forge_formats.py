"""`validate` and `plan` for a forge: places are named from the root of the repository, also of a folder in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.cli.console import run
from tests.cli.forge import git

if TYPE_CHECKING:
    from pathlib import Path

WRONG = "apiVersion: sharectl/v1\nkind: Share\nmetadata: {name: x}\nspec: {size: 1GiX, protocol: NFS, type: general}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of manifests in a repository, one of which has a mistake."""
    git(tmp_path, "init", "-q")
    folder = tmp_path / "storage"
    assert run("init", "storage", cwd=tmp_path).code == 0
    (folder / "shares" / "x.yaml").write_text(WRONG, encoding="utf-8")
    return folder


@pytest.mark.parametrize("command", ["validate", "plan"])
def test_a_mistake_is_annotated_at_its_line_and_summed_up(folder: Path, command: str) -> None:
    """Whether the command gives an answer (validate) or fails (plan)."""
    summary = folder.parent / "summary.md"
    ended = run(command, "-o", "github", cwd=folder, env={"GITHUB_STEP_SUMMARY": str(summary)})
    assert ended.code == 1
    assert ended.out.startswith("::error file=storage/shares/x.yaml,line=4,col=14,title=manifest.schema (share/x)::")
    assert "storage/shares/x&#46;yaml&#58;4&#58;14" in summary.read_text(encoding="utf-8")


@pytest.mark.parametrize("command", ["validate", "plan"])
def test_a_mistake_is_a_result_at_its_line(folder: Path, command: str) -> None:
    """With the same fingerprint in both."""
    ended = run("-C", "storage", command, "-o", "sarif", cwd=folder.parent)
    assert ended.code == 1
    (result,) = json.loads(ended.out)["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "storage/shares/x.yaml", "uriBaseId": "%SRCROOT%"}
    assert (place["region"]["startLine"], place["region"]["startColumn"]) == (4, 14)


def test_a_plan_is_summed_up_in_the_job(folder: Path) -> None:
    """As the comment on a pull request would be; without the variable nothing is written."""
    (folder / "shares" / "x.yaml").unlink()
    summary = folder.parent / "summary.md"
    ended = run("plan", "--output", "github", cwd=folder, env={"GITHUB_STEP_SUMMARY": str(summary)})
    assert ended.code == 0
    answers = (
        "Is data lost? no: nothing is destroyed",
        "Is anyone locked out? no: nobody loses access",
        "Does everything fit? yes: the new share has a place",
    )
    counts = "Plan: 2 to create; access rules: 2 to create. 0 unchanged."
    assert ended.out == f"::notice title=sharectl plan::{'%0A'.join((counts, *answers))}\n"
    assert "share/projects" in summary.read_text(encoding="utf-8")
    assert run("plan", "--output", "github", cwd=folder).out == ended.out


@pytest.mark.parametrize("output", ["github", "sarif"])
def test_what_loading_warns_of_is_in_the_document(folder: Path, output: str) -> None:
    """At its line, and for GitHub nowhere else; where there is no plan after all it is said beside the error."""
    (folder / "shares" / "x.yaml").write_text("# nothing\n", encoding="utf-8")
    ended = run("plan", "--output", output, cwd=folder)
    assert ended.code == 0
    assert "manifest.empty" in ended.out
    assert "storage/shares/x.yaml" in ended.out
    assert ended.err == "" or output == "sarif"
    ended = run("plan", "--output", output, "--target", "share/none", cwd=folder)
    assert ended.code == 1
    assert "plan.unknown-address" in ended.out


def test_what_changes_something_has_neither_format(folder: Path) -> None:
    """Its answer is more than findings."""
    for command in ("apply", "destroy"):
        ended = run(command, "--yes", "--output", "sarif", cwd=folder)
        assert ended.code == 64
        assert "'sarif' is not one of 'text', 'json', 'markdown'" in ended.err
