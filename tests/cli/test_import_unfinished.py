"""An import that did not come about stays one, and names that cannot be taken over are named and left out."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

from tests.cli.conftest import SIMULATED
from tests.cli.console import COMMAND, environment
from tests.cli.test_foreign_storage import FOLDERS, SHARE, on_backend
from tests.cli.test_import import stray
from tests.cli.test_processes import eventually

if TYPE_CHECKING:
    from tests.cli.console import Console

REFUSING = SIMULATED.replace("pools:", "faults: [{call: adopt_share, effect: error}]\n    pools:")
HANGING = SIMULATED.replace("pools:", "latency: {adopt_share: 30s}\n    pools:")


def test_an_import_that_was_refused_is_never_made_new(applied: Console) -> None:
    """The plan says how to finish it and how to give it up, also where the names differ and no look at the backend would tell."""
    stray(applied, "old-things", size=1 << 30)
    applied.write("more.yaml", SHARE.format(name="alpha"))
    applied.write("all.yaml", REFUSING)
    ended = applied("import", "share/alpha", "gold1/old-things", "--yes")
    assert ended.code == 1
    assert "import it again" in ended.out
    for words in ((), ("--refresh", "none"), ("--target", "share/alpha")):
        planned = applied("apply", "--yes", *words)
        assert planned.code == 1
        assert "error[import.unfinished]" in planned.err
        assert "sharectl import share/alpha gold1/old-things --backend sim" in planned.err
    assert on_backend(applied, "SELECT count(*) FROM shares WHERE name = 'alpha'") == [0]
    applied.write("all.yaml", SIMULATED)
    assert applied("import", "share/alpha", "gold1/old-things", "--yes").code == 0
    assert "import/alpha" not in applied("state", "list").out
    assert applied("apply", "--yes").code == 0
    assert applied("plan", "--detailed-exitcode").code == 0


def test_an_import_can_be_given_up(applied: Console) -> None:
    """By hand, for a new share after all; or with the manifest."""
    stray(applied, "old-things")
    applied.write("more.yaml", SHARE.format(name="alpha"))
    applied.write("all.yaml", REFUSING)
    assert applied("import", "share/alpha", "gold1/old-things", "--yes").code == 1
    assert applied("state", "rm", "import/alpha").code == 0
    assert "+ share/alpha" in applied("plan").out
    assert applied("import", "share/alpha", "gold1/old-things", "--yes").code == 1
    (applied.root / "more.yaml").unlink()
    assert "no longer wanted" in applied("apply", "--yes").out
    assert applied("plan", "--detailed-exitcode").code == 0


def test_a_killed_import_of_everything_leaves_no_wish_for_new_shares(applied: Console) -> None:
    """The manifests are written and nothing is taken over yet: each plan says so, and the next import finishes."""
    for name in ("A B", "a-b", "c"):
        stray(applied, name)
    applied.write("all.yaml", HANGING)
    words = ("import", "--backend", "sim", "--all", "--write", "taken", "--yes")
    with subprocess.Popen(
        [*COMMAND, *words], cwd=applied.root, env=environment(), stderr=subprocess.DEVNULL
    ) as process:
        eventually((applied.root / "taken" / "imported-sim.yaml").exists)
        process.send_signal(signal.SIGKILL)
    applied.write("all.yaml", SIMULATED)
    planned = applied("apply", "--yes")
    assert planned.code == 1
    assert planned.err.count("error[import.unfinished]") + planned.err.count("error[share.in-the-way]") == 3
    assert on_backend(applied, "SELECT count(*) FROM shares") == [5]
    assert applied("import", "--backend", "sim", "--all", "--yes").code == 0
    planned = applied("plan", "--detailed-exitcode")
    assert planned.code == 0, planned.out


def test_a_share_in_the_trash_whose_way_back_was_refused_is_not_made_new(applied: Console) -> None:
    """A restore is an import too."""
    applied.write("all.yaml", SIMULATED.replace("name: one,", "name: zero,"))
    assert applied("apply", "--yes", "--allow-deletions", "9").code == 0
    applied.write("all.yaml", SIMULATED.replace("pools:", "faults: [{call: restore_share, effect: error}]\n    pools:"))
    assert applied("import", "share/one", "gold1/one", "--yes").code == 1
    assert "error[import.unfinished]" in applied("apply", "--yes", "--exclude", "share/zero").err
    assert on_backend(applied, "SELECT count(*) FROM shares WHERE name = 'one'") == [1]


def test_names_that_cannot_be_written_down_are_named_and_left_out(console: Console) -> None:
    """The others are taken over, the exit code says that not all was, and the next plan is empty."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    console.write("nas.yaml", FOLDERS)
    pool = console.root / "storage" / "p1"
    for name in (b"plain", b"Caf\xe9", b"two\tcolumns", b"two\nlines", b"\x1b[31mred"):
        (pool / os.fsdecode(name)).mkdir(parents=True)
    ended = console("import", "--backend", "nas", "--all", "--write", "taken", "--yes")
    assert ended.code == 1
    assert "4 of what backend nas holds cannot be taken over" in ended.err
    for shown in ("Caf\\xe9 (its name is not UTF-8)", "two\\tcolumns (its name has control characters)", "two\\nlines"):
        assert shown in ended.err
    assert "share/plain" in console("state", "list").out
    planned = console("plan", "--detailed-exitcode")
    assert planned.code == 0, planned.out
    for typed in ("p1/Caf\\xe9", os.fsdecode(b"p1/Caf\xe9")):
        refused = console("import", "share/coffee", typed, "--write", "taken", "--yes")
        assert (refused.code, refused.out) == (1, "")
        assert "p1/Caf\\xe9 on backend nas cannot be taken over: its name is not UTF-8" in refused.err
    for typed in ("p1/two\nlines", "p1/two\\nlines"):
        for words in ((), ("--write", "taken")):
            refused = console("import", "share/coffee", typed, "--yes", *words)
            assert (refused.code, refused.out) == (1, "")
            assert "p1/two\\nlines on backend nas cannot be taken over: its name has control characters" in refused.err
            assert "rename it on the backend" in refused.err
    assert console("plan", "--detailed-exitcode").code == 0


