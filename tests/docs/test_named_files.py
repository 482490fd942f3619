"""Files named with -f are planned by themselves, and what the project's own manifests describe besides is not taken for gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from .repository import Repository

if TYPE_CHECKING:
    from pathlib import Path

NAMED = ("-f", "backend.yaml", "-f", "share-one.yaml")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Return a repository whose two shares and snapshot have been applied; what loses its manifest is deleted."""
    made = Repository(tmp_path)
    made.write_backend()
    for name in ("one", "two"):
        made.write_share(name, deletionPolicy="delete")
    made.write("snapshot.yaml", "Snapshot", "monday", {"share": "two", "deletionPolicy": "delete"})
    made.applied()
    return made


def test_a_file_applied_by_itself_removes_nothing_that_the_project_describes(repository: Repository) -> None:
    """As whoever knows `kubectl apply -f` expects: the share of that file is changed, all others stay, and the output says so."""
    repository.write_share("one", size="2GiB", deletionPolicy="delete")
    ended = repository.run("apply", "--yes", *NAMED)
    assert ended.code == 0
    assert "2 resources are left alone: no file named with -f describes them" in ended.text
    assert "share/two, snapshot/monday." in ended.text
    assert repository.shares() == ["one", "two"]
    assert repository.on_backend("SELECT size_bytes >> 30 FROM shares ORDER BY name") == [2, 1]
    assert "No changes." in repository.run("plan").text


def test_what_no_manifest_describes_any_more_is_removed_also_with_named_files(repository: Repository) -> None:
    """Its manifest is gone from the project too."""
    repository.remove("two")
    (repository.path / "snapshot.yaml").unlink()
    assert repository.run("apply", "--yes", *NAMED).code == 0
    assert repository.shares() == ["one"]


def test_where_the_project_has_mistakes_nothing_counts_as_gone(repository: Repository) -> None:
    """Nobody can tell what a manifest with a mistake describes."""
    repository.remove("two")
    (repository.path / "snapshot.yaml").write_text("kind: [")
    ended = repository.run("apply", "--yes", *NAMED)
    assert ended.code == 0
    assert "which have mistakes, may describe" in ended.text
    assert repository.shares() == ["one", "two"]


def test_destroy_with_a_file_destroys_what_that_file_describes(repository: Repository) -> None:
    """As whoever knows `kubectl delete -f` expects; without -f it is everything."""
    assert repository.run("destroy", "--yes", *NAMED).code == 0
    assert repository.shares() == ["two"]
    assert repository.run("destroy", "--yes").code == 0
    assert repository.shares() == []


def test_access_whose_document_was_not_named_is_not_taken_away(repository: Repository) -> None:
    """An AccessRule of the project is not taken for gone; the refusal says what to name, and with it the plan is empty."""
    rule = {"share": "one", "type": "ip", "to": "10.0.0.0/8", "level": "ro"}
    repository.write("rule.yaml", "AccessRule", "everybody", rule)
    repository.applied()
    refused = repository.run("apply", "--yes", *NAMED)
    assert refused.code == 1
    assert "access.not-named" in refused.text
    assert "(ip:10.0.0.0/8)" in refused.text
    assert len(orjson.loads(repository.on_backend("SELECT access FROM shares WHERE name = 'one'")[0])) == 1
    assert "No changes." in repository.run("plan", *NAMED, "-f", "rule.yaml").text


def test_a_backend_that_was_not_named_is_not_forgotten(repository: Repository) -> None:
    """The identity of its storage stays pinned, though nothing is on it."""
    (repository.path / "snapshot.yaml").unlink()
    for name in ("one", "two"):
        repository.remove(name)
    assert repository.run("apply", "--yes", "--allow-empty").code == 0
    repository.write("type.yaml", "ShareType", "gold", {"extraSpecs": {"driver_handles_share_servers": False}})
    assert repository.run("apply", "--yes", "-f", "type.yaml").code == 0
    assert "backend/sim" in repository.run("state", "list").text


def test_a_share_that_the_project_still_describes_is_not_renamed(repository: Repository) -> None:
    """The next plan of all manifests would make it anew, empty."""
    document = {
        "apiVersion": "sharectl/v1",
        "kind": "Share",
        "metadata": {"name": "other", "annotations": {"sharectl/moved-from": "two"}},
        "spec": {"size": "1GiB", "protocol": "NFS"},
    }
    elsewhere = repository.path.parent / "other.yaml"
    elsewhere.write_bytes(orjson.dumps(document))
    refused = repository.run("apply", "--yes", "-f", "backend.yaml", "-f", str(elsewhere))
    assert refused.code == 1
    assert "share/two still has a manifest" in refused.text
    assert "No changes." in repository.run("plan").text


def test_a_reference_out_of_the_named_files_says_what_to_name(repository: Repository) -> None:
    """With -f only those files are read."""
    repository.write("type.yaml", "ShareType", "gold", {"extraSpecs": {"driver_handles_share_servers": False}})
    repository.write_share("one", type="gold")
    refused = repository.run("plan", *NAMED)
    assert refused.code == 1
    assert (
        "with -f only the files that it names are read: name the one that describes it too, or leave -f out"
        in refused.text
    )
    assert repository.run("validate", *NAMED, "-f", "type.yaml").code == 0


def test_a_forecast_of_named_files_keeps_what_the_project_describes(repository: Repository) -> None:
    """The pools are shown as the apply of those files will leave them."""

    def after_plan(*files: str) -> object:
        ended = repository.run("pools", "--after-plan", "-o", "json", *files)
        (pool,) = orjson.loads(ended.text.partition("warning[")[0])["pools"]
        return pool["after_plan"]

    assert after_plan(*NAMED) == after_plan()


def test_an_explanation_of_named_files_follows_their_plan(repository: Repository) -> None:
    """A share that takes the name of one that the project still describes is refused there too, with the reason."""
    document = {
        "apiVersion": "sharectl/v1",
        "kind": "Share",
        "metadata": {"name": "other", "annotations": {"sharectl/moved-from": "two"}},
        "spec": {"size": "1GiB", "protocol": "NFS"},
    }
    elsewhere = repository.path.parent / "other.yaml"
    elsewhere.write_bytes(orjson.dumps(document))
    explained = repository.run("explain", "share/other", "-f", "backend.yaml", "-f", str(elsewhere))
    assert "share/two still has a manifest" in explained.text
