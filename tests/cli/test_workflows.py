"""The workflows that `init` writes, taken step by step as runners do: what was reviewed is applied, and nothing else, by whichever runner."""

from __future__ import annotations

import json
import re
import shutil
from importlib import resources
from typing import TYPE_CHECKING

import pytest

from tests import servers
from tests.cli.forge import ROOT_REPOSITORY, Forge, Note, git
from tests.cli.forge_github import GitHub
from tests.cli.forge_gitlab import GitLab
from tests.cli.forge_servers import (
    GITHUB_LIMIT,
    GitHubInterface,
    GitLabInterface,
    Interface,
    make_certificate,
    serving,
)
from tests.postgresql import new_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.forge import Run
    from tests.postgresql import Server

MARKER = "<!-- sharectl plan -->"
KINDS = {"github": GitHub, "gitlab": GitLab}
VARIANTS = [(kind, state) for kind in KINDS for state in ("sqlite", "postgresql")]
SOME = [("github", "postgresql"), ("gitlab", "sqlite")]
"""One of each forge and of each state, for what differs in neither of them alone."""
_PINNED = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40}")


@pytest.fixture(params=VARIANTS, ids="-".join)
def forge(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Forge]:
    """Yield a forge whose repository is what `sharectl init` wrote, with its web interface; every call of the workflow has to be right."""
    kind, state = request.param
    server = request.getfixturevalue("postgresql") if state == "postgresql" else None
    yield from begun(kind, tmp_path, server)


@pytest.fixture(params=SOME, ids="-".join)
def some(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Forge]:
    """Yield a forge whose first commit is applied."""
    kind, state = request.param
    for forge in begun(kind, tmp_path, request.getfixturevalue("postgresql") if state == "postgresql" else None):
        assert forge.kind == kind
        forge.apply_by_hand()
        yield forge


@pytest.fixture
def github(tmp_path: Path) -> Iterator[Forge]:
    """Yield GitHub with a runner of one's own, and its first commit applied."""
    for forge in begun("github", tmp_path, None):
        forge.apply_by_hand()
        yield forge


@pytest.fixture
def own(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Forge]:
    """Yield a forge with a runner of one's own."""
    yield from begun(request.param, tmp_path, None)


def begun(kind: str, folder: Path, server: Server | None) -> Iterator[Forge]:
    """Yield a forge of this kind, with a state on the server or in a file."""
    for program in ("gh", "openssl") if kind == "github" else ("curl", "jq"):
        servers.require(shutil.which(program) is not None, f"{program} (apt-get install {program})")
    forge = KINDS[kind](folder, f"{folder}/runner/home/.local/state/sharectl/{ROOT_REPOSITORY}/state.db")
    options = ["--ci", kind] if kind != "github" or server is not None else []  # GitHub and SQLite are the defaults
    edit: dict[str, dict[str, str]] = {}
    if server is not None:
        name = new_name()
        forge.state = server.url(name)
        forge.secrets["SHARECTL_STATE_PASSWORD"] = "not asked for"  # noqa: S105 - nor one
        url = server.url(name).rpartition("&name=")[0]
        places = {"postgresql://sharectl@db.example.com/sharectl": f'"{url}"', "name: storage": f"name: {name}"}
        edit = {"sharectl.yaml": places, "backends.yaml": {"/mnt/storage": f"{folder}/storage"}}
        (folder / "storage").mkdir()
        options += ["--state", "postgresql"]
    forge.begin(edit, *options)
    interface: Interface
    if isinstance(forge, GitHub):
        certificate = make_certificate(folder)
        interface = GitHubInterface(forge)
        with serving(interface, certificate) as port:
            host = f"localhost:{port}"
            forge.variables = {"GH_HOST": host, "SSL_CERT_FILE": str(certificate), "GH_NO_UPDATE_NOTIFIER": "1"}
            yield forge
    else:
        assert isinstance(forge, GitLab)
        interface = GitLabInterface(forge)
        with serving(interface) as port:
            forge.variables = {"CI_API_V4_URL": f"http://localhost:{port}/api/v4", "SHARECTL_TOKEN": "glpat-1"}
            yield forge
    assert interface.refused == []


