"""Taking over what exists: afterwards the next plan is empty, and nothing was touched."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from sharectl.manifests.names import is_name, safe_name, why_not_exportable
from tests.cli.conftest import SIMULATED

if TYPE_CHECKING:
    from tests.cli.console import Console

BACKEND_ONLY = SIMULATED.partition("---")[0]


def stray(
    console: Console, name: str, *, size: int | None = 5 << 30, protocol: str | None = "NFS", access: str = "[]"
) -> None:
    """Put a share on the simulated backend that sharectl did not make."""
    with closing(sqlite3.connect(console.root / "sim.db")) as connection, connection:
        connection.execute(
            "INSERT INTO shares (backend_id, resource_id, name, pool, size_bytes, protocol, access, used_bytes) "
            "VALUES (?, NULL, ?, 'gold1', ?, ?, ?, 0)",
            (f"gold1/{name}", name, size, protocol, access),
        )


def test_everything_on_a_backend(applied: Console) -> None:
    """Each gets a manifest with its size, protocol and rules; the next plan is empty, and a second import finds nothing."""
    stray(applied, "alpha", access='[["ip", "10.1.0.0/16", "ro"]]')
    stray(applied, "beta", size=None, protocol=None)
    ended = applied(
        "import", "--backend", "sim", "--all", "--write", "taken", "--yes", "--size", "7GiB", "--protocol", "CIFS"
    )
    assert ended.code == 0, ended.err
    assert "warning[import.chosen]" in ended.err
    assert "share/beta" in ended.err
    text = (applied.root / "taken" / "imported-sim.yaml").read_text(encoding="utf-8")
    assert "10.1.0.0/16" in text
    assert "size: 7GiB\n  protocol: CIFS" in text
    planned = applied("plan", "--detailed-exitcode")
    assert planned.code == 0, planned.out
    again = applied("import", "--backend", "sim", "--all", "--write", "taken", "--yes")
    assert again.code == 0
    assert "holds nothing that the state does not know" in again.err


def test_a_rule_that_no_manifest_can_hold_is_named_and_left_out(applied: Console) -> None:
    """What can be written otherwise is; the manifests are valid, and the next plan ends the access of the others."""
    rules = '[["ip", "*", "rw"], ["ip", "0.0.0.0", "rw"], ["ip", "::ffff:10.1.2.3", "ro"], ["ip", "10.1.0.0/16", "rw"]]'
    stray(applied, "alpha", access=rules)
    ended = applied("import", "--backend", "sim", "--all", "--write", "taken", "--yes")
    assert ended.code == 1, ended.err
    assert "the access rule ip:* rw of gold1/alpha on backend sim cannot be written in a manifest" in ended.err
    assert "the access rule ip:0.0.0.0 rw of gold1/alpha" in ended.err
    text = (applied.root / "taken" / "imported-sim.yaml").read_text(encoding="utf-8")
    assert "# Left out: the access rule ip:* rw" in text
    assert "10.1.0.0/16" in text
    assert "to: 10.1.2.3" in text
    assert applied("validate").code == 0
    planned = applied("plan").out
    assert "- access ip:* rw" in planned
    assert "- access ip:0.0.0.0 rw" in planned


def test_nothing_to_import_plans_nothing_else(simulated: Console) -> None:
    """An import never does what `apply` would do."""
    ended = simulated("import", "--backend", "sim", "--all", "--write", "taken", "--yes")
    assert ended.code == 0
    assert "holds nothing" in ended.err
    assert not (simulated.root / "sim.db").exists()


def test_a_second_import_writes_a_second_file(applied: Console) -> None:
    """No manifest is overwritten."""
    for name in ("alpha", "beta", "gamma"):
        stray(applied, name)
        assert applied("import", "--backend", "sim", "--all", "--write", "taken", "--yes").code == 0
    names = {path.name for path in (applied.root / "taken").iterdir()}
    assert names == {"imported-sim.yaml", "imported-sim-2.yaml", "imported-sim-3.yaml"}
    assert applied("plan", "--detailed-exitcode").code == 0


def test_names_that_are_taken(applied: Console) -> None:
    """A share of a name that the state has gets another; so does the second of two whose names come to the same."""
    stray(applied, "One")
    stray(applied, "A B")
    stray(applied, "a-b")
    stray(applied, "snap")
    applied.write(
        "more.yaml",
        "apiVersion: sharectl/v1\nkind: Share\nmetadata: {name: snap}\nspec: {size: 1GiB, protocol: CIFS}\n",
    )
    ended = applied("import", "--backend", "sim", "--all", "--write", "taken", "--yes")
    assert ended.code == 0, ended.err
    listed = applied("state", "list").out
    for address in ("share/one-2", "share/a-b", "share/a-b-2", "share/snap-2"):
        assert address in listed
    assert "share/snap " not in listed  # its manifest says CIFS: another share is meant


def test_a_share_that_differs_from_the_manifest_of_its_name(applied: Console) -> None:
    """It is taken over as it is, and the difference that the next apply would undo is said before."""
    stray(applied, "alpha", access='[["ip", "10.1.0.0/16", "ro"]]')
    applied.write(
        "more.yaml",
        "apiVersion: sharectl/v1\nkind: Share\nmetadata: {name: alpha}\nspec: {size: 6GiB, protocol: NFS}\n",
    )
    ended = applied("import", "share/alpha", "gold1/alpha", "--yes")
    assert ended.code == 0
    assert "its size is 5GiB, not 6GiB and its access rules are others" in ended.err
    assert "--> more.yaml:3:" in ended.err
    planned = applied("plan").out
    assert "5GiB → 6GiB" in planned


def test_one_share_gets_its_manifest_written(applied: Console) -> None:
    """Into a file of its name."""
    stray(applied, "alpha")
    refused = applied("import", "share/first", "gold1/alpha", "--yes")
    assert refused.code == 1
    assert "share/first has no manifest" in refused.err
    assert "--write DIR" in refused.err
    stray(applied, "beta")
    refused = applied("import", "--all", "--backend", "sim", "--yes")
    assert refused.code == 1
    assert "2 shares have no manifest, the first of them share/alpha" in refused.err
    assert applied("import", "share/first", "gold1/alpha", "--write", "taken", "--yes").code == 0
    assert "name: first" in (applied.root / "taken" / "first.yaml").read_text(encoding="utf-8")
    assert applied("plan", "--detailed-exitcode").code == 0


def test_a_refused_import_leaves_no_file(applied: Console) -> None:
    """Manifests are written only once the import has been agreed to."""
    stray(applied, "alpha")
    ended = applied("import", "--backend", "sim", "--all", "--write", "taken")
    assert ended.code == 64
    assert "< share/alpha" in ended.out
    assert not (applied.root / "taken").exists()


def test_manifests_outside_the_project_are_warned_of(console: Console) -> None:
    """What the next plan does not read, it would forget."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\nspec: {manifests: [inside]}\n")
    console.write("inside/sim.yaml", SIMULATED)
    assert console("apply", "--yes").code == 0
    stray(console, "alpha")
    for folder, warned in (("inside/.hidden", True), ("outside", True), ("inside/deep", False)):
        ended = console("import", "--backend", "sim", "--all", "--write", folder)
        assert ended.code == 64
        assert ("warning[import.outside]" in ended.err) is warned
    assert console("import", "--backend", "sim", "--all", "--write", "outside", "--yes").code == 0
    assert console("plan", "-f", "inside", "-f", "outside", "--detailed-exitcode").code == 0


