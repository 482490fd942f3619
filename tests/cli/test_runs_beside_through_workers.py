"""Two runs at once whose calls workers make: each on addresses of its own, of one backend, and with share servers."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import orjson

from tests.cli.console import GATED
from tests.cli.team import PATIENCE_SECONDS, SLEEPER, Team, ends_well, kill, share, wait_until
from tests.cli.test_share_servers_through_workers import BLUE, RED, SPEC, check_servers, on

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgresql import Server
    from tests.rabbitmq import Broker


@contextmanager
def applying(team: Team, address: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start an apply of one address, and give it when a worker is just about to make the share."""
    name = address.partition("/")[2]
    with team.start(team.coordinator, "apply", "--yes", "--target", address) as process:
        wait_until(lambda: team.is_at_gate(name) or process.poll() is not None)
        assert process.poll() is None, process.stdout and process.stdout.read().decode()
        yield process


def scopes(team: Team) -> list[list[str]]:
    """Return what is held, by each run."""
    return [each["scope"]["addresses"] for each in orjson.loads(team.run("lock", "status", "-o", "json").out)["locks"]]


def prepared(team: Team, *networks: str) -> None:
    """Prepare the backend, which is held as a whole for that."""
    team.write(*networks)
    ended = team.run("apply", "--yes")
    assert ended.code == 0, ended.err


def test_runs_on_other_addresses_of_a_backend_go_beside(tmp_path: Path, postgresql: Server, rabbitmq: Broker) -> None:
    """One worker has calls of both under way; who wants one of these addresses is told; nothing is made twice or lost."""
    team = Team(tmp_path, postgresql, rabbitmq)
    team.write()
    with team.gated_worker():
        prepared(team)
        team.write(share("a"), share("b"))
        with applying(team, "share/a") as first, applying(team, "share/b") as second:
            assert sorted(scopes(team)) == [["share/a"], ["share/b"]]
            refused = team.run("apply", "--yes", "--target", "share/a")
            assert refused.code == 75
            assert "share/a is locked by" in " ".join(refused.err.split())
            team.go_on()
            for each in (first, second):
                ends_well(each)
    team.check(2)
    assert team.begun("create_share") == 2


def test_a_run_begins_beside_what_a_killed_one_has_left(tmp_path: Path, postgresql: Server) -> None:
    """Its call goes on at the worker: at other addresses nobody waits for it, or takes it away; who wants all does, and finds it done."""
    team = Team(tmp_path, postgresql)
    team.write()
    with team.gated_worker():
        prepared(team)
        team.write(share("a"), share("b"))
        with applying(team, "share/a") as first:
            kill(first)
        with applying(team, "share/b") as second:
            assert team.query("SELECT count(*) FROM s.call WHERE given_up_at IS NOT NULL") == [(0,)]
            with team.start(team.coordinator, "apply", "--yes", "--lock-timeout", "2m") as third:
                team.go_on()
                for each in (second, third):
                    ends_well(each)
    team.check(2)
    assert len(team.on_filer("SELECT DISTINCT resource_id FROM calls WHERE call = 'create_share'")) == 2


def test_a_run_whose_addresses_were_taken_over_makes_nothing_more(tmp_path: Path, postgresql: Server) -> None:
    """Its call is at a worker that was stopped, as is one of a run that goes on: both are made by another, and the first does no harm when it wakes up."""
    team = Team(tmp_path, postgresql)
    team.write()
    with team.worker():
        prepared(team)
    team.write(share("a"), share("b"))
    with (
        team.gated_worker(SLEEPER + GATED) as stopped,
        applying(team, "share/a") as lost,
        applying(team, "share/b") as living,
    ):
        team.put_to_sleep(stopped)
        kill(lost)
        with team.worker():
            taken = team.run("apply", "--yes", "--target", "share/a", "--lock-timeout", "2m")
            assert taken.code == 0, taken.err
            ends_well(living)
            made = sorted(team.on_filer("SELECT resource_id FROM shares"))
            team.go_on()
            stopped.send_signal(signal.SIGCONT)
            assert stopped.wait(PATIENCE_SECONDS) != 0
    team.check(2)
    assert sorted(team.on_filer("SELECT resource_id FROM shares")) == made


def test_tenants_get_their_servers_beside_each_other(tmp_path: Path, postgresql: Server) -> None:
    """Each its own, with addresses of its own; what is on a server goes with it."""
    team = Team(tmp_path, postgresql, spec=SPEC)
    team.write(RED, BLUE)
    with team.gated_worker():
        prepared(team, RED, BLUE)
        team.write(RED, BLUE, on("a", "red"), on("b", "blue"), on("c", "red"))
        with applying(team, "share/a") as red, applying(team, "share/b") as blue:
            held = [["share/a", "share_server/red-default@filer"], ["share/b", "share_server/blue-default@filer"]]
            assert sorted(scopes(team)) == held
            refused = team.run("apply", "--yes", "--target", "share/c")
            assert refused.code == 75
            assert "share_server/red-default@filer is locked by" in " ".join(refused.err.split())
            team.go_on()
            for each in (red, blue):
                ends_well(each)
    team.check(2)
    check_servers(team, 2)
