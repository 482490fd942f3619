"""GET of volumes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.emulators.ontap import volume_shown
from tests.emulators.ontap.operations import Row, rows
from tests.emulators.ontap.volume_records import Volume

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.world import World


@rows("volume")
def volumes(world: World) -> Iterable[Row]:
    """Show the volumes but those in the recovery queue; members of FlexGroups are shown to who asks for them."""
    around = volume_shown.Surroundings(world)
    for volume in world[Volume]:
        if volume.deleted_at is not None:
            continue
        yield Row({"uuid": volume.uuid, "name": volume.name}, partial(volume_shown.shown, volume, around), volume.svm)
        for number, member in enumerate(volume.members, start=1):
            keys = {"uuid": member.uuid, "name": f"{volume.name}__{number:04}", "is_constituent": True}
            yield Row(keys, partial(volume_shown.member_shown, volume, number, around), volume.svm)
