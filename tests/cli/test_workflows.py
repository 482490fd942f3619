"""The workflows that `init` writes, run through the steps that runners take: state and data survive, and nothing goes back."""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import TYPE_CHECKING

import pytest

from tests.cli.forge import ROOT_REPOSITORY, Forge, git

if TYPE_CHECKING:
    from pathlib import Path

KINDS = ("github", "gitlab")
_PINNED = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40}")


@pytest.fixture(params=KINDS)
def forge(request: pytest.FixtureRequest, tmp_path: Path) -> Forge:
    """Return a forge whose repository is what `sharectl init --ci` wrote."""
    found = Forge(tmp_path, request.param)
    found.begin()
    return found


def propose(forge: Forge, name: str) -> str:
    """Push a new share to a branch; return the commit."""
    git(forge.clone, "checkout", "-q", "-b", name)
    forge.write_share(name)
    return forge.push(name, name)


def merge(forge: Forge, name: str) -> str:
    """Merge the branch into main; return the commit."""
    git(forge.clone, "checkout", "-q", "main")
    git(forge.clone, "merge", "-q", "--no-ff", "--no-edit", name)
    return forge.push(f"merge {name}")


def test_state_and_data_survive_every_run(forge: Forge) -> None:
    """Merge, proposal, merge again, in one workspace: what git ignores in the checkout stays, and so does the state outside."""
    git(forge.clone, "branch", "-M", "main")
    first = git(forge.clone, "rev-parse", "HEAD")
    applied = forge.run_job("apply", first, "main")
    assert applied.code == 0, applied
    assert "share/projects" in forge.state()
    precious = forge.workspace / "storage" / "projects" / "precious"
    precious.write_text("data", encoding="utf-8")
    (forge.workspace / ".sharectl").mkdir(exist_ok=True)
    (forge.workspace / ".sharectl" / "kept").write_text("ignored", encoding="utf-8")
    proposed = propose(forge, "more")
    planned = forge.run_job("plan", proposed, "more")
    assert planned.code == 0, planned
    assert "share/more" in forge.summaries[-1]
    assert "share/more" not in forge.state()
    assert forge.run_job("apply", merge(forge, "more"), "main").code == 0
    assert "share/more" in forge.state()
    assert "share/projects" in forge.state()
    assert precious.read_text(encoding="utf-8") == "data"
    assert (forge.workspace / ".sharectl" / "kept").exists()


def test_a_proposal_takes_nothing_out_of_the_workspace(tmp_path: Path) -> None:
    """Its plan runs where the last apply did: what git ignores there stays, by the workflow that `init` writes unasked too."""
    forge = Forge(tmp_path, "github")
    forge.begin(names_forge=False)
    git(forge.clone, "branch", "-M", "main")
    assert forge.run_job("apply", git(forge.clone, "rev-parse", "HEAD"), "main").code == 0
    kept = forge.workspace / ".sharectl" / "kept"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("ignored", encoding="utf-8")
    assert forge.run_job("plan", propose(forge, "more"), "more").code == 0
    assert kept.exists()


def test_a_late_or_repeated_apply_never_goes_back(forge: Forge) -> None:
    """Several merges in a row, of which the forge runs the last before the first: the tip of the branch is what is applied."""
    git(forge.clone, "branch", "-M", "main")
    old = git(forge.clone, "rev-parse", "HEAD")
    for name in ("one", "two"):
        propose(forge, name)
        newest = merge(forge, name)
    assert forge.run_job("apply", newest, "main").code == 0
    assert {"share/one", "share/two"} <= set(forge.state().split())
    assert forge.run_job("apply", old, "main").code == 0
    assert {"share/one", "share/two"} <= set(forge.state().split())


def test_a_checkout_that_is_cleaned_all_the_same_keeps_the_state(forge: Forge) -> None:
    """Somebody cleans the workspace, or git makes it anew: the state was never in it."""
    git(forge.clone, "branch", "-M", "main")
    first = git(forge.clone, "rev-parse", "HEAD")
    assert forge.run_job("apply", first, "main").code == 0
    git(forge.workspace, "clean", "-ffdx", "-e", "storage")
    assert "share/projects" in forge.state()
    assert forge.run_job("apply", first, "main").code == 0


