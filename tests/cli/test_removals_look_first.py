"""Whatever removes a share has looked for snapshots that the state does not know, in every way of asking for less."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import SIMULATED

if TYPE_CHECKING:
    from tests.cli.console import Console

GONE = SIMULATED.partition("---")[0]
DELETED = SIMULATED.replace("deletionPolicy: trash", "deletionPolicy: delete")
REPLACED = DELETED.replace("name: two,", "name: two,").replace(
    "{size: 2GiB, protocol: NFS,", "{size: 2GiB, protocol: CIFS, replacement: deleteFirst,"
)


def forgets_snapshot(console: Console) -> None:
    """Let the state forget the one snapshot, which stays on the backend."""
    assert console("state", "rm", "snapshot/two-monday").code == 0


def snapshots(console: Console) -> int:
    """Return how many snapshots are on the backend."""
    with closing(sqlite3.connect(console.root / "sim.db")) as connection:
        return int(connection.execute("SELECT count(*) FROM snapshots").fetchone()[0])


@pytest.mark.parametrize(
    "words", [(), ("--target", "share/two"), ("--refresh", "none"), ("--refresh", "changed"), ("--backend", "sim")]
)
@pytest.mark.parametrize("command", ["apply", "destroy"])
def test_a_snapshot_that_the_state_does_not_know_keeps_its_share(
    simulated: Console, command: str, words: tuple[str, ...]
) -> None:
    """However narrow the plan, and however little it refreshes."""
    simulated.write("all.yaml", DELETED)
    assert simulated("apply", "--yes").code == 0
    forgets_snapshot(simulated)
    simulated.write("all.yaml", GONE)
    lifted = ("--allow-empty", "--allow-deletions", "9") if command == "apply" else ()
    ended = simulated(command, "--yes", *words, *lifted)
    assert ended.code == 1
    assert "error[share.unknown-snapshots]" in ended.err
    assert snapshots(simulated) == 1


@pytest.mark.parametrize("words", [("--target", "share/two"), ("--target", "share/two", "--refresh", "none")])
def test_a_replacement_of_one_target_does_not_take_snapshots_along(simulated: Console, words: tuple[str, ...]) -> None:
    """Neither one that the state knows and the target leaves out, nor one that it does not know."""
    simulated.write("all.yaml", DELETED)
    assert simulated("apply", "--yes").code == 0
    simulated.write("all.yaml", REPLACED)
    known = simulated("apply", "--yes", *words)
    assert known.code == 1
    assert "error[share.kept-snapshots]" in known.err
    forgets_snapshot(simulated)
    simulated.write("all.yaml", REPLACED.rpartition("---")[0])
    unknown = simulated("apply", "--yes", *words)
    assert unknown.code == 1
    assert "error[share.unknown-snapshots]" in unknown.err
    assert snapshots(simulated) == 1


def test_snapshots_that_cannot_be_listed_keep_their_share(simulated: Console) -> None:
    """A saved plan would find the backend well again, and take them along."""
    simulated.write("all.yaml", DELETED)
    assert simulated("apply", "--yes").code == 0
    fault = "faults: [{call: list_snapshots, effect: unavailable}]\n    pools:"
    simulated.write("all.yaml", GONE.replace("pools:", fault))
    ended = simulated("plan", "--allow-empty", "--allow-deletions", "9")
    assert ended.code == 1
    assert "error[share.unseen-snapshots]" in ended.err


def _takes_snapshot_by_hand(console: Console) -> None:
    """Let the backend hold a snapshot that nobody has told sharectl of."""
    with closing(sqlite3.connect(console.root / "sim.db")) as connection, connection:
        connection.execute(
            "INSERT INTO snapshots SELECT 'by-hand', 'by-hand', share_resource_id, share_backend_id, pool, size_bytes, used_bytes, content"
            " FROM snapshots"
        )


@pytest.mark.parametrize("manifests", [GONE, REPLACED, REPLACED.replace("deleteFirst", "createFirst")])
def test_a_snapshot_that_was_taken_since_a_plan_was_saved_keeps_its_share(simulated: Console, manifests: str) -> None:
    """Nobody has reviewed that it would go; all else in the plan is done."""
    simulated.write("all.yaml", DELETED)
    assert simulated("apply", "--yes").code == 0
    simulated.write("all.yaml", manifests.rpartition("---")[0] if "Snapshot" in manifests else manifests)
    simulated.write("more.yaml", DELETED.split("---\n")[1].replace("name: one", "name: three"))
    lifted = ("--allow-empty", "--allow-deletions", "9", "--out", "p")
    assert simulated("plan", *lifted).code == 0
    _takes_snapshot_by_hand(simulated)
    ended = simulated("apply", "p")
    assert ended.code == 1
    assert "error[plan.stale]: the backends are not as they were when this plan was made: share/two\n" in ended.err
    assert "by-hand, which the state does not know and which would go with it" in ended.err
    with closing(sqlite3.connect(simulated.root / "sim.db")) as connection:
        assert connection.execute("SELECT count(*) FROM snapshots WHERE name = 'by-hand'").fetchone() == (1,)
    held = simulated("state", "list").out
    assert "share/two " in held
    assert "deposed" not in held
    assert "share/three" in held


def test_what_a_saved_plan_was_told_to_take_along_goes(simulated: Console) -> None:
    """The option is in the plan, with its addresses."""
    simulated.write("all.yaml", DELETED)
    assert simulated("apply", "--yes").code == 0
    forgets_snapshot(simulated)
    simulated.write("all.yaml", DELETED.split("---\n", maxsplit=1)[0] + "---\n" + DELETED.split("---\n")[1])
    assert simulated("plan", "--override-protection", "share/two", "--out", "p").code == 0
    assert json.loads((simulated.root / "p").read_bytes())["plan"]["overridden"] == ["share/two"]
    ended = simulated("apply", "p")
    assert "share/two" not in simulated("state", "list").out, ended.err


def test_snapshots_that_cannot_be_listed_before_a_saved_plan_is_applied_keep_their_share(simulated: Console) -> None:
    """What is not known is not removed."""
    simulated.write("all.yaml", DELETED)
    assert simulated("apply", "--yes").code == 0
    fault = "faults: [{call: list_snapshots, effect: unavailable, nth: 2}]\n    pools:"
    simulated.write("all.yaml", GONE.replace("pools:", fault))
    assert simulated("plan", "--allow-empty", "--allow-deletions", "9", "--out", "p").code == 0
    ended = simulated("apply", "p")
    assert ended.code == 1
    assert "share/two: the snapshots on backend sim cannot be listed" in ended.err
    assert "share/two " in simulated("state", "list").out
    assert snapshots(simulated) == 1


def test_a_name_that_was_taken_since_a_plan_was_saved_keeps_the_share_that_was_to_go_first(simulated: Console) -> None:
    """The old share would be gone, and the new one could not be made."""
    simulated.write("all.yaml", DELETED)
    assert simulated("apply", "--yes").code == 0
    simulated.write("all.yaml", REPLACED.rpartition("---")[0])
    assert simulated("plan", "--allow-deletions", "9", "--out", "p").code == 0
    with closing(sqlite3.connect(simulated.root / "sim.db")) as connection, connection:
        connection.execute("UPDATE shares SET resource_id = NULL WHERE name = 'one'")
        connection.execute("UPDATE shares SET name = 'two' WHERE name = 'one'")
    ended = simulated("apply", "p")
    assert ended.code == 1
    assert "has its name, and sharectl did not make it" in ended.err
    assert "share/two " in simulated("state", "list").out


MOVED = (
    DELETED.partition("---")[0]
    + "---\n"
    + DELETED.partition("---")[0]
    .replace("name: sim", "name: new")
    .replace("sim.db", "new.db")
    .replace("pools: [", "pools: [{name: small, total: 1GiB, thin: false}, ")
    + "---\n"
    + "\n---\n".join(
        f"apiVersion: sharectl/v1\nkind: ShareType\nmetadata: {{name: on-{name}}}\nspec: {{extraSpecs: {{share_backend_name: {name}}}}}"
        for name in ("sim", "new")
    )
    + "\n---\n"
    + DELETED.split("---\n")[2].replace("spec: {", "spec: {type: on-sim, ")
)
"""The share two on the backend sim, whose next type is on the backend new."""


def _saves_a_move(console: Console, order: str, fault: str = "") -> None:
    """Save a plan that replaces the share by one on the other backend, and makes a third share on the one where it is."""
    console.write("all.yaml", MOVED)
    assert console("apply", "--yes").code == 0
    wanted = MOVED.replace("type: on-sim", f"type: on-new, replacement: {order}")
    console.write(
        "all.yaml", wanted.replace("stateFile: new.db", f"stateFile: new.db\n    {fault}") if fault else wanted
    )
    console.write("more.yaml", DELETED.split("---\n")[1].replace("spec: {", "spec: {type: on-sim, "))
    saved = console("plan", "--allow-deletions", "9", "--out", "p")
    assert saved.code == 0, saved.err
    assert "share/two" in saved.out


def _keeps_the_share(console: Console, why: str) -> None:
    """Hold the plan's word that the share is kept whole, and that all else was done."""
    ended = console("apply", "p")
    assert ended.code == 1
    assert "error[plan.stale]" in ended.err
    assert why in ended.err
    held = console("state", "list").out
    assert "share/two " in held
    assert "deposed" not in held
    assert "share/one" in held
    with closing(sqlite3.connect(console.root / "sim.db")) as connection:
        assert connection.execute("SELECT count(*) FROM shares WHERE name = 'two'").fetchone() == (1,)


