"""Ports on Neutron's networks for the addresses of share servers.

As Manila's NeutronNetworkPlugin, NeutronSingleNetworkPlugin and NeutronBindNetworkPlugin (`manila/network/neutron/`). A port has Manila's
device owner, the share server as its device, the allocation's id as its name (Neutron takes no id from a client), and the mark of the
backend and state as its description, all set by the one request that makes it: so it can be found again after a crash, whenever that was.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from sharectl.model.diagnostics import error
from sharectl.network.base import NetworkError, NetworkNotFoundError, NetworkTransientError
from sharectl.network.neutron.api import (
    DEVICE_OWNER,
    NeutronApi,
    UnusableSubnetError,
    age,
    allocation_of,
    chosen_port,
    segment_of,
)
from sharectl.network.neutron.config import NetworkIds, read_settings

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sharectl.model.canonical import JsonObject
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.networks import AllocationRequest, NetworkAllocation
    from sharectl.model.share_networks import ShareNetworkSubnet
    from sharectl.network.base import NetworkEnvironment
    from sharectl.network.neutron.config import Binding, NeutronSettings

_POLL_SECONDS: Final = 0.5
_BINDING_FAILED: Final = "binding_failed"


def open_plugin(config: Mapping[str, Any], environment: NetworkEnvironment) -> NeutronPlugin:
    """Return the plugin; see the registry."""
    return NeutronPlugin(read_settings(config, environment.base_directory), environment)


class NeutronPlugin:
    """Meets NetworkPlugin. What is read of a network or subnet is kept until the plugin is closed."""

    def __init__(self, settings: NeutronSettings, environment: NetworkEnvironment) -> None:
        """Make ports for the share servers of one backend; no connection is made yet."""
        self._settings = settings
        self._api = NeutronApi(settings.account, environment.resolve_secret)
        self._mark = f"sharectl: backend {environment.backend}, state {environment.owner}"
        self._seen: dict[tuple[str, str], JsonObject] = {}

    def allocate(self, request: AllocationRequest) -> NetworkAllocation:
        """Make a port, or find the one that was made; see NetworkPlugin."""
        network, subnet = self._place(request.subnet)
        if self._settings.binding is None:
            segment_of(network, self._settings.physical_network)  # what cannot be used is not created either
        port = self._settle(request, subnet["id"])
        if port is None:
            self._create(request, network, subnet["id"])
            # An earlier request that was given up may have been carried out meanwhile: its port goes.
            port = self._settle(request, subnet["id"])
        if port is None:
            message = f"the port for {request.allocation_id} was deleted as soon as it was made"
            raise NetworkTransientError(message)
        binding = self._settings.binding
        if binding is not None:
            port = self._bound(port, binding)
            network = self._api.one("network", network["id"])  # binding may have made the segment
        return allocation_of(port, segment_of(network, self._settings.physical_network), subnet)

    def deallocate(self, allocation_id: str, share_server_id: str) -> None:
        """Delete every port that was made for the allocation; see NetworkPlugin."""
        for port in self._ports_of(allocation_id, share_server_id):
            self._api.delete_port(port["id"])

    def list_allocations(self, allocation_ids: Collection[str] | None = None) -> Sequence[NetworkAllocation]:
        """Return the ports with the mark, in one listing; see NetworkPlugin."""
        ports = [
            port
            for port in self._api.ports(description=self._mark)
            if port["fixed_ips"] and (allocation_ids is None or port["name"] in allocation_ids)
        ]
        networks = self._api.several("networks", {port["network_id"] for port in ports})
        subnets = self._api.several("subnets", {port["fixed_ips"][0]["subnet_id"] for port in ports})
        try:
            return [
                allocation_of(
                    port,
                    segment_of(networks[port["network_id"]], self._settings.physical_network),
                    subnets[port["fixed_ips"][0]["subnet_id"]],
                )
                for port in sorted(ports, key=age)
            ]
        except KeyError as cause:
            message = f"Neutron shows ports of {cause}, and not that network or subnet itself; try again, or see the account's role"
            raise NetworkTransientError(message) from cause

    def check(self, subnet: ShareNetworkSubnet, addresses: int = 1) -> Sequence[Diagnostic]:
        """Say whether network and subnet are there and can be used, and have that many addresses and ports; see NetworkPlugin."""
        try:
            network, found = self._place(subnet)
            if self._settings.binding is None:
                segment_of(network, self._settings.physical_network)
        except NetworkNotFoundError as failure:
            return [error("network.not-found", str(failure))]
        except UnusableSubnetError as failure:
            return [error("network.subnet", str(failure))]
        findings = []
        free = self._api.free_addresses(network["id"], found["id"])
        if free is not None and free[0] < addresses:
            summary = f"{found['cidr']} has too few addresses: {free[0]} free of {free[1]}, {addresses} wanted"
            remedy = "give the subnet a further allocation pool in Neutron, or delete ports that nobody needs"
            findings.append(error("network.exhausted", summary, remedy=remedy))
        quota = self._api.free_ports()
        if quota is not None and quota[0] < addresses:
            summary = f"the project may have {quota[0]} more Neutron ports of {quota[1]}, {addresses} wanted"
            findings.append(error("network.quota", summary, remedy="raise the quota: openstack quota set --ports"))
        return findings

    def described(self, subnet: ShareNetworkSubnet) -> ShareNetworkSubnet:
        """Return the subnet with the segment that its network is; see DescribesSubnets. One that binding makes is not known before."""
        if self._settings.binding is not None:
            return subnet
        segment = segment_of(self._place(subnet)[0], self._settings.physical_network)
        return replace(
            subnet,
            network_type=segment.network_type,
            segmentation_id=segment.segmentation_id,
            mtu=segment.mtu,
        )

    def close(self) -> None:
        """Close the connections; see NetworkPlugin."""
        self._api.close()

    def _place(self, subnet: ShareNetworkSubnet) -> tuple[JsonObject, JsonObject]:
        """Return the Neutron network and subnet that a subnet of a share network means."""
        wanted = self._wanted(subnet)
        network = self._known("network", wanted.network_id)
        subnet_id = wanted.subnet_id
        if subnet_id is None:
            if len(network["subnets"]) != 1:
                message = (
                    f"the Neutron network {network['id']} has {len(network['subnets'])} subnets; "
                    "name one of them as neutronSubnetId of the share network"
                )
                raise UnusableSubnetError(message)
            subnet_id = network["subnets"][0]
        found = self._known("subnet", subnet_id)
        if found["network_id"] != network["id"]:
            message = (
                f"the Neutron subnet {subnet_id} is not one of the network {network['id']}; correct one of the two ids"
            )
            raise UnusableSubnetError(message)
        return network, found

    def _wanted(self, subnet: ShareNetworkSubnet) -> NetworkIds:
        single = self._settings.single
        if single is None:
            if subnet.neutron_net_id is None:
                message = (
                    "the subnet names no Neutron network; write neutronNetId and neutronSubnetId in the share network"
                )
                raise UnusableSubnetError(message)
            return NetworkIds(subnet.neutron_net_id, subnet.neutron_subnet_id)
        named = subnet.neutron_net_id, subnet.neutron_subnet_id
        if any(theirs not in (None, ours) for theirs, ours in zip(named, single, strict=True)):
            message = (
                f"the backend has all its share servers on the Neutron network {single.network_id} and subnet {single.subnet_id}, "
                "and the share network names others; leave them out there, or use a backend with the variant share-network"
            )
            raise UnusableSubnetError(message)
        return single

    def _known(self, kind: str, identifier: str) -> JsonObject:
        if (kind, identifier) not in self._seen:
            self._seen[kind, identifier] = self._api.one(kind, identifier)
        return self._seen[kind, identifier]

    def _ports_of(self, allocation_id: str, share_server_id: str) -> list[JsonObject]:
        return self._api.ports(device_id=share_server_id, name=allocation_id)

    def _settle(self, request: AllocationRequest, subnet_id: str) -> JsonObject | None:
        """Return the one port of the allocation, made ours if it is not; others that were made for it are deleted."""
        ports = self._ports_of(request.allocation_id, request.share_server_id)
        kept = chosen_port(ports, subnet_id, request.preferred_address)
        for port in ports:
            if port is not kept:
                self._api.delete_port(port["id"])
        if kept is not None and kept["description"] != self._mark:
            return self._api.update_port(kept["id"], {"description": self._mark})
        return kept

    def _create(self, request: AllocationRequest, network: JsonObject, subnet_id: str) -> None:
        port: JsonObject = {
            "network_id": network["id"],
            "name": request.allocation_id,
            "description": self._mark,
            "device_owner": DEVICE_OWNER,
            "device_id": request.share_server_id,
            "admin_state_up": not network.get("router:external", False),
        }
        binding = self._settings.binding
        if binding is not None:
            port |= {
                "binding:host_id": binding.host_id,
                "binding:vnic_type": binding.vnic_type,
                "binding:profile": dict(binding.profile),
            }
        preferred = request.preferred_address
        fixed: JsonObject = {"subnet_id": subnet_id}
        if preferred is None or not self._api.create_port(
            {**port, "fixed_ips": [{**fixed, "ip_address": preferred}]}, address=preferred
        ):
            self._api.create_port({**port, "fixed_ips": [fixed]}, address=None)

    def _bound(self, port: JsonObject, binding: Binding) -> JsonObject:
        """Return the port once it is active; one that no mechanism driver takes is deleted."""
        deadline = time.monotonic() + binding.wait_seconds
        while True:
            if port["status"] == "ERROR" or port.get("binding:vif_type") == _BINDING_FAILED:
                self._api.delete_port(port["id"])
                message = (
                    f"no mechanism driver of Neutron binds a {binding.vnic_type} port to the host {binding.host_id!r}; "
                    "correct binding.hostId, vnicType or profile in the backend's network config, or Neutron's mechanism_drivers"
                )
                raise NetworkError(message)
            if port["status"] == "ACTIVE" or not binding.is_awaited:
                return port
            if time.monotonic() >= deadline:
                message = (
                    f"the Neutron port {port['id']} on the host {binding.host_id!r} has not become active within "
                    f"{binding.wait_seconds:g} s; see the switch, and the log of Neutron's mechanism driver"
                )
                raise NetworkTransientError(message)
            time.sleep(min(_POLL_SECONDS, binding.wait_seconds))
            port = self._api.one("port", port["id"])
