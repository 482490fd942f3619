"""Names under which clients see shares, from the manifest to the export."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.console import Console

SIMULATED = """
apiVersion: sharectl/v1
kind: Backend
metadata: {name: sim}
spec: {driver: simulated, config: {stateFile: sim.db}}
"""
DIRECTORY = """
apiVersion: sharectl/v1
kind: Backend
metadata: {name: sim}
spec: {driver: directory, config: {root: storage, exportHost: nas}}
"""


def share(name: str, export_name: str | None, **more: str) -> str:
    """Return the manifest of a CIFS share."""
    fields = {"size": "1GiB", "protocol": "CIFS", "deletionPolicy": "delete", **more}
    if export_name is not None:
        fields["exportName"] = f'"{export_name}"'
    lines = "".join(f"  {key}: {value}\n" for key, value in fields.items())
    access = "  access: [{type: user, to: alice, level: rw}]\n"
    return f"---\napiVersion: sharectl/v1\nkind: Share\nmetadata: {{name: {name}}}\nspec:\n{lines}{access}"


@pytest.fixture(params=[SIMULATED, DIRECTORY], ids=["simulated", "directory"])
def repository(request: pytest.FixtureRequest, console: Console) -> Console:
    """Return a console in a repository with one backend, of each driver that needs no servers."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    console.write("backend.yaml", request.param)
    return console


def flat(text: str) -> str:
    """Return text without its breaks."""
    return " ".join(text.split())


def test_a_share_has_the_name_that_its_manifest_says(repository: Console) -> None:
    """It is in the export location; the next plan is empty."""
    repository.write("a.yaml", share("marketing", "Marketing Team"))
    assert repository("apply", "--yes").code == 0
    assert "\\Marketing Team" in repository("show", "share/marketing").out
    assert repository("plan", "--detailed-exitcode").code == 0


def test_a_changed_name_is_changed_in_place(repository: Console) -> None:
    """Added, changed and removed; the plan says that clients mount anew, and a saved one does what it shows."""
    repository.write("a.yaml", share("marketing", None))
    assert repository("apply", "--yes").code == 0
    for name in ("Marketing Team", "Team", None):
        repository.write("a.yaml", share("marketing", name))
        planned = repository("plan", "--out", "saved.plan")
        assert f"clients have to mount it anew, as '{name or 'marketing'}'" in flat(planned.out)
        assert repository("apply", "saved.plan").code == 0
        assert f"\\{name or 'marketing'}" in repository("show", "share/marketing").out
        assert repository("plan", "--detailed-exitcode").code == 0


def test_two_shares_of_one_name_are_refused_with_both_places(repository: Console) -> None:
    """Declared together, beside one that is there, and where a new one is called as another is exported."""
    repository.write("a.yaml", share("a", "Marketing Team"))
    repository.write("b.yaml", share("b", "MARKETING team"))
    planned = repository("plan")
    assert planned.code == 1
    assert "share/b cannot be exported as 'MARKETING team' on backend sim: share/a (a.yaml:" in flat(planned.err)
    assert "b.yaml:" in planned.err
    repository("apply", "--yes")
    repository.write("b.yaml", share("b", None))
    assert repository("apply", "--yes").code == 0
    repository.write("b.yaml", share("b", "marketing TEAM"))
    assert "share/a (a.yaml:" in flat(repository("plan").err)
    repository.write("b.yaml", share("b", "team"))
    assert repository("apply", "--yes").code == 0
    repository.write("c.yaml", share("team", None))
    assert "share/team cannot be exported as 'team' on backend sim: share/b (b.yaml:" in flat(repository("plan").err)


def test_rules_are_taken_away_although_the_new_name_is_taken(repository: Console) -> None:
    """A name that cannot be had holds nothing else back."""
    repository.write("a.yaml", share("a", "Marketing"))
    repository.write("b.yaml", share("b", None).replace("alice", "bob"))
    assert repository("apply", "--yes").code == 0
    repository.write("b.yaml", share("b", "Marketing").replace("alice", "carol"))
    assert repository("apply", "--yes").code == 1
    shown = repository("show", "share/b").out
    assert "carol" in shown
    assert "bob" not in shown


def test_a_name_that_no_server_takes_is_refused_at_its_place(repository: Console) -> None:
    """By validate already."""
    repository.write("a.yaml", share("a", "a/b"))
    refused = repository("validate")
    assert refused.code == 1
    assert "error[manifest.export-name]" in refused.err
    assert "a.yaml:" in refused.err


def test_a_reserved_name_of_the_share_is_no_matter_where_clients_see_another(repository: Console) -> None:
    """And without one, the way out is said."""
    repository.write("a.yaml", share("homes", None))
    assert "spec.exportName" in flat(repository("validate").err)
    repository.write("a.yaml", share("homes", "Home Folders"))
    assert repository("apply", "--yes").code == 0
    assert "\\Home Folders" in repository("show", "share/homes").out


def test_a_name_that_was_changed_on_the_backend_is_changed_back(console: Console) -> None:
    """It is drift, and shown."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    console.write("backend.yaml", SIMULATED)
    console.write("a.yaml", share("a", "Marketing"))
    assert console("apply", "--yes").code == 0
    with closing(sqlite3.connect(console.root / "sim.db")) as connection, connection:
        connection.execute("UPDATE shares SET export_name = 'Mine', export_key = 'mine'")
    planned = console("plan", "--detailed-exitcode")
    assert planned.code == 2
    assert "its export was renamed on the backend" in flat(planned.out)
    (drift,) = json.loads(console("plan", "--output", "json").out)["drift"]
    assert drift["repaired_by"] == "update-access:share/a"
    assert console("apply", "--yes").code == 0
    assert console("plan", "--detailed-exitcode").code == 0
    assert "\\Marketing" in console("show", "share/a").out


def test_a_replacement_does_not_take_the_name_before_it_is_free(console: Console) -> None:
    """The new share is made first, and the old one still has the name."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    console.write("backend.yaml", SIMULATED)
    console.write("a.yaml", share("a", "Marketing"))
    assert console("apply", "--yes").code == 0
    console.write("a.yaml", share("a", "Marketing", availabilityZone="other", replacement="createFirst"))
    console.write("backend.yaml", SIMULATED.replace("driver: simulated", "availabilityZone: other, driver: simulated"))
    planned = console("plan", "--replace", "share/a")
    assert "the share that it replaces is exported as 'Marketing' there" in flat(planned.err)
    assert console("apply", "--yes", "--replace", "share/a").code == 1
    assert "\\Marketing" in console("show", "share/a").out


def test_a_folder_over_nfs_has_no_other_name(console: Console) -> None:
    """The directory driver says so before anything is made."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    console.write("backend.yaml", DIRECTORY)
    text = share("a", "Marketing", protocol="NFS").replace("{type: user, to: alice,", "{type: ip, to: 10.0.0.1,")
    console.write("a.yaml", text)
    refused = console("plan")
    assert refused.code == 1
    assert "under their own paths alone" in flat(refused.err)