def first_applied(forge: Forge) -> None:
    """Apply what `init` wrote: its plan is made by the first push, and applied when somebody has looked at it."""
    refused = forge.first()
    assert refused.result("apply") == "failure"
    assert forge.shares() == set()
    applied = by_hand(forge, refused)
    assert applied.result("apply") == "success", applied.told
    assert forge.shares() == {"projects"}


def by_hand(forge: Forge, run: Run) -> Run:
    """Start the workflow by hand, for the plan that another run has saved."""
    if forge.kind == "github":
        return forge.by_hand(run=str(run.number))
    # The job that made the plan keeps it under the name of the job plan, whichever it was.
    return forge.by_hand(PLAN_JOB=str(run.jobs["apply"].number))


def test_another_runner_applies_what_was_planned_in_a_request(forge: Forge) -> None:
    """Two runners after another share the state; who started them is in its history, and the night finds nothing."""
    first_applied(forge)
    planned = forge.propose("more", {"more": 2})
    assert planned.ran == {"plan", "comment"}
    assert {planned.result(job) for job in planned.ran} == {"success"}, planned.told
    assert forge.shares() == {"projects"}
    (comment,) = forge.comments[1]
    assert comment.body.startswith(MARKER)
    assert "share/more" in comment.body
    assert "has the whole plan" in comment.body or "have the whole plan" in comment.body
    merged = forge.merge("more")
    assert merged.ran == {"reviewed", "apply"}
    assert merged.result("apply") == "success", merged.told
    assert forge.shares() == {"projects", "more"}
    assert "started by octocat, commit by a <a@example.org>" in forge.sharectl("history")
    assert f"/{ROOT_REPOSITORY}/" in forge.sharectl("history")
    night = forge.nightly()
    assert (night.ran, night.result("drift")) == ({"drift", "drift-issue"}, "success"), night.told
    assert forge.issues == []


def test_the_comment_is_one_and_kept_up_to_date(some: Forge) -> None:
    """Also where it is on a later page; one that somebody else began with the same words is not taken for it."""
    stranger = "mallory" if some.kind == "github" else "66"
    some.comments[1] = [Note(number, stranger, f"{MARKER} of mine") for number in range(100, 103)]
    some.propose("more", {"more": 2})
    assert "share/more" in some.comments[1][-1].body
    some.propose("more", {"other": 3})
    assert [note.body == f"{MARKER} of mine" for note in some.comments[1]] == [True, True, True, False]
    assert "share/other" in some.comments[1][-1].body


def test_a_change_that_was_merged_in_between_refuses_the_plan(some: Forge) -> None:
    """It says what would be done now, and saves that; somebody who has looked at it starts it by hand. Changes elsewhere are in nobody's way."""
    some.propose("larger", {}, change=("size: 10GiB", "size: 20GiB"))
    some.propose("elsewhere", {"two": 1})
    some.propose("open", {}, change=("level: ro", "level: rw"))
    for branch in ("open", "elsewhere"):
        assert some.merge(branch).result("apply") == "success"
    refused = some.merge("larger")
    assert refused.result("apply") == "failure"
    assert "the state has changed since this plan was made: share/projects" in refused.jobs["apply"].out
    assert "20GiB" not in some.sharectl("state", "list")
    applied = by_hand(some, refused)
    assert applied.result("apply") == "success", applied.told
    assert "20GiB" in some.sharectl("state", "list")


