"""The worker that `celery -A sharectl.cli.celery worker` starts: with Celery's own command, and a real RabbitMQ."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.console import environment
from tests.cli.team import PATIENCE_SECONDS, SLEEPER, Team, ends_well, share, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgresql import Server
    from tests.rabbitmq import Broker

CELERY_MAIN = """\
from celery.__main__ import main

main()
"""
CLOSING = """\
import sys
from celery.__main__ import main
from sharectl.drivers.simulated.driver import SimulatedDriver

SimulatedDriver.close = lambda self: print("the driver is closed", file=sys.stderr)
main()
"""
"""Celery, with a driver that says when it is closed."""
CELERY = [sys.executable, "-W", "ignore", "-m", "celery", "-A", "sharectl.cli.celery"]
WORKER = "worker", "--backend", "filer", "-E"


def test_an_apply_goes_through_it(tmp_path: Path, postgresql: Server, rabbitmq: Broker) -> None:
    """By hints; asked to end by SIGTERM, it finishes what runs, closes its driver, and leaves. What it says has a time."""
    team = Team(tmp_path, postgresql, rabbitmq, config="latency: {create_share: 1s},")
    team.write(share("a"), share("b"))
    heartbeat = team.filer / "alive"
    told = [sys.executable, "-W", "ignore", "-c", CLOSING, *CELERY[-2:]]
    with team.worker(*WORKER, "--heartbeat-file", str(heartbeat), command=told) as worker, team.applying() as apply:
        wait_until(lambda: team.begun("create_share"))
        assert heartbeat.exists()
        worker.send_signal(signal.SIGTERM)
        with team.worker():
            out, _ = worker.communicate(timeout=PATIENCE_SECONDS)
            assert worker.returncode == 0, out.decode()
            ends_well(apply)
    assert re.search(rb"^20\d\d-\d\d-\d\dT\S+Z finishing what runs, and claiming nothing more$", out, re.MULTILINE)
    assert out.count(b"the driver is closed") == 1
    assert not heartbeat.exists()
    assert team.begun("create_share") == 2
    team.check(2)
    assert "has left" in team.run("workers").out


def test_it_ends_itself_where_it_cannot_renew(tmp_path: Path, postgresql: Server, rabbitmq: Broker) -> None:
    """With all of its group, before what it does may be taken over; it was stopped for longer than its lease."""
    team = Team(tmp_path, postgresql, rabbitmq, config="faults: [{call: create_share, first: 1, effect: hang}],")
    team.write(share("a"))
    sleeper = [sys.executable, "-W", "ignore", "-c", SLEEPER + CELERY_MAIN, *CELERY[-2:]]
    with team.worker(*WORKER, command=sleeper) as first, team.applying() as apply:
        wait_until(team.hangs)
        team.put_to_sleep(first)
        with team.worker() as second:
            ends_well(apply)
            first.send_signal(signal.SIGCONT)
            calls = "SELECT process FROM calls WHERE call = 'create_share' AND outcome = 'done'"
            wait_until(lambda: first.poll() is not None)
            assert (second.pid,) in team.on_filer(calls)
    assert first.returncode == -signal.SIGKILL
    team.check(1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("worker",), "no backend is named"),
        (("worker", "--backend", "filer", "-P", "solo"), "in no other pool"),
        (("worker", "--backend", "filer"), "the executor of the project is queue, which has no broker"),
    ],
)
def test_what_it_cannot_work_with_is_told(
    tmp_path: Path, postgresql: Server, arguments: tuple[str, ...], words: str
) -> None:
    """With the way out, and without a traceback."""
    team = Team(tmp_path, postgresql)
    team.write()
    done = subprocess.run(
        [*CELERY, *arguments], cwd=team.filer, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode in {1, 64}
    assert words in done.stderr
    assert "help: " in done.stderr
    assert "Traceback" not in done.stderr
