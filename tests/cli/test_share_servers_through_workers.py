"""Share servers on a backend that workers serve: addresses are taken before a server is made, given back after it is gone, and none is lost in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from tests.cli.team import Team, ends_well, kill, share, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgresql import Server

SPEC = "shareServers: true, network: {plugin: standalone},"
SLOW = "latency: {create_share_server: 3s},"
HANGS = "faults: [{call: create_share_server, first: 1, effect: hang}],"


def network(name: str, segment: int) -> str:
    """Return the manifest of a share network; all have the same addresses."""
    subnet = f"{{cidr: 10.0.0.0/24, gateway: 10.0.0.1, networkType: vlan, segmentationId: {segment}}}"
    return (
        f"---\napiVersion: sharectl/v1\nkind: ShareNetwork\nmetadata: {{name: {name}}}\nspec: {{subnets: [{subnet}]}}\n"
    )


def on(name: str, net: str) -> str:
    """Return the manifest of a share on a share network."""
    return share(name, f"shareNetwork: {net}")


RED, BLUE = network("red", 7), network("blue", 8)


def check_servers(team: Team, servers: int) -> None:
    """Expect so many servers, with the addresses that the state has for them, and no address of nobody."""
    made = dict(team.on_filer("SELECT resource_id, allocations FROM share_servers"))
    assert len(made) == servers
    held = {each["allocation_id"]: each["ip_address"] for text in made.values() for each in orjson.loads(text)}
    rows = team.query("SELECT resource_id, attributes FROM s.resource WHERE kind = 'network_allocation'")
    assert held == {allocation_id: orjson.loads(bytes(attributes))["ip_address"] for allocation_id, attributes in rows}
    recorded = {each for (each,) in team.query("SELECT resource_id FROM s.resource WHERE kind = 'share_server'")}
    assert recorded == made.keys()


def test_tenants_live_through_a_worker(tmp_path: Path, postgresql: Server) -> None:
    """Their servers get addresses here and are made there, and nothing is left of who goes."""
    team = Team(tmp_path, postgresql, spec=SPEC)
    team.write(RED, BLUE, on("a", "red"), on("b", "red"), on("c", "blue"))
    with team.worker():
        ended = team.run("apply", "--yes")
        assert ended.code == 0, ended.err
        team.check(3)
        check_servers(team, 2)
        assert team.run("plan", "--detailed-exitcode").code == 0
        assert "10.0.0.2:/pool/c" in team.run("show", "share/c").out
        team.write(RED, on("a", "red"))
        ended = team.run("apply", "--yes")
        assert ended.code == 0, ended.err
        team.check(1)
        check_servers(team, 1)
        assert team.run("plan", "--detailed-exitcode").code == 0
    told = team.query("SELECT count(*) FROM s.call")
    assert told == [(0,)]


def test_a_server_whose_worker_is_killed_is_made_by_the_next(tmp_path: Path, postgresql: Server) -> None:
    """Under the same id, with the same address, and nothing is left over."""
    team = Team(tmp_path, postgresql, spec=SPEC, config=HANGS)
    team.write(RED, on("a", "red"))
    with team.worker() as first, team.applying() as apply:
        wait_until(team.hangs)
        kill(first)
        team.let_claims_run_out()
        with team.worker():
            ends_well(apply)
    assert team.begun("create_share_server") == 2
    assert len(team.on_filer("SELECT DISTINCT resource_id FROM calls WHERE call = 'create_share_server'")) == 1
    team.check(1)
    check_servers(team, 1)


def test_a_server_whose_coordinator_is_killed_is_finished_by_the_next_run(tmp_path: Path, postgresql: Server) -> None:
    """It keeps the address that it was given."""
    team = Team(tmp_path, postgresql, spec=SPEC, config=SLOW)
    team.write(RED, on("a", "red"))
    with team.worker():
        with team.applying() as apply:
            wait_until(lambda: team.begun("create_share_server"))
            kill(apply)
        ended = team.run("apply", "--yes", "--lock-timeout", "2m")
        assert ended.code == 0, ended.err
        assert team.run("plan", "--detailed-exitcode").code == 0
    assert len(team.on_filer("SELECT DISTINCT resource_id FROM calls WHERE call = 'create_share_server'")) == 1
    team.check(1)
    check_servers(team, 1)


def test_a_server_that_is_refused_gives_its_address_back(tmp_path: Path, postgresql: Server) -> None:
    """At once; the shares of its network are skipped, and the others go on."""
    fault = 'faults: [{call: create_share_server, name: "red-*", effect: error}],'
    team = Team(tmp_path, postgresql, spec=SPEC, config=fault)
    team.write(RED, BLUE, on("a", "red"), on("c", "blue"))
    with team.worker():
        ended = team.run("apply", "--yes")
    assert ended.code == 1
    team.check(1)
    check_servers(team, 1)
