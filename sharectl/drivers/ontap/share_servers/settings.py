"""What a backend's configuration says of its share servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.model.canonical import JsonObject

NFS_VERSIONS: Final = ("3", "4.0", "4.1")
LEAST_TRANSFER_BYTES: Final = 8192
MOST_TRANSFER_BYTES: Final = 1 << 20
USUAL_TRANSFER_BYTES: Final = 65536
"""What an array and Manila give an NFS service where nothing else is asked for."""

SHARE_SERVERS_SCHEMA: Final[JsonObject] = {
    "type": "object",
    "required": ["homes"],
    "additionalProperties": False,
    "description": "Where and how share servers are made, with `shareServers: true`: an SVM for each share network.",
    "properties": {
        "homes": {
            "type": "array",
            "minItems": 1,
            "maxItems": 24,
            "description": "Where the LIFs of each share server are at home, one address for each: usually one for each node.",
            "items": {
                "type": "object",
                "required": ["node", "port"],
                "additionalProperties": False,
                "properties": {
                    "node": {
                        "type": "string",
                        "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,46}$",
                        "description": "Name of the node.",
                    },
                    "port": {
                        "type": "string",
                        "pattern": "^[A-Za-z][A-Za-z0-9]{0,14}$",
                        "errorMessage": "name a physical port or an interface group, such as e0d or a0a",
                        "description": "Physical port or interface group there, which carries the VLANs of tenants.",
                    },
                },
            },
        },
        "rootAggregate": {
            "type": "string",
            "minLength": 1,
            "maxLength": 255,
            "description": "Aggregate for the root volumes of the SVMs. Default: the array chooses.",
        },
        "nfsVersions": {
            "type": "array",
            "minItems": 1,
            "uniqueItems": True,
            "items": {"enum": [*NFS_VERSIONS], "description": "A version of NFS."},
            "description": "Versions of NFS that share servers speak. Default: all three.",
        },
        "tcpMaxTransferSize": {
            "type": "integer",
            "minimum": LEAST_TRANSFER_BYTES,
            "maximum": MOST_TRANSFER_BYTES,
            "description": "Most bytes that share servers read or write at once over NFS, as types ask for by `netapp:tcp_max_xfer_size`. Default: 65536.",
        },
        "machineAccounts": {
            "type": "object",
            "additionalProperties": False,
            "description": "Accounts of share servers in an Active Directory.",
            "properties": {
                "existing": {
                    "enum": ["refuse", "overwrite"],
                    "description": "What a new share server does with an account of its name that is there already. Default: refuse.",
                },
                "onRemoval": {
                    "enum": ["remove", "leave"],
                    "description": "Whether a share server that goes always takes its account along (remove, the default), or leaves it "
                    "where the directory cannot be reached or refuses (leave).",
                },
            },
        },
    },
}
"""Of `spec.config.shareServers`."""


class Home(NamedTuple):
    """A port of a node, on which the VLAN ports of tenants are made."""

    node: str
    port: str


@dataclass(frozen=True, slots=True)
class ShareServerSettings:
    """How share servers are made. Each has one LIF on every one of the `homes`."""

    homes: tuple[Home, ...]
    root_aggregate: str | None = None
    nfs_versions: tuple[str, ...] = NFS_VERSIONS
    transfer_bytes: int = USUAL_TRANSFER_BYTES
    overwrites_accounts: bool = False
    may_leave_accounts: bool = False


def share_server_settings(config: Mapping[str, Any]) -> ShareServerSettings | None:
    """Return the settings in a `spec.config` that meets the schema; None where it has none."""
    written = config.get("shareServers")
    if written is None:
        return None
    accounts = written.get("machineAccounts", {})
    versions = written.get("nfsVersions", NFS_VERSIONS)
    return ShareServerSettings(
        homes=tuple(Home(home["node"], home["port"]) for home in written["homes"]),
        root_aggregate=written.get("rootAggregate"),
        nfs_versions=tuple(version for version in NFS_VERSIONS if version in versions),
        transfer_bytes=written.get("tcpMaxTransferSize", USUAL_TRANSFER_BYTES),
        overwrites_accounts=accounts.get("existing") == "overwrite",
        may_leave_accounts=accounts.get("onRemoval") == "leave",
    )
