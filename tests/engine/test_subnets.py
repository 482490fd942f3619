"""Whether a share server could be made in a subnet: the network service is asked first, and the backend of what it describes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sharectl.engine.subnets import subnet_findings
from sharectl.model.checks import ShareServerProblem
from sharectl.model.diagnostics import Diagnostic, error
from sharectl.model.share_networks import ShareNetworkSubnet

SUBNET = ShareNetworkSubnet(neutron_net_id="n")


@dataclass
class Service:
    """A network service that knows the type of its networks."""

    findings: tuple[Diagnostic, ...] = ()

    def check(self, _subnet: ShareNetworkSubnet, _addresses: int = 1) -> tuple[Diagnostic, ...]:
        """Say what is wrong there."""
        return self.findings

    def described(self, subnet: ShareNetworkSubnet) -> ShareNetworkSubnet:
        """Say what it is."""
        return replace(subnet, network_type="vxlan")


@dataclass
class Backend:
    """A backend that has no such networks."""

    asked: list[ShareNetworkSubnet] = field(default_factory=list)

    def subnet_problems(self, subnet: ShareNetworkSubnet) -> list[ShareServerProblem]:
        """Refuse it."""
        self.asked.append(subnet)
        return [ShareServerProblem(f"no {subnet.network_type}", "choose another")]


def test_the_backend_is_asked_of_the_network_as_its_service_has_it() -> None:
    """What it says is an error of the subnet."""
    backend = Backend()
    (found,) = subnet_findings(Service(), backend, SUBNET, 1)  # type: ignore[arg-type]  # as much of a plugin as is asked
    assert (found.code, found.summary, found.remedy) == ("network.unfit", "no vxlan", "choose another")


def test_where_the_service_has_an_error_to_tell_the_backend_is_not_asked() -> None:
    """Nobody knows what the network is then; a driver that looks at no networks is asked nothing."""
    backend, wrong = Backend(), error("network.not-found", "no such network")
    assert subnet_findings(Service((wrong,)), backend, SUBNET, 1) == (wrong,)  # type: ignore[arg-type]  # as above
    assert backend.asked == []
    assert subnet_findings(Service(), object(), SUBNET, 1) == ()  # type: ignore[arg-type]  # as above
