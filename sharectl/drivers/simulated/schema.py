"""The JSON Schema of the configuration of a simulated backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import Capability

if TYPE_CHECKING:
    from sharectl.model.canonical import JsonObject

CAPABILITIES: Final = frozenset(Capability) - {Capability.SNAPSHOT_POLICY}
"""What the driver can do: nobody is there who could take snapshots while sharectl does not run."""

CALLS: Final = (
    "report",
    "prepare",
    "pools",
    "list_shares",
    "create_share",
    "delete_share",
    "update_access",
    "extend_share",
    "shrink_share",
    "list_snapshots",
    "create_snapshot",
    "delete_snapshot",
    "revert_share",
    "rename_export",
    "change_protocols",
    "trash_share",
    "restore_share",
    "adopt_share",
    "used_bytes",
    "list_share_servers",
    "create_share_server",
    "update_share_server",
    "delete_share_server",
)
EFFECTS: Final = (
    "error",
    "transient",
    "pool-error",
    "unavailable",
    "hang",
    "lie",
    "lose",
    "half-list",
    "crash-after",
)

_DURATION: Final[JsonObject] = {
    "type": "string",
    "pattern": "^[0-9]+(\\.[0-9]+)?(ms|s)$",
    "description": "A time such as 50ms or 1.5s.",
}
_SIZE: Final[JsonObject] = {"type": "string", "pattern": "^[0-9]{1,15}(\\.[0-9]{1,6})? ?([KMGTP]i?B|kB|B)$"}
_CAPACITY: Final[JsonObject] = {
    "oneOf": [{"enum": ["unknown", "infinite"]}, _SIZE],
    "errorMessage": "write a number and a unit, such as 10TiB, or unknown or infinite",
}
_PERCENTAGE: Final[JsonObject] = {"type": "number", "minimum": 0, "maximum": 100}

_POOL: Final[JsonObject] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "name": {
            "type": "string",
            "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$",
            "description": "Name of the pool; with `count` the start of the names, which a number follows. Default: pool.",
        },
        "count": {"type": "integer", "minimum": 1, "maximum": 100000, "description": "How many pools like this one."},
        "total": {**_CAPACITY, "description": "Capacity: a size, unknown or infinite. Default: 10TiB."},
        "free": {
            **_CAPACITY,
            "description": "Free capacity to report whatever the shares are. Default: the total without what is used, of a thick pool "
            "without what is allocated.",
        },
        "thin": {"type": "boolean", "description": "Thin provisioning. Default: true."},
        "maxOverSubscriptionRatio": {"type": "number", "minimum": 1, "description": "As Manila's."},
        "reservedPercentage": {**_PERCENTAGE, "description": "As Manila's reserved_percentage."},
        "reservedSnapshotPercentage": {**_PERCENTAGE, "description": "As Manila's."},
        "reservedShareExtendPercentage": {**_PERCENTAGE, "description": "As Manila's."},
        "capabilities": {"type": "object", "description": "Further capabilities that the pool reports."},
    },
}

_FAULT: Final[JsonObject] = {
    "type": "object",
    "required": ["call", "effect"],
    "additionalProperties": False,
    "properties": {
        "call": {"enum": [*CALLS, "*"], "description": "The call that it affects; * is every call."},
        "effect": {"enum": list(EFFECTS), "description": "What happens; see docs/reference/simulated-driver.md."},
        "nth": {"type": "integer", "minimum": 1, "description": "Only the nth of the calls that match."},
        "first": {"type": "integer", "minimum": 1, "description": "Only the first n of the calls that match."},
        "every": {"type": "integer", "minimum": 1, "description": "Every nth of the calls that match."},
        "probability": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "This part of the calls that match, chosen by the seed.",
        },
        "pool": {"type": "string", "description": "Only calls about this pool."},
        "name": {
            "type": "string",
            "description": "Only calls about shares, snapshots and share servers with names like this (* and ?).",
        },
        "message": {"type": "string", "description": "What the error says."},
    },
}

CONFIG_SCHEMA: Final[JsonObject] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Configuration of a simulated backend",
    "type": "object",
    "required": ["stateFile"],
    "additionalProperties": False,
    "properties": {
        "stateFile": {
            "type": "string",
            "minLength": 1,
            "description": "SQLite file that holds the backend. A relative path is under the folder of the project file.",
        },
        "seed": {
            "type": "integer",
            "description": "Chooses which calls fail, for faults with a probability. Default: 0.",
        },
        "pools": {
            "type": "array",
            "minItems": 1,
            "items": _POOL,
            "description": "The pools. Default: one called pool with 10TiB.",
        },
        "protocols": {
            "type": "array",
            "minItems": 1,
            "items": {"enum": ["NFS", "CIFS"]},
            "description": "Protocols that the backend exports. Default: both.",
        },
        "capabilities": {"type": "object", "description": "Further capabilities that the backend reports."},
        "without": {
            "type": "array",
            "items": {"enum": [str(capability) for capability in Capability if capability in CAPABILITIES]},
            "description": "Optional capabilities of the driver to leave out.",
        },
        "shareServers": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "max": {"type": "integer", "minimum": 1, "description": "How many there can be. Default: any number."},
                "addresses": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 16,
                    "description": "How many addresses each one takes. Default: 1.",
                },
            },
            "description": "The share servers of a backend with `shareServers: true`.",
        },
        "limits": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "minSize": {**_SIZE, "description": "The smallest share. Default: any."},
                "sizeMultiple": {**_SIZE, "description": "What sizes are multiples of. Default: any size."},
                "maxRules": {
                    "type": "integer",
                    "minimum": 0,
                    "description": "The most access rules of a share. Default: any number.",
                },
                "users": {
                    "type": "array",
                    "items": {"type": "string"},
                    "description": "The users that rules can name. Default: any.",
                },
            },
            "description": "What the backend refuses of a share and its rules.",
        },
        "clonesWithin": {
            "enum": ["pool", "backend"],
            "description": "How far from its snapshot a clone may be. Default: backend.",
        },
        "latency": {
            "type": "object",
            "additionalProperties": False,
            "properties": dict.fromkeys((*CALLS, "default"), _DURATION),
            "description": "How long each call takes; `default` is for those that are not named. Default: 0ms.",
        },
        "faults": {
            "type": "array",
            "items": _FAULT,
            "description": "Faults; the first that matches a call befalls it.",
        },
        "hangSeconds": {
            "type": "number",
            "exclusiveMinimum": 0,
            "description": "How long a hanging call hangs, unless the driver is closed before. Default: 3600.",
        },
        "log": {"type": "boolean", "description": "Write every call to the table `calls`. Default: false."},
    },
}
