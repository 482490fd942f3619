"""Work behind workers: plans, applies and questions reach a filer through its worker alone, whatever is killed in between."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from random import Random
from socket import gethostname
from time import monotonic
from typing import TYPE_CHECKING
from uuid import uuid4

from tests.cli.console import run
from tests.cli.team import PATIENCE_SECONDS, Team, ends_well, kill, share, wait_until
from tests.collector import collecting
from tests.postgresql import USER

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.postgresql import Server
    from tests.rabbitmq import Broker

RULE = "access: [{type: ip, to: 10.0.0.0/8, level: rw}]"
SLOW = "latency: {create_share: 1s},"
CHAOS_SECONDS = 12.0


def test_a_repository_lives_through_its_worker(
    tmp_path: Path, postgresql: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planned, applied, shown, changed and removed; the coordinator never opens the driver."""
    team = Team(tmp_path, postgresql)
    team.write(share("a", RULE), share("b"))
    ended = team.run("plan")
    assert ended.code == 1
    words = "backend filer has no worker (none was ever seen); start one with `sharectl worker --backend filer`"
    assert words in ended.err
    assert "see to its worker near the backend, then plan again" in ended.err
    assert "--allow-shared" not in ended.err
    with team.worker() as worker, collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        ended = team.run("apply", "--yes")
        monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
        assert ended.code == 0, ended.err
        one, _ = collector.named("create-share")
        assert collector.children(one)["CreateShare"] == 1
        made_by = {span.attributes["sharectl.worker"] for span in collector.named("CreateShare")}
        assert made_by == {f"filer@{gethostname()}-{worker.pid}"}
        team.check(2)
        assert "10.0.0.0/8" in team.run("show", "share/a").out
        (seen,) = json.loads(team.run("workers", "--output", "json").out)["workers"]
        assert (seen["backend"], seen["process_id"], seen["is_alive"]) == ("filer", worker.pid, True)
        team.write(share("a"), share("c"))
        ended = team.run("apply", "--yes")
        assert ended.code == 0, ended.err
        assert team.run("plan", "--detailed-exitcode").code == 0
    team.check(2)
    assert team.query("SELECT count(*) FROM s.call") == [(0,)]


def test_to_look_who_serves_makes_nothing(tmp_path: Path, postgresql: Server) -> None:
    """No tables, nor a state; and one in a file has no workers, which is told with the way out."""
    team = Team(tmp_path, postgresql)
    team.write(share("a"))
    assert json.loads(team.run("workers", "--output", "json").out)["workers"] == []
    assert team.query("SELECT to_regnamespace(%s)", f"sharectl_{team.name}") == [(None,)]
    alone = tmp_path / "alone"
    alone.mkdir()
    for arguments in (("workers",), ("workers", "admit", "--role", "r", "--backend", "filer")):
        (alone / "filer.yaml").write_text((team.filer / "m.yaml").read_text())
        refused = run(*arguments, cwd=alone)
        assert refused.code == 1
        assert "workers need a state in PostgreSQL, and this one is a file" in refused.err
    assert not (alone / ".sharectl" / "state.db").exists()


def test_hints_go_through_the_broker(tmp_path: Path, postgresql: Server, rabbitmq: Broker) -> None:
    """The worker consumes them until it is asked to end, and leaves then."""
    team = Team(tmp_path, postgresql, rabbitmq)
    team.write(share("a"))
    with team.worker() as worker:
        ended = team.run("apply", "--yes")
        assert ended.code == 0, ended.err
        assert "broker" not in ended.err
        worker.send_signal(signal.SIGTERM)
        ends_well(worker)
    team.check(1)
    assert "has left" in team.run("workers").out
    assert f"{team.name}.filer" in rabbitmq.control("list_queues", "--silent", "name")


def test_a_broker_that_is_away_is_told_of_once(tmp_path: Path, postgresql: Server, rabbitmq: Broker) -> None:
    """Not by each part of a plan that asks workers."""
    team = Team(tmp_path, postgresql, rabbitmq)
    team.write(share("a"))
    project = team.coordinator / "sharectl.yaml"
    with team.worker(), socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        project.write_text(project.read_text().replace(f":{rabbitmq.port}/", f":{nobody.getsockname()[1]}/"))
        ended = team.run("plan")
    assert ended.code == 0, ended.err
    assert ended.err.count("execution.broker") == 1


