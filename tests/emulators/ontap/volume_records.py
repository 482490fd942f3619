"""What the array keeps of a volume and of a snapshot."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

from tests.emulators.ontap.space import FRESH_BYTES, Space
from tests.emulators.ontap.world import Record

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, slots=True)
class Origin:
    """What a clone shares its blocks with."""

    volume: str
    """The uuid of its parent, which may be in the recovery queue."""
    snapshot: str
    shared: int
    """The bytes that both have, and that count for the parent alone."""
    split_since: float | None = None
    """When its split began, by the array's clock."""
    split_until: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Autosize:
    """How a volume may change its size by itself."""

    mode: str
    maximum: int
    minimum: int
    grow_threshold: int = 85
    shrink_threshold: int = 50


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """One constituent of a FlexGroup."""

    uuid: str
    aggregate: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Volume(Record):
    """A volume, also one in the recovery queue; other objects are named by their keys."""

    is_watched: ClassVar[bool] = True
    name: str
    svm: str
    aggregates: tuple[str, ...]
    size: int
    create_time: float
    msid: int
    style: str = "flexvol"
    type: str = "rw"
    state: str = "online"
    comment: str = ""
    language: str = "c.utf_8"
    thick: bool = True
    reserve_percent: float = 5
    snapshot_policy: str | None = None
    path: str | None = None
    security_style: str = "unix"
    unix_permissions: int = 755
    uid: int = 0
    gid: int = 0
    policy: int = 0
    """The id of its export policy."""
    qos_policy: str | None = None
    efficiency_policy: str | None = None
    autosize: Autosize | None = None
    files_maximum: int | None = None
    size_fixed: bool = False
    quota: str = "off"
    root: bool = False
    origin: Origin | None = None
    members: tuple[Member, ...] = ()
    data: int = FRESH_BYTES
    snapshot_data: int = 0
    luns: int = 0
    namespaces: int = 0
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What may be set and has no further meaning here, by dotted name."""
    deleted_at: float | None = None
    """When it came into the recovery queue."""

    @property
    def space(self) -> Space:
        """Return what stands in it."""
        return Space(self.size, self.reserve_percent, self.data, self.snapshot_data)

    @property
    def footprint(self) -> int:
        """Return what it takes of its aggregates."""
        return self.space.footprint(thick=self.thick) - (0 if self.origin is None else self.origin.shared)

    @property
    def splitting(self) -> bool:
        """Tell whether it is a clone that is being made a volume of its own."""
        return self.origin is not None and self.origin.split_since is not None

    @property
    def flexgroup(self) -> bool:
        """Tell whether it is spread over members."""
        return self.style == "flexgroup"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot(Record):
    """A snapshot of a volume."""

    volume: str
    name: str
    create_time: float
    data: int
    """What the volume's files used when it was made."""
    volume_size: int
    comment: str = ""
    snapmirror_label: str = ""
    expiry_time: str = ""
    owners: tuple[str, ...] = ()
    """Owners other than clones, which are found by looking."""
    number: int = 0
    """Which of its volume's it is, in the order in which they were made."""