def test_a_folder_that_cannot_be_written(applied: Console) -> None:
    """Nothing is taken over without its manifest."""
    stray(applied, "alpha")
    applied.write("file", "")
    ended = applied("import", "--backend", "sim", "--all", "--write", "file/x", "--yes")
    assert ended.code == 1
    assert "nothing was taken over" in ended.err
    assert "share/alpha" not in applied("state", "list").out


def test_manifests_that_cannot_stand_beside_the_others(applied: Console) -> None:
    """Mistakes in what is there already end the import before anything is written."""
    stray(applied, "alpha")
    applied.write("bad.yaml", "kind: [")
    assert applied("import", "--backend", "sim", "--all", "--write", "taken", "--yes").code == 1
    assert not (applied.root / "taken").exists()


def test_a_share_that_is_managed_already_is_named(applied: Console) -> None:
    """With the address that has it, and the way to rename it."""
    ended = applied("import", "share/other", "gold1/one")
    assert ended.code == 1
    assert "is share/one in the state already" in ended.err
    assert "sharectl state mv share/one share/other" in ended.err


def test_an_unknown_id_is_answered_with_what_there_is(applied: Console) -> None:
    """The nearest, or the first few."""
    for number in range(10):
        stray(applied, f"stray{number}")
    assert 'did you mean "gold1/stray1"?' in applied("import", "share/x", "gold1/stray1x").err
    ended = applied("import", "share/x", "zzzzzz")
    assert "there are: gold1/stray0" in ended.err
    assert "and 2 more" in ended.err


