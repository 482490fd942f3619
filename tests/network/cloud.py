"""A repository whose share servers get their addresses from a service of OpenStack, worked on by the command line; and what must hold of it."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

from sharectl.cli import main
from sharectl.state.rows import allocations_of
from tests.cli.console import PATIENCE_SECONDS, Console, Ended
from tests.engine.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from multiprocessing.process import BaseProcess
    from pathlib import Path

    import pytest

    from sharectl.model.share_networks import ShareNetworkSubnet
    from tests.network.neutron_server import NeutronServer
    from tests.network.proxy import Fault, FaultyProxy

BACKEND: Final = "sim"
FROM_THEN_ON: Final = 1 << 30
"""How many requests a fault befalls that does not end by itself."""

_FORKS: Final = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.network.cloud", "pytest", "openstack.config", "keystoneauth1.adapter"])


def document(kind: str, name: str, spec: Mapping[str, object]) -> str:
    """Return a manifest, written as JSON, which is YAML too."""
    plain = {"apiVersion": "sharectl/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    return f"---\n{json.dumps(plain)}\n"


class Cloud:
    """A repository with one backend, whose share servers get their addresses from a service of OpenStack behind the proxy."""

    def __init__(
        self, root: Path, plugin: str, endpoint: str, proxy: FaultyProxy, capture: pytest.CaptureFixture[str]
    ) -> None:
        """Begin without shares; the service's `endpoint` is one by the proxy."""
        self.proxy = proxy
        self.site = Site(root)
        self.network_config: dict[str, Any] = {"auth": {"type": "none"}, "endpoint": endpoint, "timeoutSeconds": 30}
        self.backend: dict[str, Any] = {"attempts": 1}
        self.share_networks: dict[str, dict[str, object]] = {}
        self._plugin = plugin
        self._console = Console(root, capture)

    def write(self, **shares: str) -> None:
        """Describe the backend, all share networks, and these shares, each with the tenant that it is for."""
        network = {"plugin": self._plugin, "config": self.network_config}
        config = {"stateFile": f"{BACKEND}.db"}
        common = {"driver": "simulated", "shareServers": True, "network": network, "config": config}
        share = {"size": "1GiB", "protocol": "NFS", "deletionPolicy": "delete"}
        self.site.write(
            document("Backend", BACKEND, common | self.backend),
            *(document("ShareNetwork", name, {"subnets": [ids]}) for name, ids in self.share_networks.items()),
            *(document("Share", name, {**share, "shareNetwork": tenant}) for name, tenant in shares.items()),
        )

    def __call__(self, *words: str) -> Ended:
        """Run a command in this process; `proxy.requests` are its requests afterwards."""
        self.proxy.requests.clear()
        ended = self._console(*words)
        assert "in a way that it should not" not in ended.out + ended.err
        return ended

    def apply(self, *words: str) -> Ended:
        """Apply, which must succeed."""
        return self._succeed("apply", "--yes", *words)

    def destroy(self) -> Ended:
        """Destroy everything, which must succeed."""
        return self._succeed("destroy", "--yes")

    def steps(self) -> list[str]:
        """Return the ids of the steps that the next apply would take; planning must succeed."""
        return [step["id"] for step in json.loads(self._succeed("plan", "--output", "json").out)["steps"]]

    def upset(self, fault: Fault, *words: str) -> bool:
        """Run a command, however it ends, while the fault is there; tell whether that befell any request."""
        wanted = fault.times
        self.proxy.faults.append(fault)
        self(*words)
        self.proxy.faults.remove(fault)
        return fault.times < wanted

    def killed(self, fault: Callable[[Callable[[], None]], Fault], *words: str) -> None:
        """Run a command in a process of its own until it is killed by the fault, which `fault` makes from what kills it."""
        self.proxy.requests.clear()
        process: BaseProcess = _FORKS.Process(target=_command, args=(str(self.site.root), words))
        made = fault(process.kill)
        self.proxy.faults.append(made)
        process.start()
        process.join(PATIENCE_SECONDS)
        self.proxy.faults.remove(made)
        assert process.exitcode == -signal.SIGKILL, (self.site.root / "output").read_text()

    def allocations(self, servers: int) -> list[dict[str, Any]]:
        """Assert that there are as many share servers, and that state and backend tell the same of their addresses, and return these."""
        view = self.site.view()
        rows = [row for row in view.records.values() if row.kind == "share_server"]
        assert len(rows) == servers
        assert not view.operations
        recorded = {row.resource_id: [a.as_plain() for a in allocations_of(row)] for row in rows}
        there = dict(self.site.query(BACKEND, "SELECT resource_id, allocations FROM share_servers"))
        assert {server: json.loads(allocations) for server, allocations in there.items()} == recorded
        return [plain for allocations in recorded.values() for plain in allocations]

    def _succeed(self, *words: str) -> Ended:
        ended = self(*words)
        assert ended.code == 0, ended.out + ended.err
        return ended


