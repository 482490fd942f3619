"""The JSON Schema of the Neutron plugin's configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.network.openstack.account import ACCOUNT_PROPERTIES, ACCOUNT_RULES, text_schema

if TYPE_CHECKING:
    from sharectl.model.canonical import JsonObject


_BINDING: Final[JsonObject] = {
    "type": "object",
    "description": "Ports are bound to a host and its switch, as by Manila's NeutronBindNetworkPlugin.",
    "additionalProperties": False,
    "required": ["hostId"],
    "properties": {
        "hostId": text_schema("The host as Neutron's mechanism drivers know it (`binding:host_id`)."),
        "vnicType": {
            "enum": ["baremetal", "normal", "direct", "direct-physical", "macvtap"],
            "default": "baremetal",
            "description": "The kind of network card (`binding:vnic_type`). A port of another kind than `normal` is waited for until it is active.",
        },
        "profile": {
            "type": "object",
            "description": "What the mechanism driver needs to know (`binding:profile`), such as `{local_link_information: [{switch_id: …, port_id: …, switch_info: …}]}`.",
        },
        "waitSeconds": {
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": 3600,
            "default": 60,
            "description": "How long a port may take to become active.",
        },
    },
}

CONFIG_SCHEMA: Final[JsonObject] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Neutron network plugin",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        **ACCOUNT_PROPERTIES,
        "variant": {
            "enum": ["share-network", "single"],
            "default": "share-network",
            "description": "`share-network`: each share network names its Neutron network. `single`: all share servers of the backend are on `networkId`.",
        },
        "networkId": text_schema("The one Neutron network (variant `single`)."),
        "subnetId": text_schema("The subnet of that network (variant `single`)."),
        "physicalNetwork": text_schema(
            "The physical network that the storage is on; needed for networks of several segments."
        ),
        "binding": _BINDING,
    },
    **ACCOUNT_RULES,
    "if": {"properties": {"variant": {"const": "single"}}, "required": ["variant"]},
    "then": {"required": ["networkId", "subnetId"]},
    "else": {"properties": {"networkId": False, "subnetId": False}},
}
