"""What manifests ask for: shares, snapshots and share types."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from sharectl.model.canonical import JsonObject, without_defaults

if TYPE_CHECKING:
    from collections.abc import Mapping


class Protocol(StrEnum):
    """File-sharing protocols under Manila's names; CIFS is what Windows and Samba call SMB."""

    NFS = "NFS"
    CIFS = "CIFS"


class DeletionPolicy(StrEnum):
    """What happens to a share or snapshot on its backend once its manifest is gone."""

    RETAIN = "retain"
    DELETE = "delete"
    TRASH = "trash"


class Replacement(StrEnum):
    """Whether a change that cannot be made in place may make a new share and remove the old one, and in which order."""

    REFUSE = "refuse"
    CREATE_FIRST = "createFirst"
    DELETE_FIRST = "deleteFirst"


@dataclass(frozen=True, slots=True)
class SchedulerHints:
    """Wishes about the place of a new share, with Manila's names; `same_host` and `different_host` hold names of shares."""

    same_host: tuple[str, ...] = ()
    different_host: tuple[str, ...] = ()
    only_host: str | None = None


NO_HINTS: Final = SchedulerHints()


@dataclass(frozen=True, slots=True)
class RevertRequest:
    """The wish to turn a share back to the snapshot called `snapshot`, once for each new `request` (a date, a ticket number).

    In the state it is the last request that was begun. Never in a manifest are `cut_short` (the attempt ended without an answer,
    so that nobody knows whether the share was turned back) and `withdrawn` (the manifest no longer asks, and the state
    remembers what was answered, so that the same text does not lose data a second time when it comes back).
    """

    snapshot: str
    request: str
    cut_short: bool = False
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class ShareSpec:
    """What a Share manifest asks for, access rules apart (they are a set of their own, see `access_digest`)."""

    name: str
    size_bytes: int
    protocol: str
    share_type: str | None = None
    availability_zone: str | None = None
    share_network: str | None = None
    source_snapshot: str | None = None
    revert_to: RevertRequest | None = None
    hints: SchedulerHints = NO_HINTS
    deletion_policy: str = DeletionPolicy.RETAIN
    retain_access: bool = False
    protect: bool = False
    allow_shrink: bool = False
    replacement: str = Replacement.REFUSE
    labels: Mapping[str, str] = field(default_factory=dict)

    def as_plain(self) -> JsonObject:
        """Return the JSON object from which `from_plain` makes an equal value; defaults are left out."""
        return without_defaults(
            {
                "name": self.name,
                "size_bytes": self.size_bytes,
                "protocol": self.protocol,
                "share_type": self.share_type,
                "availability_zone": self.availability_zone,
                "share_network": self.share_network,
                "source_snapshot": self.source_snapshot,
                "revert_to": None if self.revert_to is None else _plain_request(self.revert_to),
                "same_host": list(self.hints.same_host),
                "different_host": list(self.hints.different_host),
                "only_host": self.hints.only_host,
                "deletion_policy": str(self.deletion_policy),
                "retain_access": self.retain_access,
                "protect": self.protect,
                "allow_shrink": self.allow_shrink,
                "replacement": str(self.replacement),
                "labels": dict(self.labels),
            },
            _SHARE_DEFAULTS,
        )

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> ShareSpec:
        """Return the spec that `as_plain` wrote."""
        values = {**_SHARE_DEFAULTS, **plain}
        same_host, different_host, only_host = (values.pop(key) for key in ("same_host", "different_host", "only_host"))
        hints = NO_HINTS
        if same_host or different_host or only_host:
            hints = SchedulerHints(tuple(same_host), tuple(different_host), only_host)
        if values["revert_to"] is not None:
            values["revert_to"] = RevertRequest(**values["revert_to"])
        return cls(hints=hints, **values)


def _plain_request(request: RevertRequest) -> JsonObject:
    plain: JsonObject = {"snapshot": request.snapshot, "request": request.request}
    marks = {"cut_short": request.cut_short, "withdrawn": request.withdrawn}
    return {**plain, **{mark: True for mark, is_set in marks.items() if is_set}}


_SHARE_DEFAULTS: Final[JsonObject] = {
    "share_type": None,
    "availability_zone": None,
    "share_network": None,
    "source_snapshot": None,
    "revert_to": None,
    "same_host": [],
    "different_host": [],
    "only_host": None,
    "deletion_policy": "retain",
    "retain_access": False,
    "protect": False,
    "allow_shrink": False,
    "replacement": "refuse",
    "labels": {},
}


@dataclass(frozen=True, slots=True)
class SnapshotSpec:
    """What a Snapshot manifest asks for: a point-in-time copy of the share named `share`."""

    name: str
    share: str
    deletion_policy: str = DeletionPolicy.RETAIN
    protect: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)

    def as_plain(self) -> JsonObject:
        """Return the JSON object from which `from_plain` makes an equal value; defaults are left out."""
        return without_defaults(
            {
                "name": self.name,
                "share": self.share,
                "deletion_policy": str(self.deletion_policy),
                "protect": self.protect,
                "labels": dict(self.labels),
            },
            _SNAPSHOT_DEFAULTS,
        )

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> SnapshotSpec:
        """Return the spec that `as_plain` wrote."""
        return cls(**{**_SNAPSHOT_DEFAULTS, **plain})


_SNAPSHOT_DEFAULTS: Final[JsonObject] = {"deletion_policy": "retain", "protect": False, "labels": {}}


@dataclass(frozen=True, slots=True)
class ShareTypeSpec:
    """A class of service: Manila's extra specs, every value a string as Manila stores it."""

    name: str
    extra_specs: Mapping[str, str]
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
