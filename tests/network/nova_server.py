"""A real Nova with Nova network for tests: the last release that has it, its database in SQLite, without its other services."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sharectl.model.share_networks import ShareNetworkSubnet
from tests.network.ledger import MemoryLedger

from .opening import open_plugin
from .processes import Service, openstack_python

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.network.base import AllocationLedger, NetworkPlugin

_NOVA_CONF = """\
[DEFAULT]
state_path = {folder}
use_neutron = False
transport_url = fake://
enabled_apis = osapi_compute
api_paste_config = {environment}/etc/nova/api-paste.ini
log_file = {folder}/nova.log
use_stderr = False
[api]
auth_strategy = {auth_strategy}
[database]
connection = sqlite:///{folder}/nova.sqlite?timeout=30
[api_database]
connection = sqlite:///{folder}/nova_api.sqlite?timeout=30
[oslo_concurrency]
lock_path = {folder}/locks
[keystone_authtoken]
{authtoken}
"""


class NovaServer(Service):
    """Nova, and what its administrator and its servers do."""

    def __init__(self, folder: Path, *, auth_strategy: str = "noauth2", authtoken: str = "") -> None:
        """Write the configuration."""
        python = openstack_python("nova")
        super().__init__(python, "serve_nova.py", folder)
        environment = Path(python).parent.parent
        values = {"folder": folder, "environment": environment, "auth_strategy": auth_strategy, "authtoken": authtoken}
        (folder / "nova.conf").write_text(_NOVA_CONF.format(**values))
        self._numbers: Iterator[int] = itertools.count(1)

    @property
    def endpoint(self) -> str:
        """The address of its API."""
        return f"{self.url}/v2.1"

    def new_network(self, prefix: int = 24, **more: Any) -> ShareNetworkSubnet:  # noqa: ANN401 - parts of documents have many types
        """Make a network on a VLAN of its own, unless it says `vlan=None`, and return how a share network names it."""
        number = next(self._numbers)
        values = {"cidr": f"10.{100 + number // 256}.{number % 256}.0/{prefix}", "vlan": number, **more}
        return ShareNetworkSubnet(nova_net_id=self.administrator("create_network", **values))

    def new_small_network(self) -> tuple[ShareNetworkSubnet, list[str]]:
        """Make a VLAN with three addresses to give out, and return these, the highest first.

        The lowest four of its eight are the network's own, the gateway's, the VPN's, and one that the administrator reserved.
        """
        subnet = self.new_network(29)
        base = self.network(subnet)["cidr"].partition("/")[0].rpartition(".")[0]
        self.reserve(f"{base}.3")
        return subnet, [f"{base}.{number}" for number in (6, 5, 4)]

    def network(self, subnet: ShareNetworkSubnet) -> dict[str, Any]:
        """Return what Nova says of a network."""
        found: dict[str, Any] = self.ask("GET", f"/v2.1/os-networks/{subnet.nova_net_id}")["network"]
        return found

    def fixed_ip(self, address: str) -> dict[str, Any]:
        """Return what Nova says of an address."""
        headers = {"X_OpenStack_Nova_API_Version": "2.4"}
        found: dict[str, Any] = self.ask("GET", f"/v2.1/os-fixed-ips/{address}", **headers)["fixed_ip"]
        return found

    def reserve(self, address: str) -> None:
        """Reserve an address as an administrator does with `nova fixed-ip-reserve`."""
        self.ask("POST", f"/v2.1/os-fixed-ips/{address}/action", {"reserve": None})

    def unreserve(self, address: str) -> None:
        """Take the reservation back as an administrator does with `nova fixed-ip-unreserve`."""
        self.ask("POST", f"/v2.1/os-fixed-ips/{address}/action", {"unreserve": None})

    def administrator(self, what: str, **values: Any) -> Any:  # noqa: ANN401 - parts of documents have many types
        """Let Nova's other services do something (tests/network/openstack/serve_nova.py)."""
        return self.ask("POST", f"/administrator/{what}", values)


class Plugins:
    """Opens plugins on a server, each with further configuration, all over one ledger, which outlives them as the state does."""

    def __init__(self, server: NovaServer, folder: Path) -> None:
        """Open none yet."""
        self.ledger = MemoryLedger()
        self._server = server
        self._folder = folder
        self._opened: list[NetworkPlugin] = []

    def __call__(
        self,
        backend: str = "backend",
        *,
        ledger: AllocationLedger | None = None,
        **config: Any,  # noqa: ANN401 - parts of documents have many types
    ) -> NetworkPlugin:
        """Open one, without authentication unless `config` says otherwise."""
        complete = {"auth": {"type": "none"}, "endpoint": self._server.endpoint, **config}
        self._opened.append(open_plugin("nova", complete, self._folder, backend=backend, ledger=ledger or self.ledger))
        return self._opened[-1]

    def close(self) -> None:
        """Close all."""
        for plugin in self._opened:
            plugin.close()