def test_the_night_opens_one_issue_and_closes_it(some: Forge) -> None:
    """Its job fails too. A share that somebody removed by hand is told each night, in the same issue, until it is there again."""
    storage = some.folder / "storage"
    shutil.move(storage / "projects", some.folder / "aside")
    for _ in range(2):
        night = some.nightly()
        assert night.result("drift") == "failure", night.told
        assert night.result("drift-issue") == "success", night.told
        (issue,) = some.issues
        assert issue.is_open
        assert "share/projects" in issue.body
        assert str(night.number) in issue.body
    shutil.move(some.folder / "aside", storage / "projects")
    assert some.nightly().result("drift") == "success"
    assert [note.is_open for note in some.issues] == [False]


def test_a_mistake_fails_the_plan_and_is_told_in_the_comment(some: Forge) -> None:
    """There is no plan, also not the one of an earlier request, and none is left to be applied."""
    assert some.propose("more", {"more": 1}).result("plan") == "success"
    (some.clone / "shares" / "wrong.yaml").write_text("kind: [\n", encoding="utf-8")
    failed = some.propose("wrong", {})
    assert failed.result("plan") == "failure"
    (comment,) = some.comments[2]
    assert comment.body.startswith(f"{MARKER}\nThere is no plan")
    assert "whole plan" not in comment.body
    assert not any("more" in str(content) for files in failed.artifacts.values() for content in files.values())
    refused = some.merge("wrong")
    assert refused.result("apply") == "failure"
    assert some.shares() == {"projects"}


def test_a_repeated_apply_finds_all_of_it_done(some: Forge) -> None:
    """Whatever has been merged since: a job that runs again never goes back."""
    some.propose("more", {"more": 1})
    merged = some.merge("more")
    some.propose("later", {"later": 1})
    assert some.merge("later").result("apply") == "success"
    again = some.pipeline("push", merged.commit)
    assert again.result("apply") == "success", again.told
    assert "this plan has been applied already" in again.jobs["apply"].out
    assert some.shares() == {"projects", "more", "later"}


def test_a_fork_gets_nothing_and_gives_nothing(some: Forge) -> None:
    """It runs without secrets, if at all, and a plan that its run claims to have made is not applied."""
    run = some.propose("foreign", {"foreign": 1}, is_fork=True)
    assert run.ran <= {"check"}
    assert all(job.result in {"success", "skipped"} for job in run.jobs.values()), run.told
    assert 1 not in some.comments
    mine = some.propose("mine", {"mine": 1})
    names = {"github": "sharectl-plan", "gitlab": "plan"}
    run.artifacts[names[some.kind]] = dict(mine.artifacts[names[some.kind]])
    merged = some.merge("foreign")
    assert merged.result("apply") == "failure"
    assert some.shares() == {"projects"}
    assert "share/foreign" in "".join(merged.summaries.values()) + merged.jobs["apply"].out


def test_a_long_plan_is_cut_and_says_where_the_whole_is(github: Forge) -> None:
    """GitHub takes no longer comment; what is equal is said once, with as many names as there is room for."""
    run = github.propose("many", {f"share-with-quite-a-long-name-{number:04}": 0.125 for number in range(800)})
    assert run.result("comment") == "success", run.told
    (comment,) = github.comments[1]
    assert 20_000 < len(comment.body) < GITHUB_LIMIT
    assert "+ create 800 shares" in comment.body
    assert re.search(r"share-with-quite-a-long-name-0001</code> .* and \d+ more", comment.body)
    assert f"https://github.example/{ROOT_REPOSITORY}/actions/runs/{run.number}" in comment.body


