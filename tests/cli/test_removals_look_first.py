"""Whatever removes a share has looked for snapshots that the state does not know, in every way of asking for less."""

from __future__ import annotations

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
