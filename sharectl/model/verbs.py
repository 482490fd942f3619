"""The table of verbs: what one step does, and to what."""

from __future__ import annotations

from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING, Final

from sharectl.model.frozen import NamedTuple
from sharectl.model.kinds import MANAGED_KINDS, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping


class Verb(StrEnum):
    """What a step does; the value is stored with intents and history, so it never changes its meaning."""

    PREPARE_BACKEND = "prepare-backend"
    CREATE_SHARE = "create-share"
    EXTEND_SHARE = "extend-share"
    SHRINK_SHARE = "shrink-share"
    REVERT_SHARE = "revert-share"
    UPDATE_ACCESS = "update-access"
    SCHEDULE_SNAPSHOTS = "schedule-snapshots"
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


class Effect(Enum):
    """What a verb does to the resource at its address."""

    MAKES = auto()
    TAKES_OVER = auto()
    CHANGES = auto()
    RECORDS = auto()
    """The state alone changes."""
    REMOVES = auto()


class VerbEntry(NamedTuple):
    """What holds for a verb: the kind that it is done to (None: any that the state records), its effect, and the word for a step under way.

    One that `destroys` takes data away for good. `fate` says what becomes of what is removed, for people; `{old}` is replaced by `old `
    where another resource takes its place.
    """

    kind: Kind | None
    effect: Effect
    doing: str
    destroys: bool = False
    fate: str = ""


VERBS: Final[Mapping[Verb, VerbEntry]] = {
    Verb.PREPARE_BACKEND: VerbEntry(Kind.BACKEND, Effect.CHANGES, "preparing"),
    Verb.CREATE_SHARE: VerbEntry(Kind.SHARE, Effect.MAKES, "creating"),
    Verb.EXTEND_SHARE: VerbEntry(Kind.SHARE, Effect.CHANGES, "extending"),
    Verb.SHRINK_SHARE: VerbEntry(Kind.SHARE, Effect.CHANGES, "shrinking"),
    Verb.REVERT_SHARE: VerbEntry(Kind.SHARE, Effect.CHANGES, "reverting", destroys=True),
    Verb.UPDATE_ACCESS: VerbEntry(Kind.SHARE, Effect.CHANGES, "changing access"),
    Verb.SCHEDULE_SNAPSHOTS: VerbEntry(Kind.SHARE, Effect.CHANGES, "scheduling snapshots"),
    Verb.UPDATE_RECORD: VerbEntry(None, Effect.RECORDS, "recording"),
    Verb.DELETE_SHARE: VerbEntry(
        Kind.SHARE, Effect.REMOVES, "deleting", destroys=True, fate="the {old}share and all data in it are destroyed"
    ),
    Verb.TRASH_SHARE: VerbEntry(
        Kind.SHARE,
        Effect.REMOVES,
        "moving to the trash",
        fate="the {old}share goes to the trash, out of everybody's reach",
    ),
    Verb.CREATE_SNAPSHOT: VerbEntry(Kind.SNAPSHOT, Effect.MAKES, "creating"),
    Verb.DELETE_SNAPSHOT: VerbEntry(
        Kind.SNAPSHOT, Effect.REMOVES, "deleting", destroys=True, fate="the {old}snapshot is destroyed"
    ),
    Verb.ADOPT: VerbEntry(None, Effect.TAKES_OVER, "adopting"),
    Verb.RESTORE_SHARE: VerbEntry(Kind.SHARE, Effect.TAKES_OVER, "restoring"),
    Verb.FORGET: VerbEntry(
        None,
        Effect.REMOVES,
        "forgetting",
        fate="the {old}share stays on its backend, and sharectl no longer looks after it",
    ),
    Verb.MOVE: VerbEntry(None, Effect.RECORDS, "moving"),
    Verb.CREATE_SHARE_SERVER: VerbEntry(Kind.SHARE_SERVER, Effect.MAKES, "creating"),
    Verb.REPAIR_SHARE_SERVER: VerbEntry(Kind.SHARE_SERVER, Effect.CHANGES, "repairing"),
    Verb.UPDATE_SHARE_SERVER: VerbEntry(Kind.SHARE_SERVER, Effect.CHANGES, "changing"),
    Verb.DELETE_SHARE_SERVER: VerbEntry(Kind.SHARE_SERVER, Effect.REMOVES, "deleting"),
    Verb.RELEASE_ALLOCATION: VerbEntry(Kind.NETWORK_ALLOCATION, Effect.REMOVES, "releasing"),
}


def verbs_that(*effects: Effect, managed: bool = False) -> frozenset[Verb]:
    """Return the verbs that have one of these effects; those of `managed` kinds alone, if that is asked for."""
    return frozenset(
        verb
        for verb, entry in VERBS.items()
        if entry.effect in effects and not (managed and entry.kind not in {None, *MANAGED_KINDS})
    )
