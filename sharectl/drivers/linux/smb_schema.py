"""The JSON Schema of what the SMB server of a linux backend offers beyond files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.drivers.linux.agent.smb.treatment import BIN_FOLDER

if TYPE_CHECKING:
    from sharectl.model.canonical import JsonObject

SIZE_PATTERN: Final = "^[0-9]{1,15}(\\.[0-9]{1,6})? ?([KMGTP]i?B|kB|B)$"
SIZE_EXAMPLES: Final = "write a number and a unit, such as 100GiB, 1.5TiB or 500GB"

_RECYCLE_BIN: Final[JsonObject] = {
    "type": "object",
    "additionalProperties": False,
    "description": "Where files go that SMB clients delete: into a folder of their share, whose size they count toward. Default: nowhere.",
    "properties": {
        "enabled": {
            "type": "boolean",
            "description": "Whether shares have one. Default: true where `recycleBin` is given.",
        },
        "folder": {
            "type": "string",
            "pattern": f"^{BIN_FOLDER}$",
            "errorMessage": "name a folder: at most 63 letters, digits and `_ . -`, a letter, digit or `_` first after a `.`",
            "description": "Name of the folder, at the top of the share. Default: .recycle.",
        },
        "keepTree": {
            "type": "boolean",
            "description": "Whether a file keeps the folders that it was in, so that one sees where it belongs. Default: true.",
        },
        "versions": {
            "type": "boolean",
            "description": "Whether a file is kept beside an older one of its name (`Copy #1 of x`), or in its place. Default: true.",
        },
        "visible": {
            "type": "boolean",
            "description": "Whether all who may use the share may look into the folder, and who may write may take files out and empty it; else "
            "only root of the storage host may. Default: true.",
        },
    },
}

OFFERED: Final[JsonObject] = {
    "diskFree": {
        "enum": ["share", "pool"],
        "description": "Of what clients are told the size and what is free: of the share, or of its pool. Default: share.",
    },
    "browsing": {
        "type": "boolean",
        "description": "Whether users are listed the shares that they may use, and no others (`smbclient -L`, the Explorer, the Finder). Who can "
        "log in may then ask for the names of users too. Default: false.",
    },
    "macos": {
        "type": "boolean",
        "description": "Whether the server speaks with Macs as their own servers do, and keeps tags, icons and resource forks of their files; "
        "for all shares of the backend. Default: false.",
    },
    "timeMachine": {
        "type": "object",
        "additionalProperties": False,
        "description": "Whether Macs may back up to the shares; needs `macos`, and is best left to share types. Default: they may not.",
        "properties": {
            "enabled": {
                "type": "boolean",
                "description": "Whether they may. Default: true where `timeMachine` is given.",
            },
            "maxSize": {
                "type": "string",
                "pattern": SIZE_PATTERN,
                "errorMessage": SIZE_EXAMPLES,
                "description": "How large a share pretends to be, at most as large as it is. Default: the size of the share.",
            },
        },
    },
    "recycleBin": _RECYCLE_BIN,
    "previousVersions": {
        "type": "boolean",
        "description": "Whether clients see the snapshots of a share as previous versions of its files and folders (pools of type `btrfs` and "
        "`loop`). Default: false.",
    },
}
"""Properties of the settings of the server."""
