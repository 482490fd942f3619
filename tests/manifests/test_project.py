"""The project file: found upwards, every setting with its default, every mistake with its place."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sharectl.manifests.project import find_project
from sharectl.model.diagnostics import DiagnosticError
from sharectl.model.settings import SafetyLimits, SchedulerSettings
from sharectl.model.state_urls import parse_postgresql_url

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "apiVersion: sharectl/v1\nkind: Project\n"


def write(folder: Path, text: str) -> Path:
    """Write the project file."""
    file = folder / "sharectl.yaml"
    file.write_text(text)
    return file


def test_without_a_project_file_everything_has_its_default(tmp_path: Path) -> None:
    """The root is where one stands."""
    project = find_project(tmp_path)
    assert (project.root, project.file, project.manifests) == (tmp_path, None, (".",))
    assert project.state_path == tmp_path / ".sharectl" / "state.db"
    assert project.cache_directory == tmp_path / ".sharectl" / "cache"
    assert (project.safety, project.scheduler) == (SafetyLimits(), SchedulerSettings())


@pytest.mark.parametrize(
    "text", [HEAD, HEAD + "spec: {}\n", HEAD + "metadata: {name: nas}\nspec: {scheduler: {}, safety: {}, state: {}}\n"]
)
def test_an_empty_project_file_changes_no_default(tmp_path: Path, text: str) -> None:
    """But it marks the root, from below too."""
    file = write(tmp_path, text)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    project = find_project(below)
    assert (project.root, project.file, project.manifests) == (tmp_path, file, (".",))
    assert (project.safety, project.scheduler) == (SafetyLimits(), SchedulerSettings())


def test_folders_outside_are_read_where_the_project_lists_them(tmp_path: Path) -> None:
    """And what is below them, however it is written."""
    text = "spec:\n  outside: [../common/, ../../shared]\n  manifests: [., ../common, ../common/a/../b.yaml, ../../shared/types]\n"
    write(tmp_path, HEAD + text)
    assert find_project(tmp_path).manifests == (".", "../common", "../common/a/../b.yaml", "../../shared/types")
    assert find_project(tmp_path).manifests == (".", "../common", "../common/a/../b.yaml", "../../shared/types")


FULL = (
    HEAD
    + "spec:\n  manifests: [nas, types.yaml]\n  state: {file: /var/lib/sharectl/state.db}\n"
    + "  scheduler: {filters: [A], weighers: [], multipliers: {A: -1}, maxAttempts: 5, maxOverSubscriptionRatio: 2, options: {x: {y: 1}}}\n"
    + "  safety: {maxDeletionPercentage: 5, deletionFloor: 0}\n"
)


def test_every_setting_is_read(tmp_path: Path) -> None:
    """The second time from the cache, with the same result."""
    (tmp_path / ".sharectl").mkdir()
    write(tmp_path, FULL)
    for _ in range(2):
        project = find_project(tmp_path)
        assert project.manifests == ("nas", "types.yaml")
        assert str(project.state_path) == "/var/lib/sharectl/state.db"
        assert project.safety == SafetyLimits(5.0, 0)
        assert project.scheduler == SchedulerSettings(("A",), (), {"A": -1.0}, 5, 2.0, {"x": {"y": 1}})
        assert list((tmp_path / ".sharectl" / "cache").iterdir())


def test_finding_a_project_writes_nothing_into_a_folder_that_sharectl_has_not_used(tmp_path: Path) -> None:
    """A look leaves no trace."""
    write(tmp_path, HEAD)
    find_project(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["sharectl.yaml"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [("1:1", "project.documents")]),
        (HEAD + "---\n" + HEAD, [("4:1", "project.documents")]),
        ("a: ]", [("1:4", "manifest.syntax")]),
        (HEAD + "kind: Project\n", [("3:1", "manifest.duplicate-key")]),
        (
            HEAD + "spec: {manifest: [a], safety: {deletionFloor: -1}}\n",
            [("3:8", "manifest.unknown-field"), ("3:47", "manifest.schema")],
        ),
        ("kind: Project\n", [("1:1", "manifest.missing")]),
        ("- x\n", [("1:1", "manifest.schema")]),
        (HEAD + "spec: {manifests: [a, ../b, /c]}\n", [("3:23", "project.manifests"), ("3:29", "project.manifests")]),
        (
            HEAD
            + "spec:\n  outside: [../b/c, ../b/c/../d]\n  manifests: [../b, ../b/c/../e, ../b/cc, ../b/c/../../b/e, /b/c]\n",
            [(f"5:{column}", "project.manifests") for column in (15, 21, 34, 43, 61)],
        ),
        (
            HEAD + "spec:\n  outside: [../]\n  manifests: [../../b, ../a/../../b]\n",
            [(f"5:{column}", "project.manifests") for column in (15, 24)],
        ),
        (HEAD + "spec: {outside: [/b], manifests: [a]}\n", [("3:18", "manifest.schema")]),
        (HEAD + 'spec: {state: {file: "a\\0b"}}\n', [("3:22", "project.state")]),
        (HEAD + 'spec: {state: {url: "postgresql://x"}}\n', [("3:21", "project.state")]),
        (HEAD + "spec: {state: {url: postgresql:///x, name: A}}\n", [("3:44", "manifest.schema")]),
        (HEAD + "spec: {state: {url: postgresql:///x, name: a, passwordFrom: x}}\n", [("3:61", "manifest.secret")]),
        (HEAD + "spec: {state: {url: postgresql:///x, name: a, file: b}}\n", [("3:21", "project.state")]),
        (HEAD + "spec: {state: {url: 'postgresql://db/x?sslmode=allow', name: a}}\n", [("3:21", "project.state")]),
        (HEAD + "spec: {state: {name: a}}\n", [("3:16", "project.state")]),
        (HEAD + "spec: {state: {url: 'sqlite:a', passwordFrom: {env: A}}}\n", [("3:33", "project.state")]),
        (HEAD + 'spec: {state: {url: "sqlite:a", file: b}}\n', [("3:21", "project.state")]),
        (HEAD + "spec: {state: {url: 'postgres://db/x', name: a}}\n", [("3:21", "project.state")]),
        (HEAD + "spec: {state: {url: 'mysql://db/x', passwordFrom: {env: A}}}\n", [("3:21", "project.state")]),
        # not also that workers need a database
        (HEAD + "spec: {state: {url: 'postgres://db/x'}, execution: {executor: queue}}\n", [("3:21", "project.state")]),
    ],
)
def test_a_mistake_is_found_at_its_place(tmp_path: Path, text: str, expected: list[tuple[str, str]]) -> None:
    """All of them at once."""
    write(tmp_path, text)
    with pytest.raises(DiagnosticError) as caught:
        find_project(tmp_path)
    found = [(str(diagnostic.source), diagnostic.code) for diagnostic in caught.value.diagnostics]
    assert found == [(f"sharectl.yaml:{place}", code) for place, code in expected]


def test_a_project_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """It is never taken for none; from below it is named with its path."""
    (tmp_path / "sub").mkdir()
    os.mkfifo(tmp_path / "sharectl.yaml")
    with pytest.raises(DiagnosticError) as caught:
        find_project(tmp_path / "sub")
    assert str(caught.value.diagnostics[0].source) == f"{tmp_path}/sharectl.yaml:1:1"
    (tmp_path / "sharectl.yaml").unlink()
    (tmp_path / "sharectl.yaml").symlink_to("nowhere")
    with pytest.raises(DiagnosticError):
        find_project(tmp_path)


def test_a_password_in_the_url_of_a_state_is_not_repeated(tmp_path: Path) -> None:
    """Neither by what is said of the URL, nor by the excerpt of its line."""
    write(tmp_path, HEAD + "spec: {state: {url: 'postgresql://me:hunter2@db/x'}}\n")
    with pytest.raises(DiagnosticError) as refused:
        find_project(tmp_path)
    [found] = refused.value.diagnostics
    assert "hunter2" not in f"{found.summary}{found.detail}{found.remedy}{found.source}"


def test_a_state_in_a_database_is_named_beside_its_url(tmp_path: Path) -> None:
    """Where its password is comes along, and the password does not; the second time from the cache."""
    (tmp_path / ".sharectl").mkdir()
    state = "{url: postgresql://me@db.example/x, name: team-a, passwordFrom: {file: secrets/pg}}"
    write(tmp_path, HEAD + f"spec: {{state: {state}}}\n")
    for _ in range(2):
        project = find_project(tmp_path)
        assert project.state_path is None
        assert project.state_location == "db.example, database x, schema sharectl_team-a"
        assert parse_postgresql_url(project.state_url).password_from == ("file", f"{tmp_path}/secrets/pg")


def test_a_state_in_a_database_is_called_as_its_project(tmp_path: Path) -> None:
    """Unless it has a name of its own; without any, nobody guesses one."""
    head = HEAD + "metadata: {name: nas}\n"
    write(tmp_path, head + "spec: {state: {url: 'postgresql:///x?application_name=me'}}\n")
    assert find_project(tmp_path).state_location.endswith("schema sharectl_nas")
    write(tmp_path, head + "spec: {state: {url: 'postgresql:///x?name=other'}}\n")
    assert find_project(tmp_path).state_location.endswith("schema sharectl_other")


@pytest.mark.parametrize("name", ["manifests", "manifests/", "own.yaml"])
def test_a_named_path_that_is_a_link_leads_to_no_place_that_is_not_named(tmp_path: Path, name: str) -> None:
    """What a pull request links to would be read aloud by the job that plans it; with `outside` it is meant."""
    secret = tmp_path / "elsewhere" / "id_rsa"
    secret.parent.mkdir()
    secret.write_text("PRIVATE: [key")
    root = tmp_path / "project"
    root.mkdir()
    (root / name.rstrip("/")).symlink_to(secret if name == "own.yaml" else secret.parent)
    write(root, HEAD + f"spec:\n  manifests:\n    - {name}\n")
    with pytest.raises(DiagnosticError) as caught:
        find_project(root)
    [found] = caught.value.diagnostics
    assert (str(found.source), found.code) == ("sharectl.yaml:5:7", "project.link")
    write(root, HEAD + f"spec:\n  outside: [../elsewhere]\n  manifests:\n    - {name}\n")
    assert find_project(root).manifests == (name,)


def test_a_project_file_that_is_a_link_stays_in_the_working_tree(tmp_path: Path) -> None:
    """One that leads out of it is not read, and nothing of it is shown; a checkout may itself be reached by a link."""
    (tmp_path / "environ").write_text("TOKEN=hunter2\0")
    root = tmp_path / "tree" / "nas"
    root.mkdir(parents=True)
    (root / "sharectl.yaml").symlink_to(tmp_path / "environ")
    with pytest.raises(DiagnosticError) as caught:
        find_project(root)
    [found] = caught.value.diagnostics
    assert found.code == "project.unreadable"
    assert "leads out" in found.summary
    assert found.source is not None
    assert found.source.excerpt is None
    (root / "sharectl.yaml").unlink()
    write(root.parent, HEAD)
    (root / "sharectl.yaml").symlink_to("../sharectl.yaml")
    (tmp_path / "tree" / ".git").mkdir()
    (tmp_path / "checkout").symlink_to(root)
    assert find_project(tmp_path / "checkout").manifests == (".",)
