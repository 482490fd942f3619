"""Locked runs around an apply: edits of the state, and who is said to have made them."""

from __future__ import annotations

import getpass
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from sharectl.model.diagnostics import DiagnosticError
from sharectl.state.rows import spec_object_of
from sharectl.workspace.interventions import Edit, forget_resources, read_document, rename_resource
from sharectl.workspace.lookup import read_record
from sharectl.workspace.run import describe_run, held_lease
from tests.engine.site import Site, backend, share

if TYPE_CHECKING:
    from pathlib import Path

RULE = "access: [{type: ip, to: 10.0.0.0/8, level: rw}]"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return a site with two shares."""
    made = Site(tmp_path / "r").write(backend("a"), share("x", spec=RULE), share("y"))
    assert made.apply().result.succeeded
    return made


def edit(site: Site, work, *arguments: object) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001 - one of two functions
    """Do an edit under a lease of its own."""
    record = describe_run("state", site.root, {})
    with site.store() as store, held_lease(store, record) as lease:
        work(Edit(store, lease, record), *arguments)


def test_forgotten_shares_stay_on_their_backend(site: Site) -> None:
    """And the history says who forgot them."""
    edit(site, forget_resources, ["share/x"])
    assert set(site.records()) == {"backend/a", "share/y"}
    assert len(site.query("a", "SELECT * FROM shares")) == 2
    line = site.history("share/x")[0]
    assert (line.entry.verb, line.entry.outcome, line.run.command) == ("forget", "done", "state")


def test_forgetting_is_all_or_nothing(site: Site) -> None:
    """One unknown address, and nothing is forgotten."""
    with pytest.raises(DiagnosticError, match="the state has no share/z"):
        edit(site, forget_resources, ["share/x", "share/z"])
    assert "share/x" in site.records()


def test_a_renamed_row_keeps_its_rules(site: Site) -> None:
    """Nothing changes on the backend; its spec has the new name, so that the manifest of that name finds it as it should be."""
    edit(site, rename_resource, "share/x", "share/z")
    with site.store() as store:
        record, rules = read_record(store, "share/z")
    assert record.version == 4
    assert spec_object_of(record)["name"] == "z"
    assert [rule.rule.key for rule in rules] == ["ip:10.0.0.0/8"]
    assert site.history("share/z")[0].entry.verb == "move"


@pytest.mark.parametrize(
    ("former", "address", "words"),
    [
        ("share/none", "share/z", "the state has no share/none"),
        ("share/x", "snapshot/x", "their kinds differ"),
        ("share/x", "share/y", "holds share/y already"),
    ],
)
def test_a_rename_that_cannot_be_is_refused(site: Site, former: str, address: str, words: str) -> None:
    """With the reason."""
    with pytest.raises(DiagnosticError, match=words):
        edit(site, rename_resource, former, address)


def test_a_row_that_is_not_there_is_named(site: Site) -> None:
    """For `show`."""
    with site.store() as store, pytest.raises(DiagnosticError, match="share/none"):
        read_record(store, "share/none")


def test_a_document_is_read_or_the_file_is_named(tmp_path: Path) -> None:
    """For `state push`."""
    (tmp_path / "d.json").write_bytes(b"{}")
    assert read_document(tmp_path / "d.json") == b"{}"
    with pytest.raises(DiagnosticError, match="could not be read"):
        read_document(tmp_path / "none.json")


def test_a_run_says_who_where_and_from_which_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as that is known."""
    record = describe_run("apply", tmp_path, {})
    assert (record.user, record.host, record.git_commit) == (getpass.getuser(), os.uname().nodename, None)
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    author = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
    for command in (["init", "-q"], [*author, "commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True, env=environment)  # noqa: S607 - whichever git there is
    record = describe_run("apply", tmp_path, {})
    assert len(record.git_commit or "") == 40
    assert record.author == "a <a@b.example>"

    def nobody() -> str:
        raise KeyError

    monkeypatch.setattr(getpass, "getuser", nobody)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    record = describe_run("apply", tmp_path, {})
    assert record.user == f"uid {os.getuid()}"
    assert record.git_commit is None
    assert record.author is None


@pytest.mark.parametrize(
    ("environ", "actor"),
    [
        ({}, None),
        ({"GITHUB_ACTOR": "ann"}, "ann"),
        ({"GITHUB_ACTOR": "ann", "GITHUB_TRIGGERING_ACTOR": "bob"}, "bob"),
        ({"GITLAB_USER_LOGIN": "cleo"}, "cleo"),
        ({"GITLAB_USER_LOGIN": "cleo", "SHARECTL_ACTOR": "dora", "GITHUB_ACTOR": ""}, "dora"),
        ({"SHARECTL_ACTOR": "x" * 1000}, "x" * 200),
        ({"SHARECTL_ACTOR": "a\udcff"}, "a?"),
    ],
)
def test_a_run_names_who_started_it(tmp_path: Path, environ: dict[str, str], actor: str | None) -> None:
    """As the forge knows them, or as the environment says: bounded, and as UTF-8 can say it."""
    assert describe_run("apply", tmp_path, environ).actor == actor


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, None),
        ({"CI_JOB_URL": "https://gitlab.example/j/1"}, "https://gitlab.example/j/1"),
        ({"BUILD_URL": "https://bob:secret@ci.example/2"}, "https://ci.example/2"),
        (
            {"GITHUB_RUN_ID": "7", "GITHUB_REPOSITORY": "a/b", "GITHUB_SERVER_URL": "https://gh.example"},
            "https://gh.example/a/b/actions/runs/7",
        ),
        ({"CI_JOB_URL": "https://ci.example/" + "x" * 5000}, "https://ci.example/" + "x" * 1981),
    ],
)
def test_a_run_names_its_ci_job_without_credentials(tmp_path: Path, environ: dict[str, str], url: str | None) -> None:
    """Of each CI that says so."""
    assert describe_run("apply", tmp_path, environ).ci_job_url == url
