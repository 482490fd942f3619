"""Share servers that a storage host cannot have: told by `validate` and `plan`."""

from __future__ import annotations

from typing import Any

from sharectl.model.backends import BackendSpec
from sharectl.model.share_networks import SecurityServiceSpec, ShareNetworkSpec, ShareNetworkSubnet
from sharectl.model.specs import ShareSpec
from sharectl.planner.shares.checks import ShareChecks
from tests.desired import desired_of

LDAP = SecurityServiceSpec("people", "ldap", {"server": "10.0.0.4"})
TUNNELS = {"vxlan": {"local": "192.0.2.10"}}


def told(networks: dict[str, Any], network_type: str | None, *services: SecurityServiceSpec) -> list[tuple[str, ...]]:
    """Return what is certain of a share on a network of this type, of a backend whose host has these."""
    config = {"pools": {"fast": {"type": "btrfs", "path": "/srv/pool"}}, "tenantNetworks": networks}
    subnet = ShareNetworkSubnet(cidr="10.0.0.0/24", network_type=network_type, segmentation_id=7)
    desired = desired_of(
        backends=[BackendSpec("nas", "linux", config, share_servers=True)],
        share_networks=[ShareNetworkSpec("red", (subnet,), tuple(service.name for service in services))],
        security_services=services,
    )
    found = ShareChecks(desired).certain(ShareSpec("a", 1, "NFS", share_network="red"), ())
    return [(*each.problem.path, each.problem.summary) for each in found]


def test_a_directory_service_is_refused_at_the_share() -> None:
    """No server on the host could join it."""
    assert told(TUNNELS, "vxlan") == []
    (problem,) = told(TUNNELS, "vxlan", LDAP)
    assert problem == ("shareNetwork", "the linux driver cannot join a directory service yet (people)")


def test_a_network_of_a_type_that_the_host_has_none_of_is_refused() -> None:
    """One of which only the network service knows the type is no problem yet."""
    assert told(TUNNELS, "vlan") == [
        (
            "shareNetwork",
            "the backend has no tenant network of the type 'vlan'; its settings have vxlan (tenantNetworks)",
        )
    ]
    assert told(TUNNELS, None) == []
