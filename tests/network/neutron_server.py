"""A real Neutron for tests: its database in SQLite, no agents, and a mechanism driver that binds ports without a switch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sharectl.model.share_networks import ShareNetworkSubnet

from .processes import Service, openstack_python

if TYPE_CHECKING:
    from collections.abc import Mapping

_NEUTRON_CONF = """\
[DEFAULT]
state_path = {folder}
auth_strategy = {auth_strategy}
core_plugin = ml2
service_plugins =
transport_url = fake://
rpc_workers = 0
rpc_state_report_workers = 0
api_workers = 1
notify_nova_on_port_status_changes = False
notify_nova_on_port_data_changes = False
dhcp_agent_notification = False
api_paste_config = {environment}/etc/neutron/api-paste.ini
global_physnet_mtu = 9000
pagination_max_limit = 7
log_file = {folder}/neutron.log
use_stderr = False
[database]
connection = sqlite:///{folder}/neutron.sqlite?timeout=30
[oslo_concurrency]
lock_path = {folder}/locks
[quotas]
quota_port = -1
quota_network = -1
quota_subnet = -1
[oslo_policy]
policy_file = {folder}/policy.yaml
[keystone_authtoken]
{authtoken}
"""
_ML2_CONF = """\
[ml2]
type_drivers = flat,vlan,vxlan,gre
tenant_network_types = vxlan
mechanism_drivers = sharectl_binding
path_mtu = 9000
[ml2_type_flat]
flat_networks = *
[ml2_type_vlan]
network_vlan_ranges = physnet1:100:2999,physnet2:100:2999
[ml2_type_vxlan]
vni_ranges = 5000:6000
[ml2_type_gre]
tunnel_id_ranges = 1:1000
"""
# By default the binding profile is for Nova's service account alone; a cloud opens it for sharectl's, as it does for Manila's.
_POLICY = """\
"create_port:binding:profile": "role:admin"
"update_port:binding:profile": "role:admin"
"""


class NeutronServer(Service):
    """Neutron, and what its administrator does."""

    def __init__(self, folder: Path, *, auth_strategy: str = "noauth", authtoken: str = "") -> None:
        """Write the configuration."""
        python = openstack_python("neutron")
        super().__init__(python, "serve_neutron.py", folder)
        environment = Path(python).parent.parent
        values = {"folder": folder, "environment": environment, "auth_strategy": auth_strategy, "authtoken": authtoken}
        (folder / "neutron.conf").write_text(_NEUTRON_CONF.format(**values))
        (folder / "ml2_conf.ini").write_text(_ML2_CONF)
        (folder / "policy.yaml").write_text(_POLICY)
        self.headers: Mapping[str, str] = {}
        self._count = 0

    def api(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - parts of documents have many types
        """Send a request as the administrator."""
        return self.ask(method, f"/v2.0{path}", body, **self.headers)

    def new_network(self, network_type: str = "vlan", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - parts of documents have many types
        """Make a network of that type on a segment that Neutron chooses."""
        body = {"provider:network_type": network_type, **more}
        if network_type == "vlan":
            body.setdefault("provider:physical_network", "physnet1")
        if network_type == "flat":
            self._count += 1
            body.setdefault("provider:physical_network", f"flat{self._count}")
        network: dict[str, Any] = self.api("POST", "/networks", {"network": body})["network"]
        return network

    def new_subnet(self, network: Mapping[str, Any], cidr: str = "10.20.0.0/24", **more: Any) -> ShareNetworkSubnet:  # noqa: ANN401 - parts of documents have many types
        """Make a subnet in a network, and return how a share network names it."""
        body = {"network_id": network["id"], "ip_version": 6 if ":" in cidr else 4, "cidr": cidr, **more}
        subnet = self.api("POST", "/subnets", {"subnet": body})["subnet"]
        return ShareNetworkSubnet(neutron_net_id=network["id"], neutron_subnet_id=subnet["id"])

    def ports_on(self, subnet: ShareNetworkSubnet) -> list[dict[str, Any]]:
        """Return all ports on the network, whoever made them."""
        found: list[dict[str, Any]] = self.api("GET", f"/ports?network_id={subnet.neutron_net_id}")["ports"]
        return found
