"""The emulator as a program: its control endpoint, its state across restarts, its certificate authority."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme
import urllib3

from tests.emulators.ontap.client import Client
from tests.emulators.ontap.filling import fill
from tests.emulators.ontap.jobs import JobRecord
from tests.emulators.ontap.operations import Job
from tests.emulators.ontap.server import new_world, serving

if TYPE_CHECKING:
    from tests.emulators.ontap.server import Emulator
    from tests.emulators.ontap.world import World

CHECKOUT = Path(__file__).parents[3]


def control(client: Client, method: str, thing: str, body: object = None) -> tuple[int, Any]:
    """Ask the control endpoint."""
    content = None if body is None else json.dumps(body).encode()
    response = client.pool.request(method, f"/control/{thing}", body=content)
    return response.status, json.loads(response.data)


def test_the_control_endpoint_turns_what_a_test_can_turn(client: Client, emulator: Emulator) -> None:
    """Faults, changes, settings, time; calls and a dump can be read."""
    assert (
        control(client, "POST", "faults", {"kind": "refuse", "path": "/cluster/nodes", "code": 2621573, "times": 1})[0]
        == 200
    )
    assert client.get("/cluster/nodes").code == 2621573
    assert control(client, "GET", "faults")[1]["met"] == {"refuse": 1}
    assert control(client, "DELETE", "faults")[0] == 200
    assert control(client, "POST", "change", {"name": "node_down", "node": "n2"})[0] == 200
    assert client.get("/cluster/nodes?state=down").body["num_records"] == 1
    assert control(client, "PATCH", "settings", {"unmapped_status": 500})[1]["unmapped_status"] == 500
    assert control(client, "POST", "time", {"seconds": 60})[0] == 200
    assert emulator.world.clock.now() >= 60
    assert control(client, "GET", "calls")[1] == {"GET /cluster/nodes": 2}
    assert control(client, "GET", "dump")[1] == emulator.dump()
    for thing, body in (
        ("faults", {"kind": "nonsense"}),
        ("change", {"name": "nonsense"}),
        ("settings", {"nonsense": 1}),
    ):
        assert control(client, "PATCH" if thing == "settings" else "POST", thing, body)[0] == 400
    assert control(client, "GET", "nonsense")[0] == 404


def test_the_array_survives_a_restart(tmp_path: Path) -> None:
    """With all that it held, in a file that is written after each change."""
    state = tmp_path / "state"
    with serving(tmp_path, state=state) as first:
        assert Client(first).post("/network/ipspaces", {"name": "i1"}).status == 201
        kept = state.read_bytes()
        before = first.dump()
    state.write_bytes(kept)  # as if it had been killed
    with serving(tmp_path, state=state) as second:
        assert second.dump() == before
        assert Client(second).get("/network/ipspaces?name=i1").body["num_records"] == 1
        assert Client(second).post("/network/ipspaces", {"name": "i1"}).code == 1377261


def _named(world: World, name: str) -> None:
    world.taken_bytes[name] = 1


def test_jobs_go_on_after_a_restart_where_they_can(tmp_path: Path) -> None:
    """One that cannot be kept has failed, with nothing done."""
    from tests.emulators.ontap import jobs  # noqa: PLC0415 - beside its use

    first = new_world()
    first.clock.scale = 0.0
    kept = jobs.start(first, Job(60, partial(_named, name="kept")), "PATCH", "/a", None)
    lost = jobs.start(first, Job(60, lambda world: _named(world, "lost")), "PATCH", "/b", None)
    first.save(tmp_path / "state")
    second = new_world()
    second.clock.scale = 0.0
    second.load(tmp_path / "state")
    jobs.end_interrupted(second)
    second.pass_time(60)
    assert second.taken_bytes == {"kept": 1}
    assert [second[JobRecord][each.uuid].state for each in (kept, lost)] == ["success", "failure"]


@pytest.mark.parametrize("identity", ["localhost", "127.0.0.1"])
def test_a_client_trusts_only_the_emulators_own_authority(emulator: Emulator, tmp_path: Path, identity: str) -> None:
    """Its certificate holds for the address that it listens on."""
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    with urllib3.PoolManager(ca_certs=str(emulator.ca_file)) as pool:
        assert pool.request("GET", f"https://{identity}:{emulator.port}/api/cluster").status == 401
    with urllib3.PoolManager(ca_certs=str(other), retries=False) as pool, pytest.raises(urllib3.exceptions.SSLError):
        pool.request("GET", f"https://{identity}:{emulator.port}/api/cluster")


def test_a_certificate_that_must_not_be_accepted_can_be_shown(tmp_path: Path) -> None:
    """One for another name, say."""
    ca = trustme.CA()
    with serving(tmp_path, ca=ca, certificate=ca.issue_cert("elsewhere.example")) as running:
        pool = urllib3.PoolManager(ca_certs=str(running.ca_file), retries=False)
        with pool, pytest.raises(urllib3.exceptions.SSLError, match=r"127\.0\.0\.1"):
            pool.request("GET", f"{running.url}/cluster")


def test_a_request_that_the_emulator_cannot_handle_fails_the_test(tmp_path: Path) -> None:
    """Rather than be taken for an answer of the array."""

    def met() -> None:
        with serving(tmp_path) as running:
            running.fault("refuse", code=5)
            assert Client(running).get("/cluster").status == 500

    with pytest.raises(AssertionError, match="no code 5"):
        met()


def test_shares_can_be_filled_in() -> None:
    """Each a mounted volume with three rules of its own."""
    world = new_world()
    before = sum(map(len, world.dump().values()))
    fill(world, 3)
    assert sum(map(len, world.dump().values())) >= before + 6


def test_the_program_says_where_it_is_and_goes_on_from_its_state(tmp_path: Path) -> None:
    """The same authority and the same array, after it was stopped."""
    command = [sys.executable, "-m", "tests.emulators.ontap", "--directory", tmp_path, "--state", tmp_path / "state"]
    names = []
    for more in (["--shares", "2", "--ontap-version", "9.12.1"], []):
        with subprocess.Popen(
            [*command, *more], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, env=_environment()
        ) as program:
            assert program.stdout is not None
            said = dict(program.stdout.readline().split(maxsplit=1) for _ in range(2))
            name, password = program.stdout.readline().split()[1:]
            with urllib3.PoolManager(ca_certs=str(tmp_path / "ca.pem")) as pool:
                basic = urllib3.make_headers(basic_auth=f"{name}:{password}")
                url = f"https://{said['address'].strip()}/api/storage/volumes?name=filled*"
                answer = json.loads(pool.request("GET", url, headers=basic).data)
            names.append(sorted(each["name"] for each in answer["records"]))
            program.send_signal(signal.SIGTERM)
            assert program.wait(300) == 0
    assert names == [["filled_00000", "filled_00001"]] * 2


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