@pytest.mark.parametrize("order", ["deleteFirst", "createFirst"])
@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (
            "faults: [{call: list_shares, effect: unavailable, nth: 2}]",
            "share/two: backend new, where the new share would be, cannot be read (simulated fault: unavailable in list_shares)",
        ),
        (
            "faults: [{call: pools, effect: half-list, nth: 2}]",
            "share/two: the new share would be in new#gold1, which is not there now",
        ),
    ],
)
def test_a_share_stays_where_the_one_in_its_place_can_be_made_nowhere(
    simulated: Console, order: str, fault: str, why: str
) -> None:
    """Neither removed nor set aside: it is what people work on until there is another."""
    _saves_a_move(simulated, order, fault)
    _keeps_the_share(simulated, why)


@pytest.mark.parametrize("order", ["deleteFirst", "createFirst"])
def test_a_share_stays_where_another_storage_is_behind_the_backend_of_the_new_one(
    simulated: Console, order: str
) -> None:
    """Its intents would be refused there, after the old share was gone."""
    _saves_a_move(simulated, order)
    with closing(sqlite3.connect(simulated.root / "new.db")) as connection, connection:
        assert connection.execute("UPDATE backend SET identity = 'another'").rowcount == 1
    ended = simulated("apply", "p")
    assert ended.code == 1
    assert "error[backend.identity]" in ended.err
    held = simulated("state", "list").out
    assert "share/two " in held
    assert "deposed" not in held
    assert "share/one" in held


@pytest.mark.parametrize("order", ["deleteFirst", "createFirst"])
def test_a_replacement_is_not_begun_where_the_names_on_its_backend_cannot_be_read(
    simulated: Console, order: str
) -> None:
    """Its pools are told, and whether the new share can be made there is not known."""
    simulated.write("all.yaml", MOVED)
    assert simulated("apply", "--yes").code == 0
    fault = "faults: [{call: list_shares, effect: unavailable}]\n    stateFile: new.db"
    simulated.write(
        "all.yaml",
        MOVED.replace("type: on-sim", f"type: on-new, replacement: {order}").replace("stateFile: new.db", fault),
    )
    ended = simulated("apply", "--yes", "--allow-deletions", "9", "--allow-unreadable", "new")
    assert ended.code == 1
    assert "error[share.half-replaced]: share/two would be removed" in ended.err
    held = simulated("state", "list").out
    assert "share/two " in held
    assert "deposed" not in held
