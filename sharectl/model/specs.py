"""What manifests ask for: shares, snapshots and share types."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from sharectl.model.codec import Spec
from sharectl.model.fields import Policy, Unit, ruled
from sharectl.model.frozen import dataclass, field
from sharectl.model.kinds import Kind
from sharectl.model.verbs import Verb

if TYPE_CHECKING:
    from collections.abc import Mapping


class Protocol(StrEnum):
    """File-sharing protocols under Manila's names; CIFS is what Windows and Samba call SMB."""

    NFS = "NFS"
    CIFS = "CIFS"
    NFS_CIFS = (
        "NFS_CIFS"  # both, as Manila writes the capability of a backend; a manifest says `protocols: [NFS, CIFS]`
    )


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


_METADATA: Final = ruled(Policy.METADATA)


DEFAULT_TIME_ZONE: Final = "UTC"


class Weekday(StrEnum):
    """The days of a week, in the order of `datetime.weekday`."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


@dataclass(frozen=True, slots=True)
class HourlySnapshots:
    """One snapshot each hour, `minute` minutes past it; the newest `keep` are kept, and with 0 none is taken."""

    keep: int
    minute: int = 0


@dataclass(frozen=True, slots=True)
class DailySnapshots:
    """One snapshot each day; `keep` as of hourly ones."""

    keep: int
    hour: int = 0
    minute: int = 0


@dataclass(frozen=True, slots=True)
class WeeklySnapshots:
    """One snapshot each week; `keep` as of hourly ones."""

    keep: int
    weekday: str = field(default=Weekday.SUNDAY, metadata=ruled(choices=Weekday))
    hour: int = 0
    minute: int = 0


@dataclass(frozen=True, slots=True)
class MonthlySnapshots:
    """One snapshot each month, on its last day where it has no such `day`; `keep` as of hourly ones."""

    keep: int
    day: int = field(default=1, metadata=ruled(minimum=1))
    hour: int = 0
    minute: int = 0


@dataclass(frozen=True, slots=True)
class SnapshotPolicy(Spec):
    """When snapshots are taken, by the wall clock of a time zone of IANA's database. One without any interval takes none."""

    hourly: HourlySnapshots | None = None
    daily: DailySnapshots | None = None
    weekly: WeeklySnapshots | None = None
    monthly: MonthlySnapshots | None = None
    time_zone: str = DEFAULT_TIME_ZONE

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing is taken by it, and nothing is let go of."""
        return self.hourly is None and self.daily is None and self.weekly is None and self.monthly is None


def policy_in_force(own: SnapshotPolicy | None, of_type: SnapshotPolicy | None) -> SnapshotPolicy | None:
    """Return the policy of a share: its own goes before that of its type, also where it is empty."""
    policy = of_type if own is None else own
    return None if policy is None or policy.is_empty else policy


@dataclass(frozen=True, slots=True)
class SchedulerHints:
    """Hints for placing a new share, with Manila's names; `same_host` and `different_host` hold names of shares."""

    same_host: tuple[str, ...] = field(default=(), metadata=ruled(refers_to=Kind.SHARE))
    different_host: tuple[str, ...] = field(default=(), metadata=ruled(refers_to=Kind.SHARE))
    only_host: str | None = None


NO_HINTS: Final = SchedulerHints()


@dataclass(frozen=True, slots=True)
class RevertRequest:
    """A request to turn a share back to the snapshot called `snapshot`, once for each new `request` (a date, a ticket number).

    In the state it is the last request that was begun. Never in a manifest are `cut_short` (the attempt ended without an answer,
    so that nobody knows whether the share was turned back) and `withdrawn` (the manifest no longer asks, and the state
    remembers what was answered, so that the same text does not lose data a second time when it comes back).
    """

    snapshot: str = field(metadata=ruled(refers_to=Kind.SNAPSHOT))
    request: str
    cut_short: bool = field(default=False, metadata=ruled(written=""))
    withdrawn: bool = field(default=False, metadata=ruled(written=""))