@pytest.mark.parametrize("own", KINDS, indirect=True)
def test_state_and_data_survive_every_run(own: Forge) -> None:
    """On a runner that stays: what git ignores in its checkout is left alone, and so is the state outside of it, even if somebody cleans the checkout."""
    first_applied(own)
    workspace = own.workspace_of_runner()
    precious = workspace / "storage" / "projects" / "precious"
    precious.write_text("data", encoding="utf-8")
    (workspace / ".sharectl").mkdir(exist_ok=True)
    (workspace / ".sharectl" / "kept").write_text("ignored", encoding="utf-8")
    own.propose("more", {"more": 1})
    assert own.merge("more").result("apply") == "success"
    assert precious.read_text(encoding="utf-8") == "data"
    assert (workspace / ".sharectl" / "kept").exists()
    assert not (workspace / ".sharectl" / "state.db").exists()
    git(workspace, "clean", "-ffdx", "-e", "storage")
    assert own.shares() == {"projects", "more"}


@pytest.mark.parametrize("own", KINDS, indirect=True)
def test_what_nobody_reviewed_stops_the_job(own: Forge) -> None:
    """A manifest that was left in the workspace is not applied."""
    first_applied(own)
    assert own.propose("early", {"early": 1}).result("plan") == "success"
    left = own.workspace_of_runner() / "shares" / "left.yaml"
    left.write_text("apiVersion: sharectl/v1\n", encoding="utf-8")
    planned = own.propose("more", {"more": 1})
    merged = own.merge("more")
    night = own.nightly()
    for job in (planned.jobs["plan"], merged.jobs["apply"], night.jobs["drift"]):
        assert job.result == "failure"
        assert "left.yaml" in job.out
    told = [own.comments[2][0].body, own.issues[0].body]
    kept = [
        str(content)
        for files in (planned.artifacts, night.artifacts)
        for file in files.values()
        for content in file.values()
    ]
    assert not any("early" in text for text in told + kept)


@pytest.mark.parametrize("own", ["gitlab"], indirect=True)
def test_a_runner_that_keeps_a_plan_gives_it_to_no_other_request(own: Forge) -> None:
    """Also where the job of the plan was lost with all that it had, and the next one finds what an earlier one left."""
    assert isinstance(own, GitLab)
    own.apply_by_hand()
    own.keeps = True
    assert own.propose("early", {"early": 1}).result("comment") == "success"
    assert "share/early" in own.comments[1][0].body
    own.lost = "plan"
    assert own.propose("more", {"more": 1}).result("comment") == "success"
    assert own.comments[2][0].body.startswith(f"{MARKER}\nThere is no plan")
    assert "whole plan" not in own.comments[2][0].body
    own.lost = "drift"
    assert own.nightly().result("drift-issue") == "success"
    assert "early" not in own.issues[0].body


def test_a_plan_that_is_stopped_names_no_whole_plan(some: Forge) -> None:
    """None was saved."""
    shares = some.clone / "shares"
    (shares / "projects.yaml").rename(shares / "projects.txt")
    assert some.propose("nothing", {}).result("plan") == "failure"
    (comment,) = some.comments[1]
    assert "There is no plan" not in comment.body
    assert "the whole plan" not in comment.body


def test_no_token_or_secret_is_shown(some: Forge) -> None:
    """Neither in a log, nor in a comment, nor in an artifact."""
    some.propose("more", {"more": 1})
    some.merge("more")
    some.nightly()
    hidden = [*some.secrets.values(), "glpat-1", *getattr(some, "tokens", ())]
    for run in some.runs:
        kept = b"".join(content for files in run.artifacts.values() for content in files.values()).decode()
        told = "".join(job.out for job in run.jobs.values()) + "".join(run.summaries.values())
        for secret in hidden:
            assert secret not in kept + told