class NeutronCloud(Cloud):
    """The same with Neutron, and with tenants' networks and other people's ports in it."""

    def __init__(
        self, root: Path, neutron: NeutronServer, proxy: FaultyProxy, capture: pytest.CaptureFixture[str]
    ) -> None:
        """Begin without tenants and shares."""
        super().__init__(root, "neutron", proxy.url, proxy, capture)
        self.neutron = neutron
        self.tenants: dict[str, ShareNetworkSubnet] = {}
        self._strangers: dict[str, object] = {}

    def add_tenant(
        self,
        name: str = "red",
        network_type: str = "vxlan",
        cidr: str = "10.20.0.0/24",
        **subnet: Any,  # noqa: ANN401 - Neutron's attributes
    ) -> ShareNetworkSubnet:
        """Make a network in Neutron for a tenant."""
        network = self.neutron.new_network(network_type)
        made = self.tenants[name] = self.neutron.new_subnet(network, cidr, **subnet)
        self.share_networks[name] = {"neutronNetId": made.neutron_net_id, "neutronSubnetId": made.neutron_subnet_id}
        return made

    def add_strangers(self, subnet: ShareNetworkSubnet) -> None:
        """Put the ports of a virtual machine, of Manila, and of a backend with our name in another state on a tenant's network."""
        self.add_stranger(subnet, device_owner="compute:nova")
        self.add_stranger(subnet, device_owner="manila:share", device_id="theirs", name="theirs_0")
        other = f"sharectl: backend {BACKEND}, state of-another"
        self.add_stranger(subnet, device_owner="manila:share", description=other, name="other/0", device_id="other")

    def add_stranger(self, subnet: ShareNetworkSubnet, **port: str) -> None:
        """Make a port that must stay as it is."""
        found = self.new_port(subnet, **port)
        self._strangers[found["id"]] = found

    def new_port(self, subnet: ShareNetworkSubnet, address: str | None = None, **port: str) -> dict[str, Any]:
        """Make a port as an administrator does."""
        fixed = {"subnet_id": subnet.neutron_subnet_id} | ({} if address is None else {"ip_address": address})
        body = {"network_id": subnet.neutron_net_id, "fixed_ips": [fixed], **port}
        made: dict[str, Any] = self.neutron.api("POST", "/ports", {"port": body})["port"]
        return made

    def ports(self) -> dict[str, str]:
        """Return the ports on the tenants' networks that are no stranger's, each with its address; those of strangers are as they were."""
        found = {port["id"]: port for subnet in self.tenants.values() for port in self.neutron.ports_on(subnet)}
        strangers = {port_id: found.pop(port_id, None) for port_id in self._strangers}
        assert strangers == self._strangers
        return {port_id: port["fixed_ips"][0]["ip_address"] for port_id, port in found.items()}

    def port(self) -> dict[str, Any]:
        """Return the one port that is no stranger's."""
        (port_id,) = self.ports()
        port: dict[str, Any] = self.neutron.api("GET", f"/ports/{port_id}")["port"]
        return port

    def check(self, servers: int) -> None:
        """Assert that there are as many share servers, and that Neutron, the state and the backend tell the same of their addresses."""
        held = {plain["port_id"]: plain["ip_address"] for plain in self.allocations(servers)}
        assert self.ports() == held

    def check_accounted(self) -> None:
        """Assert that every port of ours is for a share server that the state knows, or is about to make or remove."""
        view = self.site.view()
        known = {row.resource_id for row in view.records.values()} | {op.resource_id for op in view.operations}
        for port_id in self.ports():
            port = self.neutron.api("GET", f"/ports/{port_id}")["port"]
            assert port["device_id"] in known, f"{port} is nobody's"


def _command(root: str, words: tuple[str, ...]) -> None:
    """Run a command as a process does, with what it prints in ROOT/output."""
    output = os.open(f"{root}/output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for number in (1, 2):
        os.dup2(output, number)
    sys.exit(main(["-C", root, *words]))