def test_the_same_id_on_two_backends(applied: Console) -> None:
    """Has to be told apart with --backend."""
    applied.write("second.yaml", BACKEND_ONLY.replace("name: sim", "name: sim2").replace("sim.db", "sim2.db"))
    applied.write(
        "more.yaml",
        "apiVersion: sharectl/v1\nkind: Share\nmetadata: {name: alpha}\nspec: {size: 5GiB, protocol: NFS}\n",
    )
    assert applied("apply", "--yes", "--target", "backend/sim2").code in {0, 1}
    assert applied("apply", "--yes", "--exclude", "share/alpha").code == 0
    stray(applied, "alpha")
    with closing(sqlite3.connect(applied.root / "sim2.db")) as connection, connection:
        connection.execute(
            "INSERT INTO shares (backend_id, resource_id, name, pool, size_bytes, protocol, access, used_bytes) "
            "VALUES ('gold1/alpha', NULL, 'alpha', 'gold1', 1, 'NFS', '[]', 0)"
        )
    ended = applied("import", "share/alpha", "gold1/alpha", "--yes")
    assert ended.code == 1
    assert "several backends hold a share 'gold1/alpha': sim, sim2" in ended.err
    assert applied("import", "share/alpha", "gold1/alpha", "--backend", "sim", "--yes").code == 0
    assert applied("plan", "--detailed-exitcode").code == 0


def test_unmanaged_directories(quickstart: Console) -> None:
    """The directory driver knows neither size nor protocol of what somebody else has made; the data stays as it is."""
    assert quickstart("apply", "--yes").code == 0
    for name in ("old data", "CON", "x"):
        (quickstart.root / "storage" / name).mkdir()
    (quickstart.root / "storage" / "x" / "file").write_text("precious", encoding="utf-8")
    assert quickstart("import", "--backend", "local", "--all", "--write", "shares", "--yes").code == 0
    assert quickstart("plan", "--detailed-exitcode").code == 0
    listed = quickstart("state", "list").out
    for address in ("share/old-data", "share/share-con", "share/x"):
        assert address in listed
    assert (quickstart.root / "storage" / "x" / "file").read_text(encoding="utf-8") == "precious"


@pytest.mark.parametrize(
    ("found", "name"),
    [
        ("Projects 2024", "projects-2024"),
        ("..", "share"),
        ("ü", "u"),
        ("Büro Straße", "buro-strasse"),
        ("日", "share"),
        ("a..b", "a.b"),
        ("con", "share-con"),
        ("x" * 80, "x" * 63),
        ("x" * 62 + "-y", "x" * 62),
        ("homes", "share-homes"),
    ],
)
def test_names_from_backends_become_names_of_manifests(found: str, name: str) -> None:
    """As near as can be, and such that every file system and export takes them."""
    assert safe_name(found) == name
    assert is_name(name)
    assert not why_not_exportable(name)


def test_the_name_that_clients_know_is_written(quickstart: Console) -> None:
    """Where no manifest can have it as its own; the next plan is empty, and the share is exported as before."""
    (quickstart.root / "storage" / "Marketing Team").mkdir(parents=True)
    imported = ("import", "--backend", "local", "--all", "--write", "shares", "--yes", "--protocol", "CIFS")
    assert quickstart(*imported).code == 0
    text = (quickstart.root / "shares" / "imported-local.yaml").read_text(encoding="utf-8")
    assert "name: marketing-team" in text
    assert "exportName: Marketing Team" in text
    planned = quickstart("plan", "--target", "share/marketing-team", "--detailed-exitcode")
    assert planned.code == 0, planned.out