@dataclass(frozen=True, slots=True)
class ShareSpec(Spec):
    """What a Share manifest asks for, access rules apart (they are a set of their own, see `access_digest`)."""

    name: str = field(metadata=ruled(Policy.IDENTITY))
    size_bytes: int = field(
        metadata=ruled(
            Policy.IN_PLACE, written="size", unit=Unit.SIZE, minimum=1, verbs=(Verb.EXTEND_SHARE, Verb.SHRINK_SHARE)
        )
    )
    protocol: str = field(metadata=ruled(Policy.IMMUTABLE, choices=Protocol))
    export_name: str | None = field(
        default=None, metadata=ruled(Policy.IN_PLACE, verbs=(Verb.UPDATE_ACCESS,), label="export name")
    )
    share_type: str | None = field(
        default=None,
        metadata=ruled(Policy.IMMUTABLE, written="type", refers_to=Kind.SHARE_TYPE, is_prerequisite=True, label="type"),
    )
    availability_zone: str | None = field(default=None, metadata=ruled(Policy.IMMUTABLE, label="zone"))
    share_network: str | None = field(
        default=None,
        metadata=ruled(Policy.IMMUTABLE, refers_to=Kind.SHARE_NETWORK, is_prerequisite=True, label="network"),
    )
    source_snapshot: str | None = field(
        default=None, metadata=ruled(Policy.IMMUTABLE, refers_to=Kind.SNAPSHOT, is_prerequisite=True)
    )
    revert_to: RevertRequest | None = field(default=None, metadata=ruled(Policy.IN_PLACE, verbs=(Verb.REVERT_SHARE,)))
    snapshot_policy: SnapshotPolicy | None = field(
        default=None, metadata=ruled(Policy.IN_PLACE, verbs=(Verb.SCHEDULE_SNAPSHOTS,))
    )
    hints: SchedulerHints = field(
        default=NO_HINTS, metadata=ruled(Policy.METADATA, written="schedulerHints", is_flat=True)
    )
    deletion_policy: str = field(default=DeletionPolicy.RETAIN, metadata=ruled(Policy.METADATA, choices=DeletionPolicy))
    retain_access: bool = field(default=False, metadata=_METADATA)
    protect: bool = field(default=False, metadata=_METADATA)
    allow_shrink: bool = field(default=False, metadata=_METADATA)
    replacement: str = field(default=Replacement.REFUSE, metadata=ruled(Policy.METADATA, choices=Replacement))
    labels: Mapping[str, str] = field(default_factory=dict, metadata=_METADATA)


@dataclass(frozen=True, slots=True)
class SnapshotSpec(Spec):
    """What a Snapshot manifest asks for: a point-in-time copy of the share named `share`."""

    name: str = field(metadata=ruled(Policy.IDENTITY))
    share: str = field(
        metadata=ruled(
            Policy.IMMUTABLE,
            label="snapshot of",
            refers_to=Kind.SHARE,
            is_prerequisite=True,
            because="what was taken of one share is not of another.",
            way_out="give the new snapshot another name",
        )
    )
    deletion_policy: str = field(default=DeletionPolicy.RETAIN, metadata=ruled(Policy.METADATA, choices=DeletionPolicy))
    protect: bool = field(default=False, metadata=_METADATA)
    labels: Mapping[str, str] = field(default_factory=dict, metadata=_METADATA)


@dataclass(frozen=True, slots=True)
class ShareTypeSpec(Spec):
    """A class of service: Manila's extra specs, every value a string as Manila stores it."""

    name: str = field(metadata=ruled(Policy.IDENTITY))
    extra_specs: Mapping[str, str]
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    snapshot_policy: SnapshotPolicy | None = None


@dataclass(frozen=True, slots=True)
class ClientListSpec(Spec):
    """Clients under one name, for access rules: addresses and networks, those of host names and netgroups by name, and other lists."""

    name: str = field(metadata=ruled(Policy.IDENTITY))
    clients: tuple[str, ...] = ()
    lists: tuple[str, ...] = field(default=(), metadata=ruled(refers_to=Kind.CLIENT_LIST, is_prerequisite=True))
    names: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
