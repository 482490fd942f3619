"""The JSON Schema of the Nova network plugin's configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.network.openstack.account import ACCOUNT_PROPERTIES, ACCOUNT_RULES, variant_of
from sharectl.network.schemas import text

if TYPE_CHECKING:
    from sharectl.model.canonical import JsonObject

CONFIG_SCHEMA: Final[JsonObject] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Nova network plugin",
    "description": "Addresses of Nova network. The account needs Nova's admin role, for only an administrator sees fixed IPs.",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        **ACCOUNT_PROPERTIES,
        "endpoint": text(
            "Nova's address, such as `http://nova.example:8774/v2.1`, where the catalogue's is not wanted or there is none."
        ),
        "variant": variant_of("Nova"),
        "networkId": text("The one Nova network (variant `single`)."),
    },
    **ACCOUNT_RULES,
    "if": {"properties": {"variant": {"const": "single"}}, "required": ["variant"]},
    "then": {"required": ["networkId"]},
    "else": {"properties": {"networkId": False}},
}
