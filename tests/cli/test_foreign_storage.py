"""Storage that the state does not know: a lost state, another project's, and names that are taken."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import SIMULATED
from tests.cli.console import Console
from tests.cli.test_import import stray

if TYPE_CHECKING:
    from pathlib import Path

SHARE = "apiVersion: sharectl/v1\nkind: Share\nmetadata: {{name: {name}}}\nspec: {{size: 1GiB, protocol: NFS}}\n"
FOLDERS = """\
apiVersion: sharectl/v1
kind: Backend
metadata: {name: nas}
spec: {driver: directory, config: {root: storage, pools: {p1: p1, p2: p2}}}
"""


def on_backend(console: Console, query: str) -> list[object]:
    """Return the first column of a query to the simulated backend."""
    with closing(sqlite3.connect(console.root / "sim.db")) as connection:
        return [row[0] for row in connection.execute(query)]


@pytest.fixture
def lost(applied: Console) -> Console:
    """Return an applied repository whose state has gone."""
    shutil.rmtree(applied.root / ".sharectl")
    return applied


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--refresh", "none"),
        ("--refresh", "changed"),
        ("--target", "share/one"),
        ("--target", "share/one", "--refresh", "none"),
        ("--backend", "other"),
        ("--exclude", "share/one"),
        ("--label", "team=a"),
    ],
)
def test_a_lost_state_stops_the_plan_whatever_is_asked_of_it(lost: Console, words: tuple[str, ...]) -> None:
    """Shares of sharectl on a backend that the state does not know stop plan and apply, with both ways out; nothing is made."""
    lost.write(
        "other.yaml", SIMULATED.partition("---")[0].replace("name: sim", "name: other").replace("sim.db", "o.db")
    )
    planned = lost("plan", *words)
    assert planned.code == 1
    assert "error[backend.foreign]" in planned.err
    assert "2 shares and 1 snapshot that sharectl made" in planned.err
    assert "sharectl import --backend sim --all" in planned.err
    assert lost("apply", "--yes", *words).code == 1
    assert on_backend(lost, "SELECT count(*) FROM shares") == [2]
    assert not (lost.root / "o.db").exists()


def test_shares_in_the_trash_alone_stop_the_plan_too(applied: Console) -> None:
    """What was put aside is somebody's data as well."""
    (applied.root / "all.yaml").write_text(SIMULATED.partition("---")[0], encoding="utf-8")
    assert applied("apply", "--yes", "--allow-empty", "--allow-deletions", "9").code == 0
    shutil.rmtree(applied.root / ".sharectl")
    planned = applied("plan")
    assert planned.code == 1
    assert "holds 2 shares in its trash that sharectl made" in planned.err


def test_two_projects_may_share_a_backend_which_is_asked_once(lost: Console) -> None:
    """`--allow-shared` lets another state use it; once that is applied, the state knows the backend."""
    lost.write("all.yaml", SIMULATED.partition("---")[0])
    lost.write("new.yaml", SHARE.format(name="fresh"))
    assert lost("apply", "--yes").code == 1
    assert lost("apply", "--yes", "--allow-shared", "nowhere").code == 1
    assert lost("apply", "--yes", "--allow-shared", "sim").code == 0
    lost.write("newer.yaml", SHARE.format(name="fresher"))
    assert lost("apply", "--yes").code == 0
    assert on_backend(lost, "SELECT count(*) FROM shares") == [4]


def test_a_share_of_another_state_is_in_the_way_of_one_of_its_name(lost: Console) -> None:
    """On a backend that both use, the second share of a name is refused, not called something else."""
    refused = lost("apply", "--yes", "--allow-shared", "sim")
    assert refused.code == 1
    assert "error[share.in-the-way]" in refused.err
    assert "or was made after the backup that this state was restored from" in refused.err
    assert "sharectl import share/one gold1/one --backend sim" in refused.err
    assert on_backend(lost, "SELECT count(*) FROM shares WHERE name = 'one'") == [1]


