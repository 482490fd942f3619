"""What a driver may be able to do besides what every driver does."""

from __future__ import annotations

from enum import StrEnum


class Capability(StrEnum):
    """Optional capabilities, as the planner and the JSON output name them."""

    EXTEND = "extend"
    SHRINK = "shrink"
    SNAPSHOT = "snapshot"
    CLONE = "clone"
    REVERT = "revert"
    TRASH = "trash"
    ADOPT = "adopt"
    USAGE = "usage"
    SHARE_SERVERS = "share-servers"
    SHARE_SERVER_UPDATE = "share-server-update"
