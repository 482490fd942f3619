"""`state backup` and `state restore` of it: for a state in a file and for one in a database."""

from __future__ import annotations

import shutil
import stat
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson
import pytest

from sharectl.model.records import BeginOperation
from sharectl.model.state_urls import url_of_file
from sharectl.state.stores import open_store
from sharectl.state.testing.samples import ALICE, document_of, make_operation
from tests.cli.test_postgresql_state import PROJECT

if TYPE_CHECKING:
    from tests.cli.console import Console

STORES: Final = ("sqlite", "postgresql")


@pytest.fixture(params=STORES)
def kept_in(request: pytest.FixtureRequest, simulated: Console) -> Console:
    """Return an applied repository with its state in each kind of store."""
    url = "sqlite:.sharectl/state.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql").url()
    simulated.write("sharectl.yaml", PROJECT.format(url=url))
    assert simulated("apply", "--yes").code == 0
    return simulated


def backup(console: Console, *to: str) -> Path:
    """Make a backup; return the path that is printed."""
    ended = console("state", "backup", *(("--to", *to) if to else ()))
    assert ended.code == 0, ended.err
    return Path(ended.out.strip())


def held(console: Console) -> dict[str, object]:
    """Return what the state holds, but for the runs that did nothing to it, and its serial."""
    document = orjson.loads(console("state", "pull").out)
    return {name: document[name] for name in ("lineage", "resources", "rules", "operations")}


def test_a_backup_is_the_state_in_one_private_file(kept_in: Console) -> None:
    """It opens by itself, whatever the state is kept in, and holds what `state pull` shows."""
    (kept_in.root / "to").mkdir()
    made = backup(kept_in, "to")
    assert list((kept_in.root / "to").iterdir()) == [made]
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    with closing(open_store(url_of_file(made), create=False)) as store:
        assert document_of(store) == kept_in("state", "pull").out.encode()


def test_a_lost_state_is_brought_back_from_a_backup(kept_in: Console, request: pytest.FixtureRequest) -> None:
    """To its own place, and into a store of the other kind; nothing is to be done then."""
    before = held(kept_in)
    made = backup(kept_in, "state.backup")
    shutil.rmtree(kept_in.root / ".sharectl", ignore_errors=True)
    fresh = [PROJECT.format(url="sqlite:.sharectl/state.db")]
    fresh += [PROJECT.format(url=request.getfixturevalue("postgresql").url())]
    for project in fresh:
        kept_in.write("sharectl.yaml", project)
        restored = kept_in("state", "restore", "state.backup", "--yes")
        assert (restored.code, held(kept_in)) == (0, before), restored.err
        assert kept_in("plan", "--detailed-exitcode").code == 0
    assert made.name == "state.backup"


def test_a_restore_does_not_go_back_without_being_told(kept_in: Console) -> None:
    """What was done since the backup would be forgotten: nothing changes, unless that is insisted on."""
    before = held(kept_in)
    backup(kept_in, "state.backup")
    assert kept_in("state", "rm", "share/one").code == 0
    after = held(kept_in)
    refused = kept_in("state", "restore", "state.backup", "--yes")
    assert (refused.code, "it is older" in refused.err, held(kept_in)) == (1, True, after)
    assert kept_in("state", "restore", "state.backup", "--yes", "--force").code == 0
    assert held(kept_in) == before


def test_a_backup_of_another_state_is_not_restored(kept_in: Console, request: pytest.FixtureRequest) -> None:
    """Unless that is insisted on."""
    backup(kept_in, "state.backup")
    (kept_in.root / "sim.db").unlink()
    shutil.rmtree(kept_in.root / ".sharectl", ignore_errors=True)
    kept_in.write("sharectl.yaml", PROJECT.format(url=request.getfixturevalue("postgresql").url()))
    assert kept_in("apply", "--yes").code == 0
    before = held(kept_in)
    refused = kept_in("state", "restore", "state.backup", "--yes")
    assert (refused.code, "another state" in refused.err, held(kept_in)) == (1, True, before)


def test_a_later_backup_takes_the_place_of_an_earlier_one(kept_in: Console) -> None:
    """In the file that is named; an earlier one never that of a later."""
    earlier = backup(kept_in, "state.backup").read_bytes()
    assert kept_in("state", "rm", "share/one").code == 0
    later = backup(kept_in, "state.backup").read_bytes()
    assert later != earlier
    (kept_in.root / "older.backup").write_bytes(earlier)
    assert kept_in("state", "restore", "older.backup", "--yes", "--force").code == 0
    refused = kept_in("state", "backup", "--to", "state.backup")
    assert (refused.code, "state.taken" in refused.err) == (1, True)
    assert (kept_in.root / "state.backup").read_bytes() == later


