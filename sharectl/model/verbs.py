"""The verbs: what one step does."""

from __future__ import annotations

from enum import StrEnum


class Verb(StrEnum):
    """What a step does; the value is stored with intents and history, so it never changes its meaning."""

    PREPARE_BACKEND = "prepare-backend"
    CREATE_SHARE = "create-share"
    EXTEND_SHARE = "extend-share"
    SHRINK_SHARE = "shrink-share"
    REVERT_SHARE = "revert-share"
    UPDATE_ACCESS = "update-access"
    UPDATE_RECORD = "update-record"
    DELETE_SHARE = "delete-share"
    TRASH_SHARE = "trash-share"
    CREATE_SNAPSHOT = "create-snapshot"
    DELETE_SNAPSHOT = "delete-snapshot"
    ADOPT = "adopt"
    RESTORE_SHARE = "restore-share"
    FORGET = "forget"
    MOVE = "move"
    CREATE_SHARE_SERVER = "create-share-server"
    REPAIR_SHARE_SERVER = "repair-share-server"
    UPDATE_SHARE_SERVER = "update-share-server"
    DELETE_SHARE_SERVER = "delete-share-server"
    RELEASE_ALLOCATION = "release-allocation"
