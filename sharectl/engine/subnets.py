"""Whether a share server could be made in a subnet: what the network service says, then what the backend says of that network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.drivers.share_servers import ChecksSubnets
from sharectl.model.diagnostics import Severity, error
from sharectl.network.base import DescribesSubnets

if TYPE_CHECKING:
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.share_networks import ShareNetworkSubnet
    from sharectl.network.base import NetworkPlugin


def subnet_findings(
    plugin: NetworkPlugin, driver: object, subnet: ShareNetworkSubnet, addresses: int
) -> tuple[Diagnostic, ...]:
    """Return all findings for so many addresses; the backend is not asked where the network service has an error to tell.

    Raises NetworkError and DriverError.
    """
    findings = tuple(plugin.check(subnet, addresses))
    if not isinstance(driver, ChecksSubnets) or any(each.severity is Severity.ERROR for each in findings):
        return findings
    described = plugin.described(subnet) if isinstance(plugin, DescribesSubnets) else subnet
    problems = driver.subnet_problems(described)
    return (*findings, *(error("network.unfit", each.summary, remedy=each.remedy) for each in problems))