def test_a_share_of_another_state_that_came_after_the_plan_is_in_the_way_at_apply(applied: Console) -> None:
    """Its name is taken on the backend by then: the step is refused there, and no share of another name is made beside it."""
    applied.write("more.yaml", SHARE.format(name="late"))
    assert applied("plan", "--out", "saved").code == 0
    other = Console(applied.root.parent / "other", applied.capture)
    backend = SIMULATED.partition("---")[0].replace("sim.db", str(applied.root / "sim.db"))
    other.write("all.yaml", f"{backend}---\n{SHARE.format(name='late')}")
    assert other("apply", "--yes", "--allow-shared", "sim").code == 0
    refused = applied("apply", "saved")
    assert refused.code == 1
    assert "a share called 'late' has been made there since the plan was made" in refused.err
    assert on_backend(applied, "SELECT count(*) FROM shares WHERE name = 'late'") == [1]
    assert "error[share.in-the-way]" in applied("plan").err


@pytest.mark.parametrize("words", [(), ("--refresh", "none"), ("--refresh", "changed"), ("--target", "share/alpha")])
def test_an_unmanaged_share_is_in_the_way_on_any_backend(applied: Console, words: tuple[str, ...]) -> None:
    """Also where the new share would be made somewhere else, and whatever part of the plan is asked for."""
    stray(applied, "Alpha")
    second = SIMULATED.partition("---")[0].replace("name: sim", "name: fast").replace("sim.db", "fast.db")
    applied.write("fast.yaml", second)
    applied.write("more.yaml", SHARE.format(name="alpha"))
    planned = applied("plan", *words)
    assert planned.code == 1
    assert "error[share.in-the-way]" in planned.err
    assert "sharectl import share/alpha gold1/Alpha --backend sim" in planned.err
    assert "--> more.yaml:3:" in planned.err


def test_a_forgotten_share_whose_manifest_comes_back_is_not_made_a_second_time(applied: Console) -> None:
    """`retain` left it there: it is imported again, and has its data."""
    applied.write("more.yaml", SHARE.format(name="kept"))
    assert applied("apply", "--yes").code == 0
    (applied.root / "more.yaml").unlink()
    assert applied("apply", "--yes").code == 0
    applied.write("more.yaml", SHARE.format(name="kept"))
    refused = applied("apply", "--yes")
    assert refused.code == 1
    assert "deletionPolicy retain" in refused.err
    assert applied("import", "share/kept", "gold1/kept", "--yes").code == 0
    assert applied("plan", "--detailed-exitcode").code == 0
    assert on_backend(applied, "SELECT count(*) FROM shares WHERE name = 'kept'") == [1]


def test_an_import_of_what_another_state_has_is_told_before_it_is_agreed_to(applied: Console) -> None:
    """Nobody here knows whether that state lives; storage that sharectl did not make is nobody's."""
    other = Console(applied.root.parent / "importer", applied.capture)
    backend = SIMULATED.partition("---")[0].replace("sim.db", str(applied.root / "sim.db"))
    other.write("all.yaml", f"{backend}---\n{SHARE.format(name='mine')}")
    assert other("apply", "--yes", "--allow-shared", "sim").code == 0
    stray(applied, "Alpha")
    assert "import.of-a-state" not in other("import", "share/alpha", "gold1/Alpha", "--write", "w", "--yes").err
    asked = other("import", "share/one", "gold1/one", "--write", "w")
    assert asked.code == 64
    assert "nobody can be asked" in asked.err
    assert "warning[import.of-a-state]: gold1/one on backend sim is a share that sharectl has made" in asked.err
    assert "say there `sharectl state rm ADDRESS`" in asked.err
    assert other("import", "--backend", "sim", "--all", "--write", "w", "--yes").err.count("import.of-a-state") == 1


