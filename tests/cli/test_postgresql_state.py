"""Commands on a state in PostgreSQL do what they do on one in a file."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import orjson
import pytest

from sharectl.cli.complete import complete_address
from sharectl.model.state_urls import parse_postgresql_url
from sharectl.state.stores import open_store
from sharectl.state.testing.samples import ALICE
from tests.cli.console import GATED, PATIENCE_SECONDS, environment, run
from tests.cli.team import Team, share
from tests.cli.test_completion import Line
from tests.cli.test_processes import calls, eventually, repository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.console import Console
    from tests.postgresql import Server

PROJECT = "apiVersion: sharectl/v1\nkind: Project\nspec: {{state: {{url: '{url}'}}}}\n"


@pytest.fixture
def shared(simulated: Console, postgresql: Server) -> Console:
    """Return the simulated repository, whose state is in PostgreSQL."""
    url = f"{postgresql.url()}&connect_timeout={PATIENCE_SECONDS:.0f}"  # completion waits for a connection no longer than a person
    simulated.write("sharectl.yaml", PROJECT.format(url=url))
    return simulated


def test_what_was_applied_is_there_for_every_command(shared: Console) -> None:
    """Nothing is left to do, and each command that looks at the state finds it; no file of a state is made."""
    assert shared("plan", "--detailed-exitcode").code == 2
    assert shared("apply", "--yes").code == 0
    assert shared("plan", "--detailed-exitcode").code == 0
    assert "share/two" in shared("state", "list").out
    assert "2GiB" in shared("show", "share/two").out
    assert "create-share" in shared("history", "share/one").out
    assert "Nobody" in shared("lock", "status").out
    assert shared("refresh", "--detailed-exitcode").code == 0
    assert complete_address(Line(shared.root), "share/o") == ["share/one"]
    assert not (shared.root / ".sharectl" / "state.db").exists()


def test_a_saved_plan_is_applied_to_the_state_that_it_was_made_for(shared: Console, postgresql: Server) -> None:
    """And to no other, before there is one and after."""
    assert shared("plan", "--out", "plan.json").code == 0
    here = (shared.root / "sharectl.yaml").read_text()
    shared.write("sharectl.yaml", PROJECT.format(url=postgresql.url()))
    refused = shared("apply", "plan.json", "--yes")
    assert (refused.code, "other-project" in refused.err) == (1, True)
    assert shared("apply", "--yes").code == 0
    shared.write("sharectl.yaml", here)
    assert shared("state", "list").code == 1
    assert shared("apply", "plan.json", "--yes").code == 1
    (shared.root / "sim.db").unlink()
    assert shared("apply", "plan.json", "--yes").code == 0


def test_where_the_state_is_missing_one_is_told_its_place(shared: Console) -> None:
    """Host, database and schema."""
    told = shared("state", "list")
    assert told.code == 1
    place = parse_postgresql_url((shared.root / "sharectl.yaml").read_text().split("'")[1])
    assert place.location in " ".join(told.err.split())


def test_the_environment_names_a_state_in_a_database(simulated: Console, postgresql: Server) -> None:
    """As it names a file; a password in it is refused and not repeated."""
    url = postgresql.url()
    assert run("apply", "--yes", cwd=simulated.root, env={"SHARECTL_STATE": url}).code == 0
    listed = run("state", "list", "--output", "json", cwd=simulated.root, env={"SHARECTL_STATE": url})
    assert {row["address"] for row in orjson.loads(listed.out)["resources"]} >= {"share/one", "share/two"}
    assert not (simulated.root / ".sharectl" / "state.db").exists()
    refused = run("plan", cwd=simulated.root, env={"SHARECTL_STATE": "postgresql://me:hunter2@db/x?name=a"})
    assert refused.code == 64
    assert "hunter2" not in refused.out + refused.err


def test_a_server_that_is_not_there_ends_the_command_with_a_word(simulated: Console) -> None:
    """Before anything was done."""
    simulated.write("sharectl.yaml", PROJECT.format(url=f"postgresql://me@/x?host={simulated.root}&name=a"))
    told = simulated("apply", "--yes")
    assert told.code == 1
    assert "cannot be reached" in " ".join(told.err.split())
    assert not (simulated.root / "sim.db").exists()


def test_the_lock_of_a_state_in_a_database_is_seen_and_taken_away(shared: Console) -> None:
    """By its token, by whoever says so."""
    url = (shared.root / "sharectl.yaml").read_text().split("'")[1]
    with closing(open_store(url, create=True)) as store:
        store.acquire(ALICE, duration_seconds=600)
        refused = shared("apply", "--yes")
        assert (refused.code, "alice@one.example" in refused.err) == (75, True)
        assert shared("unlock", "--yes").code == 0
        assert store.lock_status() is None


@pytest.fixture
def stoppable(tmp_path: Path, own_postgresql: Server) -> Path:
    """Return a repository whose state is on a server that the test stops."""
    root = repository(tmp_path, log="true")
    (root / "sharectl.yaml").write_text(PROJECT.format(url=own_postgresql.url()))
    return root


_IMPATIENT = """\
import sharectl.workspace.run as run
from sharectl.state.postgresql import connections, store