@pytest.mark.parametrize("state", ["sqlite", "postgresql"])
def test_the_github_workflow_gives_nothing_away(tmp_path: Path, state: str) -> None:
    """Each job has the rights that it needs, actions are pinned, forks get no secret, and no text of others becomes a part of a script."""
    workflow = written(tmp_path, "github", state)
    assert workflow["permissions"] == {}
    assert set(workflow["on"]) == {"pull_request", "push", "schedule", "workflow_dispatch"}
    writing = {
        name: job["permissions"] for name, job in workflow["jobs"].items() if "write" in job["permissions"].values()
    }
    assert writing == {"comment": {"pull-requests": "write"}, "drift-issue": {"issues": "write"}}
    for name, job in workflow["jobs"].items():
        assert "secrets." not in json.dumps(job.get("env"))
        assert not any("env" in step for step in job["steps"] if "pip install" in step.get("run", ""))
        uses = [step for step in job["steps"] if "uses" in step]
        assert all(_PINNED.fullmatch(step["uses"]) for step in uses)
        for step in uses:
            if step["uses"].startswith("actions/checkout@"):
                assert name not in writing
                assert step["with"]["persist-credentials"] == "false"
                assert step["with"].get("clean") == ("false" if state == "sqlite" else None)
        assert not any("${{" in step.get("run", "") for step in job["steps"])
    assert "head.repo.full_name == github.repository" in workflow["jobs"]["plan"]["if"]
    for name in ("check", "comment", "reviewed", "drift-issue"):
        assert "secrets." not in json.dumps(workflow["jobs"].get(name))


def test_no_proposal_can_cancel_an_apply(tmp_path: Path) -> None:
    """GitHub cancels what waits in the same group: plans and applies share none, and an apply that runs is never cancelled."""
    workflow = written(tmp_path, "github", "sqlite")
    assert "concurrency" not in workflow
    plan, apply = (workflow["jobs"][name]["concurrency"] for name in ("plan", "apply"))
    assert apply == {"group": "sharectl-apply", "cancel-in-progress": "false"}
    assert plan["cancel-in-progress"] == "true"
    assert plan["group"] == "sharectl-plan-${{ github.ref }}"
    assert workflow["jobs"]["apply"]["needs"] == "reviewed"


@pytest.mark.parametrize("state", ["sqlite", "postgresql"])
def test_the_gitlab_workflow_runs_one_apply_at_a_time(tmp_path: Path, state: str) -> None:
    """And none is interrupted by a newer pipeline; plans are, and merge requests of forks run nothing."""
    workflow = written(tmp_path, "gitlab", state)
    assert workflow["apply"]["resource_group"] == "sharectl"
    assert workflow["apply"]["timeout"] == "1 day"
    assert workflow["apply"]["interruptible"] == "false"
    assert "resource_group" not in workflow["plan"]
    for job in ("plan", "comment"):
        assert "$CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID" in workflow[job]["rules"][0]["if"]
    assert workflow["variables"].get("GIT_CLEAN_FLAGS") == ("none" if state == "sqlite" else None)
    using = {name for name, job in workflow.items() if isinstance(job, dict) and "SHARECTL_TOKEN" in json.dumps(job)}
    assert using == {".api"}


@pytest.mark.parametrize(("kind", "state"), VARIANTS)
def test_the_workflow_meets_the_schema_of_its_forge(kind: str, state: str, tmp_path: Path) -> None:
    """As editors and the forge itself check it."""
    pytest.importorskip("check_jsonschema", reason="needs check-jsonschema (pip install sharectl[test])")
    import jsonschema  # noqa: PLC0415 - only with the schemas
    from ruamel.yaml import YAML  # noqa: PLC0415 - as above

    written(tmp_path, kind, state)
    name = {"github": "github-workflows.json", "gitlab": "gitlab-ci.json"}[kind]
    text = (resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / name).read_text(encoding="utf-8")
    document = YAML(typ="safe", pure=True).load((tmp_path / "clone" / KINDS[kind].file).read_text(encoding="utf-8"))
    jsonschema.validate(document, json.loads(text))


def written(folder: Path, kind: str, state: str) -> dict[str, dict[str, dict[str, dict[str, str]]]]:
    """Return the workflow that `init` writes, all values as texts."""
    forge = KINDS[kind](folder, "")
    forge.begin(None, "--ci", kind, "--state", state)
    forge._push("first", "main")
    return forge.workflow("main")
