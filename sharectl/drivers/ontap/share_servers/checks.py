"""What an array cannot have of share servers, told before it is reached by the same functions that the calls ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.drivers.ontap.share_servers.directory import ACTIVE_DIRECTORY, service_problems
from sharectl.drivers.ontap.share_servers.wanted import segment_problem
from sharectl.model.access import CIFS, protocols_in
from sharectl.model.checks import ShareServerProblem

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sharectl.model.share_networks import ShareServerSpec


def share_server_problems(server: ShareServerSpec, protocols: Collection[str]) -> Sequence[ShareServerProblem]:
    """Return what keeps such a share server from being there for shares of these protocols."""
    subnet = server.subnet
    problem = segment_problem(subnet.network_type, subnet.segmentation_id, subnet.mtu)
    found = [] if problem is None else [ShareServerProblem(*problem)]
    found += [ShareServerProblem(each.summary, each.remedy) for each in service_problems(server.security_services)]
    types = {service.service_type for service in server.security_services}
    if ACTIVE_DIRECTORY not in types and any(CIFS in protocols_in(each) for each in protocols):
        summary = f"an SVM serves CIFS in an Active Directory, and the share network {server.share_network} has none"
        found.append(
            ShareServerProblem(summary, "add a SecurityService of the type active_directory to it, or choose NFS")
        )
    return found