def test_what_nobody_reviewed_stops_the_job(forge: Forge) -> None:
    """A manifest that was left in the workspace is not applied."""
    git(forge.clone, "branch", "-M", "main")
    first = git(forge.clone, "rev-parse", "HEAD")
    assert forge.run_job("apply", first, "main").code == 0
    left = forge.workspace / "shares" / "left.yaml"
    left.write_text("apiVersion: sharectl/v1\n", encoding="utf-8")
    for job in ("plan", "apply"):
        ended = forge.run_job(job, first, "main")
        assert ended.code != 0
        assert "left.yaml" in ended.out


def test_a_mistake_fails_the_plan(forge: Forge) -> None:
    """Codes other than 0 and 2 fail the job; 2 does not."""
    git(forge.clone, "branch", "-M", "main")
    git(forge.clone, "checkout", "-q", "-b", "wrong")
    (forge.clone / "shares" / "wrong.yaml").write_text("kind: [\n", encoding="utf-8")
    assert forge.run_job("plan", forge.push("wrong", "wrong"), "wrong").code == 1


def test_no_proposal_can_cancel_an_apply(tmp_path: Path) -> None:
    """GitHub cancels what waits in the same group: plans and applies share none, and an apply that runs is never cancelled."""
    forge = Forge(tmp_path, "github")
    forge.begin()
    workflow = forge.workflow()
    assert "concurrency" not in workflow
    plan, apply = (workflow["jobs"][name]["concurrency"] for name in ("plan", "apply"))
    assert apply == {"group": "sharectl-apply", "cancel-in-progress": "false"}
    assert plan["cancel-in-progress"] == "true"
    assert plan["group"].startswith("sharectl-plan-")
    assert "github.ref" in plan["group"]
    assert "needs" not in workflow["jobs"]["apply"]


def test_the_github_workflow_gives_nothing_away(tmp_path: Path) -> None:
    """The token may read, actions are pinned to a commit, forks run nothing here, and no checkout leaves the token behind."""
    forge = Forge(tmp_path, "github")
    forge.begin()
    workflow = forge.workflow()
    assert workflow["permissions"] == {"contents": "read"}
    assert set(workflow["on"]) == {"pull_request", "push"}
    assert "head.repo.full_name == github.repository" in workflow["jobs"]["plan"]["if"]
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            if "uses" in step:
                assert _PINNED.fullmatch(step["uses"])
                assert step["with"]["clean"] == "false"
                assert step["with"]["persist-credentials"] == "false"


def test_the_gitlab_workflow_runs_one_apply_at_a_time(tmp_path: Path) -> None:
    """And none is interrupted by a newer pipeline; plans are, and merge requests of forks run nothing."""
    forge = Forge(tmp_path, "gitlab")
    forge.begin()
    workflow = forge.workflow()
    assert workflow["apply"]["resource_group"] == "sharectl"
    assert workflow["apply"]["interruptible"] == "false"
    assert "resource_group" not in workflow["plan"]
    assert "$CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID" in workflow["plan"]["rules"][0]["if"]
    assert workflow["variables"]["GIT_CLEAN_FLAGS"] == "none"
    assert workflow["variables"]["GIT_STRATEGY"] == "fetch"


@pytest.mark.parametrize("kind", KINDS)
def test_the_workflow_meets_the_schema_of_its_forge(kind: str, tmp_path: Path) -> None:
    """As editors and the forge itself check it."""
    pytest.importorskip("check_jsonschema", reason="needs check-jsonschema (pip install sharectl[test])")
    import jsonschema  # noqa: PLC0415 - only with the schemas
    from ruamel.yaml import YAML  # noqa: PLC0415 - as above

    forge = Forge(tmp_path, kind)
    forge.begin()
    name = {"github": "github-workflows.json", "gitlab": "gitlab-ci.json"}[kind]
    text = (resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / name).read_text(encoding="utf-8")
    file = ".github/workflows/shares.yml" if kind == "github" else ".gitlab-ci.yml"
    document = YAML(typ="safe", pure=True).load((forge.clone / file).read_text(encoding="utf-8"))
    jsonschema.validate(document, json.loads(text))


def test_the_state_is_where_the_environment_says(forge: Forge) -> None:
    """By repository, in the home of the runner, and private."""
    git(forge.clone, "branch", "-M", "main")
    assert forge.run_job("apply", git(forge.clone, "rev-parse", "HEAD"), "main").code == 0
    assert (forge.home / ".local" / "state" / "sharectl" / ROOT_REPOSITORY / "state.db").is_file()
    assert not (forge.workspace / ".sharectl" / "state.db").exists()
