"""What the array keeps of a quota rule."""

from __future__ import annotations

from dataclasses import dataclass

from tests.emulators.ontap.world import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaRule(Record):
    """A limit for a qtree, a user or a group in a volume."""

    volume: str
    type: str
    qtree: int = 0
    """The number of the qtree; 0 for the volume as a whole."""
    users: tuple[str, ...] = ()
    group: str = ""
    space_hard: int | None = None
    space_soft: int | None = None
    files_hard: int | None = None
    files_soft: int | None = None
    user_mapping: bool = False
    enforced: bool = False
    """Whether quotas have been scanned since it was made."""
