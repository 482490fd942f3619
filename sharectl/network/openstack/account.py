"""How an OpenStack service is reached: the part of a plugin's configuration that says where it is and who asks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from sharectl.model.frozen import dataclass, field
from sharectl.network.base import NetworkError
from sharectl.network.schemas import choice, seconds, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.model.canonical import JsonObject

_DEFAULT_TIMEOUT_SECONDS: Final = 30.0
_ADDRESS: Final = "^https?://[^\\s@]+$"  # a password before an @ would be in every message
_SECRET: Final[JsonObject] = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": False,
    "properties": {"env": {"type": "string", "minLength": 1}, "file": {"type": "string", "minLength": 1}},
    "description": "A reference to the secret: `{env: NAME}` or `{file: PATH}`.",
}

_AUTH: Final[JsonObject] = {
    "type": "object",
    "description": "The account, where no clouds.yaml describes it.",
    "additionalProperties": False,
    "required": ["type"],
    "properties": {
        "type": {
            "enum": ["password", "applicationCredential", "none"],
            "description": (
                "How sharectl proves who it is: a user's password, an application credential, or not at all "
                "(a service that runs without Keystone)."
            ),
        },
        "url": text("Keystone's address, such as `https://keystone.example:5000/v3`.", pattern=_ADDRESS),
        "username": text("The user's name."),
        "userDomainName": text("The user's domain.", default="Default"),
        "password": _SECRET,
        "projectName": text("The project that sharectl works in."),
        "projectDomainName": text("The project's domain.", default="Default"),
        "applicationCredentialId": text("The application credential's id."),
        "applicationCredentialSecret": _SECRET,
    },
    "oneOf": [
        {"properties": {"type": {"const": "password"}}, "required": ["url", "username", "password", "projectName"]},
        {
            "properties": {"type": {"const": "applicationCredential"}},
            "required": ["url", "applicationCredentialId", "applicationCredentialSecret"],
        },
        {"properties": {"type": {"const": "none"}}, "maxProperties": 1},
    ],
}

ACCOUNT_PROPERTIES: Final[JsonObject] = {
    "cloud": text("The cloud's name in clouds.yaml."),
    "cloudsFile": text(
        "The clouds.yaml; without it, those that openstacksdk finds (here, ~/.config/openstack, /etc/openstack)."
    ),
    "auth": _AUTH,
    "endpoint": text(
        "The service's address, such as `http://neutron.example:9696`, where the catalogue's is not wanted or there is none.",
        pattern=_ADDRESS,
    ),
    "region": text("The region, where the catalogue has several."),
    "interface": choice(["public", "internal", "admin"], "Which of the catalogue's endpoints is used."),
    "caCertificate": text(
        "A file with the authorities that certificates are checked by, where the system's are not enough."
    ),
    "timeoutSeconds": seconds(_DEFAULT_TIMEOUT_SECONDS, "How long Keystone and the service may take for one answer."),
}
"""The fields of a plugin's configuration that `read_account` reads."""


def variant_of(service: str) -> JsonObject:
    """Return the schema of the field that says whose networks are used."""
    return choice(
        ["share-network", "single"],
        f"`share-network`: each share network names its {service} network. "
        "`single`: all share servers of the backend are on `networkId`.",
    )


ACCOUNT_RULES: Final[JsonObject] = {
    "oneOf": [{"required": ["cloud"]}, {"required": ["auth"]}],
    "dependentRequired": {"cloudsFile": ["cloud"]},
}
"""What holds among these fields."""


@dataclass(frozen=True, slots=True)
class Account:
    """Where a service is and who asks. `auth` holds secrets as references; paths are absolute."""

    cloud: str | None = None
    clouds_file: str | None = None
    auth: Mapping[str, Any] = field(default_factory=dict)
    endpoint: str | None = None
    region: str | None = None
    interface: str = "public"
    ca_certificate: str | None = None
    timeout_seconds: float = _DEFAULT_TIMEOUT_SECONDS


def read_account(config: Mapping[str, Any], base_directory: str) -> Account:
    """Return the account that a configuration (valid by its schema) describes; raises NetworkError for what a schema cannot refuse."""
    if config.get("auth", {}).get("type") == "none" and "endpoint" not in config:
        message = "without authentication there is no catalogue: write the service's address as endpoint"
        raise NetworkError(message)

    def path(name: str) -> str | None:
        return os.path.join(base_directory, config[name]) if name in config else None  # noqa: PTH118 - openstacksdk takes text

    return Account(
        cloud=config.get("cloud"),
        clouds_file=path("cloudsFile"),
        auth=config.get("auth", {}),
        endpoint=config.get("endpoint"),
        region=config.get("region"),
        interface=config.get("interface", "public"),
        ca_certificate=path("caCertificate"),
        timeout_seconds=float(config.get("timeoutSeconds", _DEFAULT_TIMEOUT_SECONDS)),
    )
