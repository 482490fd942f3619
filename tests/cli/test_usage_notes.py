"""What apply and refresh note of use beside the state, and that nothing else comes of it."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING, Any

from tests.cli.console import COMMAND, PATIENCE_SECONDS, environment

if TYPE_CHECKING:
    from tests.cli.console import Console

SLOW = """\
apiVersion: sharectl/v1
kind: Backend
metadata: {name: sim}
spec:
  driver: simulated
  config: {stateFile: sim.db, pools: [{name: gold1, total: 10TiB}], latency: {pools: 60s}}
"""


def use(console: Console, **used_bytes: int) -> None:
    """Let clients use so much of shares."""
    with closing(sqlite3.connect(console.root / "sim.db")) as filer:
        for name, used in used_bytes.items():
            filer.execute("UPDATE shares SET used_bytes = ? WHERE name = ?", (used, name))
        filer.commit()


def listed(console: Console) -> dict[str, int | None]:
    """Return what `list` says to be used."""
    ended = console("list", "--output", "json")
    assert ended.code == 0
    return {share["address"]: share["used_bytes"] for share in json.loads(ended.out)["shares"]}


def noted(console: Console, table: str) -> list[tuple[Any, ...]]:
    """Return the rows of a table of notes."""
    with closing(sqlite3.connect(console.root / ".sharectl/state.db")) as state:
        return state.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - a name of this module


def test_refresh_notes_what_is_used_and_plan_does_not(applied: Console) -> None:
    """The list shows it from then on; the state itself is as it was."""
    use(applied, one=5 << 20, two=7 << 20)
    before = json.loads(applied("state", "list", "--output", "json").out)
    assert applied("plan").code == 0
    assert listed(applied) == {"share/one": None, "share/two": None}
    assert applied("refresh").code == 0
    assert listed(applied) == {"share/one": 5 << 20, "share/two": 7 << 20}
    assert json.loads(applied("state", "list", "--output", "json").out) == before


def test_apply_notes_pools_and_what_is_used(applied: Console) -> None:
    """Pools once an hour, so that an apply with nothing to do asks for them no more often."""
    use(applied, one=5)
    pools = noted(applied, "pool_use")
    assert [row[:2] for row in pools] == [("sim", "gold1")]
    assert applied("apply", "--yes").code == 0
    assert listed(applied) == {"share/one": 5, "share/two": 0}
    assert noted(applied, "pool_use") == pools


def test_a_plan_of_some_forgets_nothing_of_the_others(applied: Console) -> None:
    """Only those are listed that it is of."""
    use(applied, one=5, two=7)
    assert applied("refresh").code == 0
    use(applied, one=6, two=8)
    assert applied("refresh", "--target", "share/one").code == 0
    assert listed(applied) == {"share/one": 6, "share/two": 7}


def test_other_storage_in_its_place_is_not_noted(applied: Console) -> None:
    """What it says is not about the shares that the state knows."""
    use(applied, one=5)
    assert applied("refresh").code == 0
    with closing(sqlite3.connect(applied.root / "sim.db")) as filer:
        filer.execute("UPDATE backend SET identity = 'another'")
        filer.execute("UPDATE shares SET used_bytes = 9")
        filer.commit()
    applied("refresh")
    assert listed(applied) == {"share/one": 5, "share/two": 0}


def test_a_state_of_an_older_version_stays_so(applied: Console) -> None:
    """A refresh migrates nothing, and says no word of notes; the next apply does, and takes them."""
    use(applied, one=5)
    path = applied.root / ".sharectl/state.db"
    with closing(sqlite3.connect(path)) as state:
        state.execute("DROP INDEX history_of_recoveries")
        for table in ("share_use", "share_samples", "pool_use", "use_listing"):
            state.execute(f"DROP TABLE {table}")
        state.execute("PRAGMA user_version = 8")
        state.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = path.read_bytes()
    ended = applied("refresh")
    assert (ended.code, path.read_bytes()) == (0, before)
    assert "noted" not in ended.err
    assert applied("apply", "--yes").code == 0
    assert listed(applied) == {"share/one": 5, "share/two": 0}


def test_without_a_state_a_refresh_makes_none(simulated: Console) -> None:
    """It changes nothing."""
    simulated("refresh")
    assert not (simulated.root / ".sharectl/state.db").exists()


def test_what_is_wrong_with_the_state_is_a_warning(applied: Console) -> None:
    """The refresh itself has succeeded."""
    with closing(sqlite3.connect(applied.root / ".sharectl/state.db")) as state:
        state.execute("DROP TABLE share_use")
        state.commit()
    use(applied, one=5)
    ended = applied("refresh")
    assert ended.code == 0
    assert "warning[state.use-not-noted]" in ended.err


def test_a_finished_run_is_reported_before_pools_are_asked(console: Console) -> None:
    """Ctrl-C while a backend is slow takes no report away, and nobody waits for the lock meanwhile."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    console.write("backend.yaml", SLOW)
    with subprocess.Popen(
        [*COMMAND, "apply", "--yes"],
        cwd=console.root,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        while not (line := process.stdout.readline()).startswith(b"Applied"):
            assert line
        assert "Nobody" in console("lock", "status").out
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_SECONDS) == 130