run.LEASE_SECONDS = {lease_seconds}
connections._READING_PATIENCE_SECONDS = store._PATIENCE_SECONDS = {patience_seconds}
"""
_MAIN = """\
import sys
from sharectl.cli import main

raise SystemExit(main(sys.argv[1:]))
"""


def impatient(lease_seconds: float, patience_seconds: float, program: str = _MAIN) -> list[str]:
    """Return a sharectl with leases of this length, which waits so long for its server."""
    settings = _IMPATIENT.format(lease_seconds=lease_seconds, patience_seconds=patience_seconds)
    return [sys.executable, "-c", settings + program]


@contextmanager
def at_gate(
    root: Path, lease_seconds: float = 10 * PATIENCE_SECONDS, patience_seconds: float = PATIENCE_SECONDS
) -> Iterator[subprocess.Popen[str]]:
    """Begin an apply with leases of this length, which waits so long for its server, and give it when it is just about to make both shares; it goes on once there is a file `go`."""
    command = impatient(lease_seconds, patience_seconds, GATED)
    with subprocess.Popen(
        [*command, "simulated", "apply", "--yes"],
        cwd=root,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            eventually(
                lambda: {path.name for path in root.glob("at-*")} == {"at-one", "at-two"} or process.poll() is not None
            )
            assert process.poll() is None
            yield process
        finally:
            process.kill()


def go_on(root: Path) -> None:
    """Let shares be made."""
    (root / "go").touch()


def expect_converged(root: Path) -> None:
    """Require that nothing is left to do, nothing is open, and the backend holds the shares of the state, each once."""
    assert run("plan", "--detailed-exitcode", cwd=root).code == 0
    state = orjson.loads(run("state", "list", "-o", "json", cwd=root).out)
    assert state["operations"] == []
    assert run("refresh", "--detailed-exitcode", cwd=root).code == 0


def test_an_apply_waits_for_a_server_that_was_stopped_like_a_crash(stoppable: Path, own_postgresql: Server) -> None:
    """It goes on where it was, and nothing is done twice."""
    with at_gate(stoppable) as applying:
        own_postgresql.stop("immediate")
        go_on(stoppable)
        own_postgresql.start()
        told, _ = applying.communicate(timeout=PATIENCE_SECONDS)
        assert (applying.returncode, told.count("Traceback")) == (0, 0)
    assert calls(stoppable, "create_share") == 2
    expect_converged(stoppable)


def test_an_apply_that_waits_for_its_server_says_so(stoppable: Path, own_postgresql: Server) -> None:
    """Once, while it waits, so that a log does not just stand still; then it goes on."""
    with at_gate(stoppable) as applying:
        own_postgresql.stop("immediate")
        go_on(stoppable)
        told = []
        for line in applying.stdout or ():
            told.append(line)
            if "state.waiting" in line:
                own_postgresql.start()
        assert applying.wait(PATIENCE_SECONDS) == 0, told
    words = " ".join("".join(told).split())
    assert words.count("warning[state.waiting]") == 1
    assert "does not answer, and is waited for:" in words
    expect_converged(stoppable)


def test_an_apply_whose_server_stays_away_ends_with_a_word(stoppable: Path, own_postgresql: Server) -> None:
    """Before its lease does, with the code of a failure; the next apply converges."""
    with at_gate(stoppable, lease_seconds=3, patience_seconds=15) as applying:
        own_postgresql.stop("immediate")
        go_on(stoppable)
        told, _ = applying.communicate(timeout=PATIENCE_SECONDS)
        assert (applying.returncode, told.count("Traceback")) == (1, 0)
    assert "cannot be reached" in " ".join(told.split())
    own_postgresql.start()
    assert run("apply", "--yes", "--lock-timeout", "30s", cwd=stoppable).code == 0
    expect_converged(stoppable)


def test_an_apply_with_workers_whose_server_stays_away_ends_with_a_word(tmp_path: Path, own_postgresql: Server) -> None:
    """Whether a worker has begun a call or not; no commit would notice. What was begun meanwhile is not lost, and the next apply converges."""
    team = Team(tmp_path, own_postgresql, lanes=1)
    team.write(share("a"), share("b"))
    with team.gated_worker():
        command = impatient(lease_seconds=3, patience_seconds=0.5)
        with team.start(team.coordinator, "apply", "--yes", command=command) as applying:
            eventually(lambda: team.is_at_gate("a") or team.is_at_gate("b") or applying.poll() is not None)
            own_postgresql.stop("immediate")
            told, _ = applying.communicate(timeout=PATIENCE_SECONDS)
        words = " ".join(told.decode().split())
        assert (applying.returncode, words.count("Traceback")) == (1, 0), words
        assert "cannot be reached" in words
        assert "what was running is resolved by the next apply" in words
        team.go_on()
        own_postgresql.start()
        ended = team.run("apply", "--yes", "--lock-timeout", "30s")
        assert ended.code == 0, ended.err
    team.check(2)


def test_an_apply_with_workers_that_waits_for_its_server_says_so_before_its_heartbeat(
    tmp_path: Path, own_postgresql: Server
) -> None:
    """Its lease is so long that a heartbeat would not be due in the test; it is told once, and the apply goes on."""
    team = Team(tmp_path, own_postgresql, lanes=1)
    team.write(share("a"), share("b"))
    command = impatient(20 * PATIENCE_SECONDS, PATIENCE_SECONDS)
    with team.gated_worker(), team.start(team.coordinator, "apply", "--yes", command=command) as applying:
        killing = threading.Timer(PATIENCE_SECONDS, applying.kill)
        killing.start()
        eventually(lambda: team.is_at_gate("a") or team.is_at_gate("b") or applying.poll() is not None)
        own_postgresql.stop("immediate")
        team.go_on()
        told = b""
        for line in applying.stdout or ():
            told += line
            if b"state.waiting" in line:
                own_postgresql.start()
        assert applying.wait() == 0, told
        killing.cancel()
    assert told.count(b"warning[state.waiting]") == 1
    team.check(2)


def test_an_apply_that_is_killed_while_its_server_is_away_is_finished_by_the_next(
    stoppable: Path, own_postgresql: Server
) -> None:
    """The intent is there, and what it began is found."""
    with at_gate(stoppable) as applying:
        own_postgresql.stop("immediate")
        go_on(stoppable)
        eventually(lambda: calls(stoppable, "create_share", are_done=True) == 2)
        applying.kill()
    own_postgresql.start()
    assert run("apply", "--yes", cwd=stoppable).code == 0
    expect_converged(stoppable)


def test_a_server_that_may_forget_is_told_by_what_changes_the_state(shared: Console) -> None:
    """With what it means, and what to do."""
    told = shared("apply", "--yes").err
    assert "state.forgetful" in told
    assert "fsync" in told
    assert "state.forgetful" not in shared("plan").err
