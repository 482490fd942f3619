"""The configuration of the Neutron plugin, as it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sharectl.model.frozen import dataclass
from sharectl.network.openstack.account import Account, read_account

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEFAULT_WAIT_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Binding:
    """Where ports are bound; `profile` is Neutron's `binding:profile` as it is."""

    host_id: str
    vnic_type: str
    profile: Mapping[str, Any]
    wait_seconds: float

    @property
    def is_awaited(self) -> bool:
        """Whether a port becomes active by itself; a `normal` one does so only once the share server is on the network."""
        return self.vnic_type != "normal"


@dataclass(frozen=True, slots=True)
class NetworkIds:
    """A Neutron network, and the subnet in it; the subnet is None where it goes without saying, for the network has just one."""

    network_id: str
    subnet_id: str | None


@dataclass(frozen=True, slots=True)
class NeutronSettings:
    """How Neutron is reached, and what ports are like. `single` is the network of all share servers where there is one."""

    account: Account
    single: NetworkIds | None = None
    physical_network: str | None = None
    binding: Binding | None = None


def read_settings(config: Mapping[str, Any], base_directory: str) -> NeutronSettings:
    """Return the settings that a configuration (valid by its schema) describes; raises NetworkError for what a schema cannot refuse."""
    return NeutronSettings(
        account=read_account(config, base_directory),
        single=NetworkIds(config["networkId"], config["subnetId"]) if config.get("variant") == "single" else None,
        physical_network=config.get("physicalNetwork"),
        binding=_binding(config["binding"]) if "binding" in config else None,
    )


def _binding(plain: Mapping[str, Any]) -> Binding:
    return Binding(
        host_id=plain["hostId"],
        vnic_type=plain.get("vnicType", "baremetal"),
        profile=plain.get("profile", {}),
        wait_seconds=float(plain.get("waitSeconds", _DEFAULT_WAIT_SECONDS)),
    )