def test_everything_of_a_lost_state_comes_back_by_import(applied: Console) -> None:
    """With its size, protocol, rules and snapshots, under the manifests that are there; the next plan is empty."""
    with closing(sqlite3.connect(applied.root / "sim.db")) as connection:
        before = connection.execute("SELECT * FROM shares ORDER BY name").fetchall()
    shutil.rmtree(applied.root / ".sharectl")
    assert applied("import", "--backend", "sim", "--all", "--yes").code == 0
    planned = applied("plan", "--detailed-exitcode")
    assert planned.code == 0, planned.out
    with closing(sqlite3.connect(applied.root / "sim.db")) as connection:
        assert connection.execute("SELECT * FROM shares ORDER BY name").fetchall() == before


def test_a_snapshot_that_the_state_has_lost_is_not_taken_anew(applied: Console) -> None:
    """What it holds is of then, and a new one would be of now: it is refused in each mode, and taken over by an import of everything."""
    assert applied("state", "rm", "snapshot/two-monday").code == 0
    for words in ((), ("--refresh", "none"), ("--target", "snapshot/two-monday")):
        refused = applied("apply", "--yes", *words)
        assert refused.code == 1
        assert "error[snapshot.in-the-way]" in refused.err
        assert "sharectl import --backend sim --all" in refused.err
    assert on_backend(applied, "SELECT count(*) FROM snapshots") == [1]
    assert applied("import", "--backend", "sim", "--all", "--yes").code == 0
    assert applied("plan", "--detailed-exitcode").code == 0
    assert on_backend(applied, "SELECT count(*) FROM snapshots") == [1]


def test_an_import_of_everything_leaves_alone_what_is_ignored(applied: Console) -> None:
    """What the backend's manifest says belongs to others is not asked for."""
    stray(applied, "alpha")
    stray(applied, "theirs")
    applied.write("all.yaml", SIMULATED.replace("  lanes: 2", '  lanes: 2\n  ignore: {shares: ["gold1/their*"]}'))
    assert applied("import", "--backend", "sim", "--all", "--write", "taken", "--yes").code == 0
    assert "theirs" not in (applied.root / "taken" / "imported-sim.yaml").read_text(encoding="utf-8")
