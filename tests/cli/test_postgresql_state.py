"""Commands on a state in PostgreSQL do what they do on one in a file."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import orjson
import pytest

from sharectl.cli.complete import complete_address
from sharectl.model.state_urls import parse_postgresql_url
from sharectl.state.stores import open_store
from sharectl.state.testing.samples import ALICE
from tests.cli.console import PATIENCE_SECONDS, environment, run
from tests.cli.team import Team, share
from tests.cli.test_completion import Line
from tests.cli.test_processes import calls, eventually, repository

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.console import Console
    from tests.postgresql import Server

PROJECT = "apiVersion: sharectl/v1\nkind: Project\nspec: {{state: {{url: '{url}'}}}}\n"


@pytest.fixture
def shared(simulated: Console, postgresql: Server) -> Console:
    """Return the simulated repository, whose state is in PostgreSQL."""
    simulated.write("sharectl.yaml", PROJECT.format(url=postgresql.url()))
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
def slow(tmp_path: Path, own_postgresql: Server) -> Path:
    """Return a repository whose calls take a second, and whose state is on a server that the test stops."""
    root = repository(tmp_path, latency="{create_share: 1s}", log="true")
    (root / "sharectl.yaml").write_text(PROJECT.format(url=own_postgresql.url()))
    return root


def impatient(lease_seconds: float, patience_seconds: float) -> list[str]:
    """Return an apply with leases of this length, which waits so long for its server."""
    code = (
        "from sharectl.cli import main; import sharectl.workspace.run as run;"
        "from sharectl.state.postgresql import connections, store;"
        f"run.LEASE_SECONDS = {lease_seconds};"
        f"connections._READING_PATIENCE_SECONDS = store._PATIENCE_SECONDS = {patience_seconds};"
        "raise SystemExit(main(['apply', '--yes']))"
    )
    return [sys.executable, "-c", code]


def begin_apply(root: Path, lease_seconds: float = 60, patience_seconds: float = 15) -> subprocess.Popen[str]:
    """Begin an apply with leases of this length, which waits so long for its server, and return when a share is being made."""
    process = subprocess.Popen(
        impatient(lease_seconds, patience_seconds),
        cwd=root,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    eventually(lambda: calls(root, "create_share") > 0)
    return process


def expect_converged(root: Path) -> None:
    """Require that nothing is left to do, nothing is open, and the backend holds the shares of the state, each once."""
    assert run("plan", "--detailed-exitcode", cwd=root).code == 0
    state = orjson.loads(run("state", "list", "-o", "json", cwd=root).out)
    assert state["operations"] == []
    assert run("refresh", "--detailed-exitcode", cwd=root).code == 0


def test_an_apply_waits_for_a_server_that_was_stopped_like_a_crash(slow: Path, own_postgresql: Server) -> None:
    """It goes on where it was, and nothing is done twice."""
    with begin_apply(slow) as applying:
        own_postgresql.stop("immediate")
        own_postgresql.start()
        told, _ = applying.communicate(timeout=PATIENCE_SECONDS)
    assert (applying.returncode, told.count("Traceback")) == (0, 0)
    assert calls(slow, "create_share") == 2
    expect_converged(slow)


def test_an_apply_that_waits_for_its_server_says_so(slow: Path, own_postgresql: Server) -> None:
    """Once, while it waits, so that a log does not just stand still; then it goes on."""
    with begin_apply(slow) as applying:
        own_postgresql.stop("immediate")
        told = []
        for line in applying.stdout or ():
            told.append(line)
            if "state.waiting" in line:
                own_postgresql.start()
        assert applying.wait(PATIENCE_SECONDS) == 0, told
    words = " ".join("".join(told).split())
    assert words.count("warning[state.waiting]") == 1
    assert "does not answer, and is waited for:" in words
    expect_converged(slow)


def test_an_apply_whose_server_stays_away_ends_with_a_word(slow: Path, own_postgresql: Server) -> None:
    """Before its lease does, with the code of a failure; the next apply converges."""
    manifests = slow / "all.yaml"
    quick = manifests.read_text().replace("{create_share: 1s}", "{}")
    manifests.write_text(
        manifests.read_text().replace("create_share: 1s", "create_share: 6s")
    )  # longer than a stop takes
    with begin_apply(slow, lease_seconds=3) as applying:
        own_postgresql.stop("immediate")
        told, _ = applying.communicate(timeout=PATIENCE_SECONDS)
    assert (applying.returncode, told.count("Traceback")) == (1, 0)
    assert "cannot be reached" in " ".join(told.split())
    own_postgresql.start()
    manifests.write_text(quick)
    assert run("apply", "--yes", "--lock-timeout", "30s", cwd=slow).code == 0
    expect_converged(slow)


def test_an_apply_with_workers_whose_server_stays_away_ends_with_a_word(tmp_path: Path, own_postgresql: Server) -> None:
    """Whether a worker has begun a call or not; no commit would notice. What was begun meanwhile is not lost, and the next apply converges."""
    team = Team(tmp_path, own_postgresql, lanes=1, config="latency: {create_share: 3s},")
    team.write(share("a"), share("b"))  # together longer than a stop takes
    with team.worker():
        with team.start(team.coordinator, command=impatient(lease_seconds=3, patience_seconds=0.5)) as applying:
            eventually(lambda: team.begun("create_share") > 0)
            own_postgresql.stop("immediate")
            told, _ = applying.communicate(timeout=PATIENCE_SECONDS)
        words = " ".join(told.decode().split())
        assert (applying.returncode, words.count("Traceback")) == (1, 0), words
        assert "cannot be reached" in words
        assert "what was running is resolved by the next apply" in words
        own_postgresql.start()
        ended = team.run("apply", "--yes", "--lock-timeout", "30s")
        assert ended.code == 0, ended.err
    team.check(2)


def test_an_apply_with_workers_that_waits_for_its_server_says_so_before_its_heartbeat(
    tmp_path: Path, own_postgresql: Server
) -> None:
    """Its lease is so long that a heartbeat would not be due in the test; it is told once, and the apply goes on."""
    team = Team(tmp_path, own_postgresql, lanes=1, config="latency: {create_share: 3s},")
    team.write(share("a"), share("b"))
    with team.worker(), team.start(team.coordinator, command=impatient(6000, 15)) as applying:
        killing = threading.Timer(PATIENCE_SECONDS, applying.kill)
        killing.start()
        eventually(lambda: team.begun("create_share") > 0)
        own_postgresql.stop("immediate")
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
    slow: Path, own_postgresql: Server
) -> None:
    """The intent is there, and what it began is found."""
    with begin_apply(slow) as applying:
        own_postgresql.stop("immediate")
        applying.kill()
    own_postgresql.start()
    assert run("apply", "--yes", cwd=slow).code == 0
    expect_converged(slow)


def test_a_server_that_may_forget_is_told_by_what_changes_the_state(shared: Console) -> None:
    """With what it means, and what to do."""
    told = shared("apply", "--yes").err
    assert "state.forgetful" in told
    assert "fsync" in told
    assert "state.forgetful" not in shared("plan").err