def test_nothing_else_is_replaced(kept_in: Console, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No other file, no backup of another state, no state that is worked with; and no half of a file is left."""
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(kept_in.root, other, dirs_exist_ok=True, ignore=shutil.ignore_patterns("sim.db*", ".sharectl"))
    console = type(kept_in)(other, kept_in.capture)
    console.write("sharectl.yaml", PROJECT.format(url="sqlite:.sharectl/state.db"))
    assert console("apply", "--yes").code == 0
    backup(console, "foreign.backup")
    with closing(open_store(url_of_file(kept_in.root / "same.db"), create=True)) as same:
        lease = same.acquire(ALICE, duration_seconds=60)
        same.import_document(lease, kept_in("state", "pull").out.encode())
        same.release(lease)
    taken = [
        kept_in.root / "all.yaml",
        other / "foreign.backup",
        other / ".sharectl" / "state.db",
        kept_in.root / "same.db",
    ]
    if (kept_in.root / ".sharectl" / "state.db").exists():
        taken.append(kept_in.root / ".sharectl" / "state.db")
    for path in taken:
        before = path.read_bytes()
        refused = kept_in("state", "backup", "--to", str(path))
        assert (refused.code, "state.taken" in refused.err, path.read_bytes() == before) == (1, True, True), path
    assert not list(kept_in.root.rglob("*.draft*"))
    assert kept_in("plan", "--detailed-exitcode").code == 0


def test_without_a_place_it_joins_the_copies(kept_in: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    """`state restore` lists it and brings it back, also of a state in a database, which keeps no copies by itself."""
    monkeypatch.setenv("XDG_STATE_HOME", str(kept_in.root / "copies"))
    made = backup(kept_in)
    assert backup(kept_in) == made
    (listed,) = orjson.loads(kept_in("state", "restore", "-o", "json").out)["copies"]
    assert (listed["path"], listed["of_this_project"]) == (str(made), True)
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    before = held(kept_in)
    assert kept_in("state", "rm", "share/one").code == 0
    assert kept_in("state", "restore", listed["name"], "--yes", "--force").code == 0
    assert held(kept_in) == before


@pytest.mark.parametrize("command", ["backup", "rm"])
def test_the_newest_copy_stays_where_the_clock_was_set_back(
    applied: Console, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """One that was taken by a clock that ran ahead goes instead: neither what a backup printed nor the copy after a change."""
    monkeypatch.setenv("XDG_STATE_HOME", str(applied.root / "copies"))
    applied.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\nspec: {state: {copies: {keep: 1}}}\n")
    ahead = backup(applied).rename(next((applied.root / "copies").rglob("*.db")).with_name("29991231T235959Z-1.db"))
    monkeypatch.setenv("XDG_STATE_HOME", str(applied.root / ("elsewhere" if command == "backup" else "copies")))
    assert applied("state", "rm", "share/one").code == 0
    monkeypatch.setenv("XDG_STATE_HOME", str(applied.root / "copies"))
    made = backup(applied) if command == "backup" else next(iter(ahead.parent.glob("*.db")))
    assert list(ahead.parent.glob("*.db")) == [made] != [ahead]


def test_a_backup_may_have_any_name(applied: Console) -> None:
    """Also one with what looks like a time and is none: it is restored all the same."""
    made = backup(applied, "99999999T999999Z.db")
    restored = applied("state", "restore", made.name, "--yes")
    assert (restored.code, "holds just that" in restored.err) == (0, True)


def test_where_no_copies_are_kept_a_place_is_asked_for(simulated: Console) -> None:
    """`keep: 0`."""
    simulated.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\nspec: {state: {copies: {keep: 0}}}\n")
    assert simulated("apply", "--yes").code == 0
    refused = simulated("state", "backup")
    assert (refused.code, "--to" in refused.err) == (1, True)


def test_a_backup_beside_an_apply_holds_what_it_has_begun(kept_in: Console) -> None:
    """It waits for no lock, and has the open intents, which are open again after a restore."""
    url = (kept_in.root / "sharectl.yaml").read_text().split("'")[1].replace("sqlite:", f"sqlite:{kept_in.root}/")
    with closing(open_store(url, create=True)) as store:
        lease = store.acquire(ALICE, duration_seconds=600)
        store.commit(lease, [BeginOperation(make_operation())])
        backup(kept_in, "state.backup")
        store.release(lease)
    kept_in.write("sharectl.yaml", PROJECT.format(url="sqlite:restored.db"))
    assert kept_in("state", "restore", "state.backup", "--yes").code == 0
    (operation,) = orjson.loads(kept_in("state", "operations", "-o", "json").out)["operations"]
    assert operation["operation_id"] == make_operation().operation_id
    assert kept_in("lock", "status").out == "Nobody holds the lock.\n"


def test_a_folder_that_is_missing_is_named(applied: Console) -> None:
    """With the system's reason."""
    refused = applied("state", "backup", "--to", "missing/state.backup")
    assert (refused.code, "missing" in refused.err, "No such file" in refused.err) == (1, True, True)


def test_what_is_no_backup_is_not_restored(applied: Console) -> None:
    """Neither a manifest nor a document nor a file that is cut off."""
    made = backup(applied, "state.backup")
    applied.write("state.json", applied("state", "pull").out)
    (applied.root / "cut.backup").write_bytes(made.read_bytes()[:5000])
    before = held(applied)
    for name in ("all.yaml", "state.json", "cut.backup"):
        refused = applied("state", "restore", name, "--yes", "--force")
        assert (refused.code, "error[state." in refused.err, held(applied)) == (1, True, before)