def test_a_lost_share_that_was_put_back_by_hand_is_not_made_empty_beside_it(applied: Console) -> None:
    """The way out says how the state lets go of the old one first."""
    with closing(sqlite3.connect(applied.root / "sim.db")) as connection, connection:
        connection.execute("UPDATE shares SET resource_id = NULL WHERE name = 'one'")
    refused = applied("apply", "--yes")
    assert refused.code == 1
    assert "`sharectl state rm share/one`, then `sharectl import share/one" in refused.err
    assert applied("state", "rm", "share/one").code == 0
    assert applied("import", "share/one", "gold1/one", "--yes").code == 0
    assert applied("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("words", [(), ("--target", "share/one"), ("--target", "share/one", "--refresh", "changed")])
def test_a_lost_share_that_may_have_another_name_is_not_made_again_empty(
    applied: Console, words: tuple[str, ...]
) -> None:
    """Somebody renamed it on the backend, and took away its mark: also a plan of it alone sees what is there instead, and asks."""
    with closing(sqlite3.connect(applied.root / "sim.db")) as connection, connection:
        connection.execute(
            "UPDATE shares SET resource_id = NULL, name = 'moved', backend_id = 'gold1/moved' WHERE name = 'one'"
        )
    if "changed" in words:
        applied.write("all.yaml", SIMULATED.replace("{team: a}", "{team: c}"))
    refused = applied("apply", "--yes", *words)
    assert refused.code == 1
    assert "error[share.lost-or-renamed]" in refused.err
    assert "`sharectl state rm share/one`, then `sharectl import share/one gold1/moved --backend sim`" in refused.err
    assert on_backend(applied, "SELECT count(*) FROM shares WHERE name = 'one'") == [0]
    assert applied("apply", "--yes", *words, "--allow-recreations", "1").code == 0
    assert on_backend(applied, "SELECT count(*) FROM shares WHERE name = 'one'") == [1]


def test_a_lost_share_is_made_again_beside_what_cannot_be_it(applied: Console) -> None:
    """Storage of another size."""
    stray(applied, "larger", size=7 << 30)
    with closing(sqlite3.connect(applied.root / "sim.db")) as connection, connection:
        connection.execute("DELETE FROM shares WHERE name = 'one'")
    assert "made again in its place" in applied("plan").out
    assert applied("apply", "--yes").code == 0


def test_a_folder_in_another_pool_is_seen_by_the_plan(console: Console) -> None:
    """Before the backend was ever used, and in a pool that comes later."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    console.write("nas.yaml", FOLDERS.replace(", p2: p2", ""))
    folder = console.root / "storage" / "p1" / "projects"
    folder.mkdir(parents=True)
    console.write("projects.yaml", SHARE.format(name="projects"))
    assert "sharectl import share/projects p1/projects --backend nas" in console("plan").err
    folder.rename(folder.with_name("other"))
    (console.root / "projects.yaml").unlink()
    assert console("apply", "--yes").code == 0
    console.write("nas.yaml", FOLDERS)
    (console.root / "storage" / "p2" / "projects").mkdir(parents=True)
    console.write("projects.yaml", SHARE.format(name="projects"))
    planned = console("plan")
    assert planned.code == 1
    assert "sharectl import share/projects p2/projects --backend nas" in planned.err


def test_a_plan_that_saw_an_unused_backend_does_not_pin_one_that_is_used_now(console: Console, tmp_path: Path) -> None:
    """Somebody else has begun to use it between plan and apply: the step that would make it ready is refused."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    console.write("all.yaml", SIMULATED)
    assert console("plan", "--out", "first.plan").code == 0
    assert console("apply", "--yes").code == 0
    shutil.rmtree(tmp_path / ".sharectl")
    ended = console("apply", "first.plan")
    assert ended.code == 1
    assert on_backend(console, "SELECT count(*) FROM shares") == [2]


def test_a_backend_that_cannot_be_read_may_hold_what_a_new_state_would_make_elsewhere(applied: Console) -> None:
    """After the loss of a state, shares are not made on the backends that do answer."""
    shutil.rmtree(applied.root / ".sharectl")
    (applied.root / "sim.db").write_bytes(b"no database at all, for a while")
    second = SIMULATED.partition("---")[0].replace("name: sim", "name: fast").replace("sim.db", "fast.db")
    applied.write("fast.yaml", second)
    planned = applied("apply", "--yes")
    assert planned.code == 1
    assert "error[backend.unseen]" in planned.err
    assert not (applied.root / "fast.db").exists()


def test_a_copy_of_a_storage_beside_it_is_remarked_on(console: Console) -> None:
    """Both say that they are the same, and a share on one has the id of a share on the other."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    console.write("nas.yaml", FOLDERS.replace("root: storage, pools: {p1: p1, p2: p2}", "root: storage"))
    console.write("one.yaml", SHARE.format(name="one"))
    assert console("apply", "--yes").code == 0
    assert "backend.twin" not in console("plan").err
    shutil.copytree(console.root / "storage", console.root / "copy", symlinks=True)
    console.write(
        "copy.yaml", FOLDERS.replace("nas", "old").replace("root: storage, pools: {p1: p1, p2: p2}", "root: copy")
    )
    planned = console("plan")
    assert "warning[backend.twin]: backend old says that it is the same storage as backend nas" in planned.err
