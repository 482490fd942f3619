"""The JSON Schema of the standalone plugin's configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sharectl.model.canonical import JsonObject

_RANGES: Final[JsonObject] = {
    "type": "array",
    "maxItems": 1024,
    "items": {"type": "string", "minLength": 1, "maxLength": 96},
}

CONFIG_SCHEMA: Final[JsonObject] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Standalone network plugin",
    "description": "The network of subnets that name no `cidr` of their own, and defaults for those that do.",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "gateway": {
            "type": "string",
            "minLength": 1,
            "maxLength": 64,
            "description": "The router's address; with `mask` it says which network this is.",
        },
        "mask": {
            "type": ["string", "integer"],
            "minimum": 0,
            "maximum": 128,
            "maxLength": 64,
            "description": "The network's mask: `24` or `255.255.255.0`.",
        },
        "allowedIpRanges": {
            **_RANGES,
            "minItems": 1,
            "description": "The only addresses that share servers may get: `10.0.0.10`, `10.0.0.10-10.0.0.20` or `10.0.0.16/28`.",
        },
        "excluded": {**_RANGES, "description": "Addresses that share servers may not get."},
        "networkType": {
            "enum": ["flat", "vlan", "vxlan", "gre"],
            "default": "flat",
            "description": "How the tenant's traffic is kept apart, where the subnet does not say.",
        },
        "segmentationId": {
            "type": "integer",
            "minimum": 1,
            "maximum": 4_294_967_295,
            "description": "The VLAN id, VNI or GRE key, where the subnet gives no `networkType`.",
        },
        "mtu": {
            "type": "integer",
            "minimum": 576,
            "maximum": 65_535,
            "default": 1500,
            "description": "The largest packet in bytes, where the subnet does not say.",
        },
        "physicalNetwork": {
            "type": "string",
            "minLength": 1,
            "maxLength": 64,
            "pattern": "^[A-Za-z0-9._-]+$",
            "default": "default",
            "description": "The wires that the backend is on. Backends on the same ones never get the same address in one segment; those on others may.",
        },
    },
    "dependentRequired": {"gateway": ["mask"], "mask": ["gateway"]},
}
