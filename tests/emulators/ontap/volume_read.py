"""GET of volumes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.emulators.ontap import volume_shown
from tests.emulators.ontap.operations import Row, row_of, rows
from tests.emulators.ontap.volume_records import Volume

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.world import World


@rows("volume")
def volumes(world: World) -> Iterable[Row]:
    """Show the volumes but those in the recovery queue; members of FlexGroups are shown to who asks for them."""
    around = volume_shown.Surroundings(world)
    return (row for volume in world[Volume] for row in _rows_of(volume, around))


@row_of("volume")
def volume(world: World, uuid: str) -> Iterable[Row]:
    """Show one volume, or all where it may be a member of a FlexGroup."""
    found = world[Volume].get(uuid)
    return volumes(world) if found is None else _rows_of(found, volume_shown.Surroundings(world))


def _rows_of(volume: Volume, around: volume_shown.Surroundings) -> Iterable[Row]:
    if volume.deleted_at is not None:
        return
    known = {"comment": volume.comment}
    show = partial(volume_shown.shown, volume, around)
    yield Row({"uuid": volume.uuid, "name": volume.name}, show, volume.svm, known)
    for number, member in enumerate(volume.members, start=1):
        keys = {"uuid": member.uuid, "name": f"{volume.name}__{number:04}", "is_constituent": True}
        yield Row(keys, partial(volume_shown.member_shown, volume, number, around), volume.svm)
