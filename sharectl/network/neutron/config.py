"""The configuration of the Neutron plugin: its JSON Schema, and the settings read from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sharectl.model.frozen import dataclass
from sharectl.network.openstack.account import ACCOUNT_PROPERTIES, ACCOUNT_RULES, Account, read_account, variant_of
from sharectl.network.schemas import choice, seconds, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.model.canonical import JsonObject

_DEFAULT_WAIT_SECONDS: Final = 60.0
_BINDING: Final[JsonObject] = {
    "type": "object",
    "description": "Ports are bound to a host and its switch, as by Manila's NeutronBindNetworkPlugin.",
    "additionalProperties": False,
    "required": ["hostId"],
    "properties": {
        "hostId": text("The host as Neutron's mechanism drivers know it (`binding:host_id`)."),
        "vnicType": choice(
            ["baremetal", "normal", "direct", "direct-physical", "macvtap"],
            "The kind of network card (`binding:vnic_type`). A port of another kind than `normal` is waited for until it is active.",
        ),
        "profile": {
            "type": "object",
            "description": "What the mechanism driver needs to know (`binding:profile`), such as `{local_link_information: [{switch_id: …, port_id: …, switch_info: …}]}`.",
        },
        "waitSeconds": seconds(int(_DEFAULT_WAIT_SECONDS), "How long a port may take to become active."),
    },
}

CONFIG_SCHEMA: Final[JsonObject] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Neutron network plugin",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        **ACCOUNT_PROPERTIES,
        "variant": variant_of("Neutron"),
        "networkId": text("The one Neutron network (variant `single`)."),
        "subnetId": text("The subnet of that network (variant `single`)."),
        "physicalNetwork": text(
            "The physical network that the storage is on; needed for networks of several segments."
        ),
        "binding": _BINDING,
    },
    **ACCOUNT_RULES,
    "if": {"properties": {"variant": {"const": "single"}}, "required": ["variant"]},
    "then": {"required": ["networkId", "subnetId"]},
    "else": {"properties": {"networkId": False, "subnetId": False}},
}


@dataclass(frozen=True, slots=True)
class Binding:
    """Where ports are bound; `profile` is passed to Neutron as `binding:profile`."""

    host_id: str
    vnic_type: str
    profile: Mapping[str, Any]
    wait_seconds: float

    @property
    def is_awaited(self) -> bool:
        """Whether a port becomes active by itself; a `normal` one does so only once the share server is on the network."""
        return self.vnic_type != "normal"


class NetworkIds(NamedTuple):
    """A Neutron network and the subnet in it; None if the network has only one."""

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
    binding = config.get("binding")
    return NeutronSettings(
        account=read_account(config, base_directory),
        single=NetworkIds(config["networkId"], config["subnetId"]) if config.get("variant") == "single" else None,
        physical_network=config.get("physicalNetwork"),
        binding=binding
        and Binding(
            host_id=binding["hostId"],
            vnic_type=binding.get("vnicType", "baremetal"),
            profile=binding.get("profile", {}),
            wait_seconds=float(binding.get("waitSeconds", _DEFAULT_WAIT_SECONDS)),
        ),
    )
