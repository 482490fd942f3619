"""A worker that asks a real Neutron for the addresses of share servers: it alone has the account, and knows where Neutron is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.cli.team import Team, ends_well, kill, share, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.network.neutron_server import NeutronServer
    from tests.postgresql import Server

SPEC = "shareServers: true, network: {plugin: neutron, config: {cloud: lab, cloudsFile: clouds.yaml}},"
CLOUDS = "clouds: {{lab: {{auth_type: none, network_endpoint_override: '{url}', auth: {{endpoint: '{url}'}}}}}}\n"


def test_ports_come_and_go_with_their_servers(tmp_path: Path, postgresql: Server, neutron: NeutronServer) -> None:
    """Also where the worker is killed once it has the address: the next one finishes the server, with the same port."""
    subnet = neutron.new_subnet(neutron.new_network("vxlan"), "10.20.0.0/24")
    ids = {"neutronNetId": subnet.neutron_net_id, "neutronSubnetId": subnet.neutron_subnet_id}
    network = {
        "apiVersion": "sharectl/v1",
        "kind": "ShareNetwork",
        "metadata": {"name": "red"},
        "spec": {"subnets": [ids]},
    }
    red = f"---\n{json.dumps(network)}\n"
    hangs = "faults: [{call: create_share_server, first: 1, effect: hang}],"
    team = Team(tmp_path, postgresql, spec=SPEC, config=hangs)
    team.write(red, share("a", "shareNetwork: red"))
    (team.filer / "clouds.yaml").write_text(CLOUDS.format(url=neutron.url))
    with team.worker() as first, team.applying() as apply:
        wait_until(team.hangs)
        (port,) = neutron.ports_on(subnet)
        kill(first)
        team.let_claims_run_out()
        with team.worker():
            ends_well(apply)
            [(server,)] = team.on_filer("SELECT resource_id FROM share_servers")
            assert [each["id"] for each in neutron.ports_on(subnet)] == [port["id"]]
            assert (port["device_owner"], port["device_id"]) == ("manila:share", server)
            assert team.run("plan", "--detailed-exitcode").code == 0
            (address,) = (fixed["ip_address"] for fixed in port["fixed_ips"])
            assert f"{address}:/pool/a" in team.run("show", "share/a").out
            team.check(1)
            team.write(red)
            ended = team.run("apply", "--yes", "--allow-empty")
            assert ended.code == 0, ended.err
    assert neutron.ports_on(subnet) == []
    team.check(0)
