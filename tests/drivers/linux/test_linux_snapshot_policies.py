"""Snapshot policies through the command line, from manifests to what `show` tells of the snapshots that were taken."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sharectl.drivers.linux.agent.operations import open_backend
from sharectl.drivers.linux.settings import read_settings
from sharectl.model.backends import BackendSpec
from tests.drivers.linux.test_linux_scenario import backend_config, repository  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from tests.drivers.linux.lab import Network
    from tests.drivers.linux.repository import Repository

SHARE = {"size": "8 MiB", "protocol": "NFS", "type": "gold", "deletionPolicy": "delete"}
LATER = datetime(2100, 1, 1, 12, tzinfo=UTC)


def plan_of(repository: Repository) -> dict[str, Any]:  # noqa: F811 - the fixture
    """Return the plan as JSON; it must succeed."""
    done = repository.run("plan", "--output", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def shown(repository: Repository) -> dict[str, Any]:  # noqa: F811 - the fixture
    """Return what `show` tells of the share as JSON."""
    found: dict[str, Any] = json.loads(repository.run("show", "share/projects", "--output", "json").stdout)
    return found


def keep(lab_directory: str, network: Network) -> None:
    """Take what is due on a day to come, as who watches over the storage host would."""
    settings = read_settings(BackendSpec("nas", "linux", backend_config(lab_directory, network)), "/")
    with closing(open_backend(settings.for_agent())) as backend:
        assert backend.keep_snapshots(LATER) == []


def test_a_policy_from_manifests_to_what_is_shown(
    repository: Repository,  # noqa: F811 - the fixture
    lab_directory: str,
    network: Network,
) -> None:
    """By the share type, by the share, changed in place; what is taken is shown, is no drift, and is counted where it goes."""
    repository.write("ShareType", "gold", {"snapshotPolicy": {"hourly": {"keep": 24}}})
    repository.write("Share", "projects", SHARE)
    repository.write("Share", "other", {"size": "8 MiB", "protocol": "NFS"})
    repository.apply()
    assert plan_of(repository)["steps"] == []
    keep(lab_directory, network)
    observed = shown(repository)["observed"]
    assert observed["snapshot_policy"] == {"hourly": {"keep": 24}}
    assert (observed["scheduled_snapshots"]["number"], observed["scheduled_snapshots"]["newest"]) == (
        1,
        "2100-01-01T12:00:00+00:00",
    )
    text = repository.run("show", "share/projects").stdout
    assert 'snapshot policy {"hourly":{"keep":24}}' in text
    assert (
        "1 snapshot, the oldest of 2100-01-01T12:00:00+00:00, the newest of 2100-01-01T12:00:00+00:00; the next is due at"
        in text
    )
    assert shown(repository)["snapshots"] == []
    found = plan_of(repository)
    assert (found["steps"], found["drift"]) == ([], [])

    own = {"daily": {"keep": 7, "hour": 1}, "timeZone": "Europe/Berlin"}
    repository.write("Share", "projects", {**SHARE, "snapshotPolicy": own})
    (step,) = plan_of(repository)["steps"]
    after = {"daily": {"keep": 7, "hour": 1}, "time_zone": "Europe/Berlin"}
    assert step["changes"] == [{"field": "snapshot_policy", "before": {"hourly": {"keep": 24}}, "after": after}]
    repository.apply()
    assert plan_of(repository)["steps"] == []
    assert shown(repository)["observed"]["snapshot_policy"] == after

    repository.remove("Share", "projects")
    (step,) = plan_of(repository)["steps"]
    assert step["reason"].endswith("deletionPolicy delete, with its 1 scheduled snapshot")
    repository.apply()
    assert plan_of(repository)["steps"] == []


def test_with_nobody_to_take_them_each_plan_says_so(
    repository: Repository,  # noqa: F811 - the fixture
    lab_directory: str,
    network: Network,
) -> None:
    """Before the policy is in force, and after."""
    config = backend_config(lab_directory, network, supervisor="none")
    repository.write("Backend", "nas", {"driver": "linux", "config": config})
    repository.write("Share", "projects", {**SHARE, "type": "gold"})
    repository.write("ShareType", "gold", {})
    repository.apply()
    repository.write("ShareType", "gold", {"snapshotPolicy": {"hourly": {"keep": 24}}})
    assert [each["code"] for each in plan_of(repository)["diagnostics"]] == ["share.unscheduled"]
    repository.apply()
    (told,) = plan_of(repository)["diagnostics"]
    assert told["code"] == "backend.hindrance"
    assert "nobody takes the snapshots that are due by the policies of 1 share" in told["summary"]


def test_an_import_writes_the_policy_that_is_in_force(
    repository: Repository,  # noqa: F811 - the fixture
    lab_directory: str,
    network: Network,
) -> None:
    """Of a share that the state has lost."""
    del lab_directory, network
    repository.write(
        "Share", "projects", {"size": "8 MiB", "protocol": "NFS", "snapshotPolicy": {"hourly": {"keep": 3}}}
    )
    repository.apply()
    assert repository.run("state", "rm", "share/projects").returncode == 0
    repository.remove("Share", "projects")
    done = repository.run("import", "--backend", "nas", "--all", "--write", "imported", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    written = next((repository.folder / "imported").glob("*.yaml")).read_text(encoding="utf-8")
    assert "snapshotPolicy:\n    hourly:\n      keep: 3\n" in written
    assert plan_of(repository)["steps"] == []
