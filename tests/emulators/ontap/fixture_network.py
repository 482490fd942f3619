"""The network of the array that tests begin with, and the SVM on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.emulators.ontap.cluster import Node
from tests.emulators.ontap.layer2 import ipspace_named
from tests.emulators.ontap.network_records import BroadcastDomain, Ipspace, Lif, Port, Route, ServicePolicy
from tests.emulators.ontap.ports import port_named
from tests.emulators.ontap.service_policies import make_defaults, policy_named
from tests.emulators.ontap.service_settings import defaults, merged
from tests.emulators.ontap.svm_records import DnsService, NfsService, Svm

if TYPE_CHECKING:
    from tests.emulators.ontap.world import World

_NFS = {"enabled": True, "protocol": {"v40_enabled": True, "v41_enabled": True}}


def seed_network(world: World) -> None:
    """Make the IPspaces of every array, and three ports for each node: one of the cluster's own, two for data."""
    for name, domain, mtu in (("Default", "Default", 1500), ("Cluster", "Cluster", 9000)):
        ipspace = world[Ipspace].put(Ipspace(uuid=world.new_uuid(), name=name))
        world[BroadcastDomain].put(BroadcastDomain(uuid=world.new_uuid(), name=domain, ipspace=ipspace.uuid, mtu=mtu))
    domains = {one.name: one.uuid for one in world[BroadcastDomain]}
    for number, node in enumerate(world[Node], start=1):
        for last, name in enumerate(("e0a", "e0c", "e0d")):
            world[Port].put(
                Port(
                    uuid=world.new_uuid(),
                    name=name,
                    node=node.uuid,
                    domain=domains["Cluster" if name == "e0a" else "Default"],
                    mac_address=f"d0:39:ea:00:{number:02x}:{last:02x}",
                )
            )
    default = ipspace_named(world, "Default")
    assert default is not None
    make_defaults(world, default.uuid, None)
    _add_lif(world, policy_named(world, None, "default-management"), "cluster_mgmt", "10.0.0.10", "n1")


def seed_svm(world: World) -> None:
    """Make the SVM "vs1": LIFs on both nodes, a route, name servers, and NFS."""
    default = ipspace_named(world, "Default")
    assert default is not None
    svm = world[Svm].put(Svm(uuid=world.new_uuid(), name="vs1", ipspace=default.uuid))
    make_defaults(world, default.uuid, svm.uuid)
    for name, address, node in (
        ("vs1_nas_1", "10.0.0.11", "n1"),
        ("vs1_nas_2", "10.0.0.12", "n2"),
        ("vs1_nas_v6", "fd00::11", "n1"),
    ):
        _add_lif(world, policy_named(world, svm.uuid, "default-data-files"), name, address, node)
    world[Route].put(
        Route(
            uuid=world.new_uuid(),
            ipspace=default.uuid,
            destination="0.0.0.0",  # noqa: S104 - a destination
            length=0,
            gateway="10.0.0.1",
            svm=svm.uuid,
        )
    )
    nfs = merged(defaults("POST /protocols/nfs/services", "nfs_service"), _NFS)
    world[NfsService].put(NfsService(uuid=svm.uuid, settings=nfs))
    names = {
        "domains": ["example.com"],
        "servers": ["10.0.0.2", "10.0.0.3"],
        "scope": "svm",
        "attempts": 1,
        "timeout": 2,
    }
    world[DnsService].put(DnsService(uuid=svm.uuid, settings=names))


def _add_lif(world: World, policy: ServicePolicy | None, name: str, address: str, node: str) -> None:
    port = port_named(world, world[Node].where(name=node)[0].uuid, "e0c")
    assert port is not None
    assert policy is not None
    world[Lif].put(
        Lif(
            uuid=world.new_uuid(),
            name=name,
            ipspace=policy.ipspace,
            address=address,
            length=64 if ":" in address else 24,
            home_port=port.uuid,
            port=port.uuid,
            policy=policy.uuid,
            svm=policy.svm,
        )
    )
