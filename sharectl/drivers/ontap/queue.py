"""Which volumes are deleted past the array's recovery queue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sharectl.drivers.ontap.provisioning import FORCED_MINUTES

if TYPE_CHECKING:
    from sharectl.drivers.ontap.volumes import Volume


def skips_queue(volume: Volume, now: datetime | None = None) -> bool:
    """Tell whether a volume is deleted for good.

    A clone is: in the queue it would hold its parent, and the snapshot that it is based on, for hours. So is one that is younger than
    its type says; one that was made later than now is by a clock that differs from ours, and its age is not known.
    """
    if volume.value("clone.is_flexclone") is True:
        return True
    minutes = "" if volume.note is None else volume.note.values.get(FORCED_MINUTES, "")
    made = str(volume.record.get("create_time", ""))
    if not minutes.isdigit() or not made:
        return False
    age = (now or datetime.now(UTC)) - datetime.fromisoformat(made)
    return timedelta() <= age < timedelta(minutes=int(minutes))
