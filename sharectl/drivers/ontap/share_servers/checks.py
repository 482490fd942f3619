"""What an array cannot have of share servers, told before it is reached by the same functions that the calls ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.drivers.ontap.share_servers.directory import ACTIVE_DIRECTORY, known_directory_of, service_problems
from sharectl.drivers.ontap.share_servers.wanted import segment_problem
from sharectl.model.access import CIFS, protocols_in
from sharectl.model.checks import ShareServerProblem

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sharectl.model.share_networks import ShareNetworkSubnet, ShareServerSpec


def share_server_problems(server: ShareServerSpec, protocols: Collection[str]) -> Sequence[ShareServerProblem]:
    """Return what keeps such a share server from being there for shares of these protocols."""
    found = network_problems(server.subnet)
    found += [ShareServerProblem(each.summary, each.remedy) for each in service_problems(server.security_services)]
    types = {service.service_type for service in server.security_services}
    if ACTIVE_DIRECTORY not in types and any(CIFS in protocols_in(each) for each in protocols):
        summary = (
            f"an SVM serves CIFS in an Active Directory, and the share network {server.share_network} has none (in a workgroup the users "
            "would be each server's own, under its name, and nobody would make them)"
        )
        found.append(
            ShareServerProblem(summary, "add a SecurityService of the type active_directory to it, or choose NFS")
        )
    return found


def network_problems(subnet: ShareNetworkSubnet) -> list[ShareServerProblem]:
    """Return what keeps an array from being on the network of a subnet, as far as it is known."""
    problem = segment_problem(subnet.network_type, subnet.segmentation_id, subnet.mtu)
    return [] if problem is None else [ShareServerProblem(*problem)]


def change_problems(
    before: ShareServerSpec, after: ShareServerSpec, protocols: Collection[str]
) -> Sequence[ShareServerProblem]:
    """Return what keeps such a share server from being changed while shares of these protocols are on it."""
    if not any(CIFS in protocols_in(each) for each in protocols):
        return []
    left, joined = (known_directory_of(each.security_services).active_directory for each in (before, after))
    if left is None or joined is None or left.domain.lower() == joined.domain.lower():
        return []
    summary = f"its SVM would leave the domain {left.domain} for {joined.domain}, and it has CIFS shares, whose users are in the first"
    remedy = "put the former SecurityService back until those shares are gone, or describe a new share network and move them there with spec.replacement"
    return [ShareServerProblem(summary, remedy)]