def test_whoever_supervises_a_worker_is_told(
    tmp_path: Path, postgresql: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That it serves, that it goes on, and that it ends; the file of its heartbeat is gone then."""
    team = Team(tmp_path, postgresql, lease="5s")
    team.write()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(PATIENCE_SECONDS)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with team.worker("worker", "--backend", "filer", "--heartbeat-file", "alive") as worker:
            for _ in range(2):
                assert systemd.recv(100) == b"READY=1\nWATCHDOG=1"
            assert (team.filer / "alive").exists()
            worker.send_signal(signal.SIGTERM)
            ends_well(worker)
        while (told := systemd.recv(100)) != b"STOPPING=1":
            assert told == b"READY=1\nWATCHDOG=1"
    assert not (team.filer / "alive").exists()


def test_another_executor_for_one_run(tmp_path: Path, postgresql: Server, rabbitmq: Broker) -> None:
    """By this process alone, where no worker is; or without the broker. Where that cannot be, nothing is begun."""
    team = Team(tmp_path, postgresql, rabbitmq)
    team.write(share("a"))
    for command in (("plan",), ("apply", "--yes")):
        refused = run(*command, cwd=team.coordinator, env={"SHARECTL_STATE": str(tmp_path / "state.db")})
        assert refused.code == 1
        assert "the executor celery needs a state in PostgreSQL, and SHARECTL_STATE names a file" in refused.err
        assert "sharectl.yaml:8:" in refused.err
    assert not (tmp_path / "state.db").exists()
    with team.worker():
        assert team.run("apply", "--yes", "--executor", "queue").code == 0
    team.check(1)
    (team.filer / "m.yaml").write_text((team.coordinator / "m.yaml").read_text() + share("b"))
    ended = run("apply", "--yes", "--executor", "local", cwd=team.filer, env={"MQ": "guest"})
    assert ended.code == 0, ended.err
    team.check(2)


def test_a_worker_that_is_killed_in_a_call_costs_time_alone(tmp_path: Path, postgresql: Server) -> None:
    """The next one makes the call again, under the same id; who was lost, and who has made it, is told and in the history."""
    team = Team(tmp_path, postgresql)
    team.write(share("a"))
    with team.gated_worker() as first, team.applying() as apply:
        wait_until(lambda: team.is_at_gate("a"))
        kill(first)
        team.let_claims_run_out()
        with team.worker() as second:
            lost, taken = (f"filer@{gethostname()}-{each.pid}" for each in (first, second))
            said = ends_well(apply)
            assert f"the worker {lost} was lost while it made the call" in said
            assert f"taken    share/a again by {taken}, in place of {lost}" in said
            assert re.search(rf"done     create-share share/a on filer#pool \(.*\) by {re.escape(taken)}\n", said)
            assert f"worker: {taken}-" in team.run("history", "share/a").out
    ids = team.on_filer("SELECT DISTINCT resource_id FROM calls WHERE call = 'create_share'")
    assert len(ids) == 1
    team.check(1)


def test_a_call_goes_on_when_its_coordinator_is_killed(tmp_path: Path, postgresql: Server) -> None:
    """The next run waits for it before anything else, and records what it made."""
    team = Team(tmp_path, postgresql, config=SLOW)
    team.write(share("a"))
    with team.worker():
        with team.applying() as apply:
            wait_until(lambda: team.begun("create_share"))
            kill(apply)
        ended = team.run("apply", "--yes", "--lock-timeout", "2m")
        assert ended.code == 0, ended.err
    team.check(1)


def test_a_worker_that_is_asked_to_end_finishes_what_it_does(tmp_path: Path, postgresql: Server) -> None:
    """And nothing is made twice."""
    team = Team(tmp_path, postgresql, config=SLOW, lanes=1)
    team.write(share("a"), share("b"))
    with team.worker() as first, team.applying() as apply:
        wait_until(lambda: team.begun("create_share"))
        first.send_signal(signal.SIGTERM)
        with team.worker():
            ends_well(first)
            ends_well(apply)
    assert team.begun("create_share") == 2
    team.check(2)


def test_a_worker_that_was_stopped_for_longer_than_its_lease_sends_nothing_more(
    tmp_path: Path, postgresql: Server
) -> None:
    """What it would still do is done by another by then, and what it answers is dropped."""
    team = Team(tmp_path, postgresql)
    team.write(share("a", RULE))
    with team.gated_worker() as first, team.applying() as apply:
        wait_until(lambda: team.is_at_gate("a"))
        team.put_to_sleep(first)
        with team.worker() as second:
            ends_well(apply)
            team.go_on()
            first.send_signal(signal.SIGTERM)
            first.send_signal(signal.SIGCONT)
            said = ends_well(first)
    assert "a call that had been given up has ended; nobody waits for its outcome" in said
    calls = team.on_filer("SELECT call, process FROM calls WHERE call IN ('create_share', 'update_access')")
    assert [call for call, process in calls if process == first.pid] == ["create_share"]
    assert [call for call, process in calls if process == second.pid] == ["create_share", "update_access"]
    team.check(1)


def test_another_manifest_of_the_backend_at_the_worker_is_refused(tmp_path: Path, postgresql: Server) -> None:
    """With both digests, and before anything is begun."""
    team = Team(tmp_path, postgresql)
    team.write(share("a"))
    manifest = team.filer / "m.yaml"
    manifest.write_text(manifest.read_text().replace("lanes: 4", "lanes: 5"))
    with team.worker():
        ended = team.run("plan")
    assert "has another manifest of it: digest" in ended.err
    assert team.on_filer("SELECT 1") == []


def test_a_remote_backend_has_to_be_one_that_workers_can_serve(tmp_path: Path, postgresql: Server) -> None:
    """Told by validate, with the place: a wrong name, and a plugin that needs the state as well as its service."""
    team = Team(tmp_path, postgresql)
    team.write()
    project = team.coordinator / "sharectl.yaml"
    project.write_text(project.read_text().replace("filer: remote", "filler: remote"))
    ended = team.run("validate")
    assert ended.code == 1
    assert "there is no backend filler, which is to be remote" in ended.err
    assert 'did you mean "filer"?' in ended.err
    assert "sharectl.yaml:11:" in ended.err
    team.write()
    manifest = team.coordinator / "m.yaml"
    account = "{authUrl: 'http://127.0.0.1/', username: u, projectName: p, passwordFrom: {env: NOVA}}"
    servers = f"lanes: 4, shareServers: true, network: {{plugin: nova, config: {account}}}"
    manifest.write_text(manifest.read_text().replace("lanes: 4", servers))
    refused = team.run("validate").err
    assert "backend filer has the network plugin nova, and cannot be remote" in refused
    assert "m.yaml:5:" in refused


def test_a_role_that_may_only_be_a_worker_is_enough_for_one(tmp_path: Path, postgresql: Server) -> None:
    """Once it is admitted; before, it is told who can do that."""
    team = Team(tmp_path, postgresql)
    role = f"worker_{os.getpid()}_{uuid4().hex[:8]}"
    team.write(share("a"), user=role)
    team.prepare()
    team.query(f"CREATE ROLE {role} LOGIN")
    try:
        with team.start(team.filer, "worker", "--backend", "filer") as refused:
            out, _ = refused.communicate(timeout=PATIENCE_SECONDS)
        assert refused.returncode == 1
        assert b"sharectl workers admit --role ROLE --backend NAME" in out
        misspelt = team.run("workers", "admit", "--role", role, "--backend", "filr")
        assert misspelt.code == 64
        assert 'did you mean "filer"?' in misspelt.err
        unknown = team.run("workers", "admit", "--role", f"{role}_", "--backend", "filer")
        assert unknown.code == 1
        assert unknown.err.count("database postgres") == 1
        assert team.run("workers", "admit", "--role", role, "--backend", "filer").code == 0
        with team.worker():
            assert team.run("apply", "--yes").code == 0
        team.check(1)
    finally:
        team.query(f"DROP OWNED BY {role}")
        team.query(f"DROP ROLE {role}")


def test_the_owner_of_the_state_cannot_be_dismissed(tmp_path: Path, postgresql: Server) -> None:
    """It would serve on, and the sessions that would be ended are those of applies."""
    team = Team(tmp_path, postgresql)
    team.write(share("a"))
    team.prepare()
    refused = team.run("workers", "dismiss", "--role", USER, "--backend", "filer", "--now")
    assert refused.code == 1
    assert f"the role {USER} has the rights of the state's owner" in refused.err


def test_who_never_was_a_worker_is_not_dismissed(tmp_path: Path, postgresql: Server) -> None:
    """Its sessions are of other programs, and a name is soon mistyped."""
    team = Team(tmp_path, postgresql)
    team.write()
    team.prepare()
    refused = team.run("workers", "dismiss", "--role", "pg_monitor", "--backend", "filer", "--now")
    assert refused.code == 1
    assert "the role pg_monitor is not admitted for backend filer" in refused.err


def test_a_role_that_is_dismissed_serves_no_more(tmp_path: Path, postgresql: Server) -> None:
    """Its worker says so and lives on, and a plan tells it at once; with --now the worker ends itself."""
    team = Team(tmp_path, postgresql, lease="5s")
    role = f"worker_{os.getpid()}_{uuid4().hex[:8]}"
    team.write(share("a"), user=role)
    team.prepare()
    team.query(f"CREATE ROLE {role} LOGIN")
    try:
        assert team.run("workers", "admit", "--role", role, "--backend", "filer").code == 0
        with team.worker() as worker:
            dismissed = team.run("workers", "dismiss", "--role", role, "--backend", "filer")
            assert dismissed.code == 0, dismissed.err
            assert f"The role {role} may serve backend filer no more." in dismissed.err
            refused = team.run("plan")
            assert refused.code == 1
            assert "backend filer has no worker (that on " in refused.err
            assert team.run("workers", "dismiss", "--role", role, "--backend", "filer").code == 1
            assert worker.poll() is None
            ended = team.run("workers", "dismiss", "--role", role, "--backend", "filer", "--now")
            assert ended.code == 0, ended.err
            out, _ = worker.communicate(timeout=PATIENCE_SECONDS)
        assert f"{role} does not serve backend filer any more".encode() in out
        assert b"the database takes nothing of this worker any more" in out
    finally:
        team.query(f"DROP OWNED BY {role}")
        team.query(f"DROP ROLE {role}")


def test_killed_at_random_everything_is_done_once(tmp_path: Path, postgresql: Server) -> None:
    """Workers and coordinators, one after the other or together; in the end every share is there once, and nothing is left over."""
    random = Random(20)  # noqa: S311 - a repeatable test
    team = Team(tmp_path, postgresql, config="latency: {create_share: 300ms, update_access: 200ms},")
    shares = [share(f"s{number}", RULE) for number in range(24)]
    team.write(*shares)
    deadline = monotonic() + CHAOS_SECONDS
    kills = 0
    while monotonic() < deadline:
        with team.worker() as worker, team.start(team.coordinator, "apply", "--yes", "--lock-timeout", "2m") as apply:
            made = team.begun("create_share") + random.randint(1, 8)
            wait_until(lambda: team.begun("create_share") >= made or apply.poll() is not None)  # noqa: B023 - in this round
            for victim in random.choice([(worker,), (apply,), (worker, apply), (apply, worker)]):
                kill(victim)
                kills += 1
        team.let_claims_run_out()
    with team.worker():
        ended = team.run("apply", "--yes", "--lock-timeout", "2m")
        assert ended.code == 0, ended.err
        assert team.run("plan", "--detailed-exitcode").code == 0
    assert kills
    team.check(len(shares))
    made_calls = team.on_filer("SELECT count(*) FROM calls WHERE call = 'create_share' AND outcome = 'done'")
    assert made_calls[0][0] <= len(shares) + kills * team.lanes  # only what somebody took with him is made again


def test_a_folder_of_the_workers_host_is_worked_on_there(tmp_path: Path, postgresql: Server) -> None:
    """By a driver whose backend refuses earlier runs: the worker raises the fence of the run whose calls it makes."""
    team = Team(tmp_path, postgresql)
    team.write(share("a", RULE))
    for folder in (team.coordinator, team.filer):
        manifest = folder / "m.yaml"
        simulated = "driver: simulated, lanes: 4,  config: {stateFile: filer.db, log: true, }"
        directory = "driver: directory, config: {root: storage, exportHost: nas.example.org}"
        assert simulated in manifest.read_text()
        manifest.write_text(manifest.read_text().replace(simulated, directory))
    (team.filer / "storage").mkdir()
    with team.worker():
        ended = team.run("apply", "--yes")
        assert ended.code == 0, ended.err
        assert team.run("plan", "--detailed-exitcode").code == 0
    assert (team.filer / "storage" / "a").is_dir()
    (token,) = json.loads((team.filer / "storage" / ".sharectl" / "fences.json").read_text()).values()
    assert token == team.query("SELECT last_token FROM s.meta")[0][0]
    assert not (team.coordinator / "storage").exists()
