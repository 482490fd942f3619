"""What is refused is held, with what depends on it, and everything else is done; shown with the program itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from .repository import Repository

if TYPE_CHECKING:
    from pathlib import Path

OPEN = [{"type": "ip", "to": "10.0.0.1", "level": "rw"}, {"type": "ip", "to": "10.0.0.2", "level": "rw"}]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Return a repository with a backend and no shares."""
    made = Repository(tmp_path)
    made.write_backend()
    return made


def access(repository: Repository) -> list[str]:
    """Return whom the only share is open to on the backend."""
    (text,) = repository.on_backend("SELECT access FROM shares")
    return [rule["access_to"] if isinstance(rule, dict) else rule[1] for rule in orjson.loads(text)]


def test_access_is_taken_away_though_the_size_is_refused(repository: Repository) -> None:
    """Taking back "larger, and open to more" closes the share again, records its protection, and leaves its size."""
    repository.write_share("data", size="2GiB", access=OPEN)
    repository.applied()
    repository.write_share("data", size="1GiB", access=OPEN[:1], protect=True)
    planned = repository.run("plan")
    assert planned.code == 1
    assert "✗ share/data would shrink from 2GiB to 1GiB" in planned.text
    ended = repository.run("apply", "--yes")
    assert ended.code == 1
    assert "✗ share/data would shrink from 2GiB to 1GiB" in ended.text
    assert access(repository) == ["10.0.0.1"]
    assert repository.on_backend("SELECT size_bytes >> 30 FROM shares") == [2]
    assert orjson.loads(repository.run("state", "show", "share/data", "-o", "json").text)["resource"]["protect"] is True
    again = repository.run("apply", "--yes")
    assert again.code == 1
    assert "Nothing can be done: 1 resource is held." in again.text


def test_a_share_that_was_trashed_by_hand_holds_nobody_else_back(repository: Repository) -> None:
    """Its snapshot waits, its protection is recorded, and all other shares get what they want."""
    for name in ("gone", "other"):
        repository.write_share(name)
    repository.applied()
    repository.change_backend("UPDATE shares SET trashed_at = '2026-01-01T00:00:00Z' WHERE name = 'gone'")
    repository.write_share("gone", protect=True)
    repository.write_share("other", size="3GiB")
    repository.write("snapshot.yaml", "Snapshot", "monday", {"share": "gone"})
    ended = repository.run("apply", "--yes")
    assert ended.code == 1
    assert "has been in the trash of backend" in ended.text
    assert "snapshot/monday: depends on share/gone, which is held" in ended.text
    assert repository.on_backend("SELECT size_bytes >> 30 FROM shares WHERE name = 'other'") == [3]
    assert repository.on_backend("SELECT name FROM snapshots") == []
    assert orjson.loads(repository.run("state", "show", "share/gone", "-o", "json").text)["resource"]["protect"] is True


def test_a_saved_plan_carries_what_was_refused(repository: Repository) -> None:
    """It is written, does the rest, says again what is held, and ends with 1; one that is stopped is not written."""
    repository.write_share("small", size="2GiB")
    repository.applied()
    repository.write_share("small", size="1GiB")
    repository.write_share("new")
    assert repository.run("plan", "--out", "saved.plan").code == 1
    plain = orjson.loads((repository.path / "saved.plan").read_bytes())["plan"]
    assert plain["stopped"] is False
    assert [each["address"] for each in plain["held"]] == ["share/small"]
    ended = repository.run("apply", "saved.plan")
    assert ended.code == 1
    assert "✗ share/small would shrink from 2GiB to 1GiB" in ended.text
    assert repository.shares() == ["new", "small"]
    (repository.path / "saved.plan").unlink()
    for name in ("small", "new"):
        repository.remove(name)
    assert repository.run("plan", "--out", "saved.plan").code == 1
    assert not (repository.path / "saved.plan").exists()


def test_a_stop_holds_everything(repository: Repository) -> None:
    """An error that is about more than one address leaves nothing to be done, also of what is not refused."""
    for name in ("a", "b", "c", "d"):
        repository.write_share(name, deletionPolicy="delete")
    repository.applied()
    for name in ("a", "b", "c", "d"):
        repository.remove(name)
    repository.write_share("new")
    ended = repository.run("apply", "--yes")
    assert ended.code == 1
    assert "safety.deletions" in ended.text
    assert repository.shares() == ["a", "b", "c", "d"]


def test_removals_that_are_refused_count_for_the_limit(repository: Repository) -> None:
    """A folder that is lost with many protected shares in it does not slip the others below the limit."""
    for name in ("a", "b", "c"):
        repository.write_share(name, protect=True)
    repository.write_share("d", deletionPolicy="delete")
    repository.write_share("stays")
    repository.applied()
    for name in ("a", "b", "c", "d"):
        repository.remove(name)
    ended = repository.run("apply", "--yes")
    assert ended.code == 1
    assert "safety.deletions" in ended.text
    assert "d" in repository.shares()


def test_a_share_whose_removal_is_refused_keeps_its_snapshots(repository: Repository) -> None:
    """Their manifests went with that of the share, and nothing is left by half."""
    repository.write_share("data", deletionPolicy="delete", protect=True)
    repository.write("snapshot.yaml", "Snapshot", "monday", {"share": "data", "deletionPolicy": "delete"})
    repository.write_share("other", deletionPolicy="delete")
    repository.applied()
    ended = repository.run("destroy", "--yes")
    assert ended.code == 1
    assert repository.shares() == ["data"]
    assert repository.on_backend("SELECT name FROM snapshots") == ["monday"]


def test_a_new_share_falls_through_to_no_backend_that_was_left_out(repository: Repository) -> None:
    """It fails where it was to be, and the backend that was not named is not even prepared."""
    fault = {"call": "create_share", "effect": "error", "message": "no"}
    for name in ("fast", "archive"):
        config = {"stateFile": f"{name}.db", "faults": [fault] if name == "fast" else []}
        spec = {
            "driver": "simulated",
            "config": config,
            "capabilities": {"goodness_function": "90" if name == "fast" else "10"},
        }
        repository.write("other.yaml" if name == "fast" else "archive.yaml", "Backend", name, spec)
    (repository.path / "backend.yaml").unlink()
    repository.write_share("new")
    ended = repository.run("apply", "--yes", "--backend", "fast")
    assert ended.code == 1
    assert "create-share" in ended.text
    assert not (repository.path / "archive.db").exists()


def test_an_import_that_is_refused_writes_no_manifest(repository: Repository) -> None:
    """A manifest without the share that it was written for would make an empty one."""
    repository.write_share("held", protocol="CIFS")
    repository.write_share("other")
    repository.applied()
    repository.change_backend(
        "INSERT INTO shares(backend_id, name, pool, size_bytes, protocol) VALUES ('v1', 'v1', 'default', 1073741824, 'NFS')"
    )
    repository.write_share("new", protocol="CIFS")
    ended = repository.run("import", "share/new", "v1", "--backend", "sim", "--yes")
    assert ended.code == 1
    assert "import.protocol" in ended.text
    assert repository.shares() == ["held", "other", "v1"]
