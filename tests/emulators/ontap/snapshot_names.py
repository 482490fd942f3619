"""New snapshots, and the names they may have."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tests.emulators.ontap.errors import Refused
from tests.emulators.ontap.volume_records import Snapshot, Volume

if TYPE_CHECKING:
    from tests.emulators.ontap.world import World

_MOST: Final = 1023
_LONGEST_NAME: Final = 255
_RESERVED: Final = ("snapmirror.", "vserverdr.", ".snapshot", "smas-", "wafl_")


def snapshot_of(world: World, volume: Volume, name: str, **noted: str) -> Snapshot:
    """Return a snapshot of what is in a volume now; `noted` are its comment, label and time of expiry."""
    return Snapshot(
        uuid=world.new_uuid(),
        volume=volume.uuid,
        name=name,
        create_time=world.clock.now(),
        data=volume.data,
        volume_size=volume.size,
        number=world.next_number("snapshot"),
        **noted,
    )


def refuse_wrong_name(world: World, volume: Volume, name: str) -> None:
    """Refuse a name that a snapshot cannot have, or that another of the volume has."""
    if name.lower().startswith(_RESERVED):
        raise Refused(1638477, f'The snapshot name "{name}" begins with a reserved prefix.', "name")
    if not re.fullmatch(r'[^/\\*?"<>|\s]+', name) or len(name.encode()) > _LONGEST_NAME:
        raise Refused(1638518, f'The snapshot name "{name}" is not valid.', "name")
    if world[Snapshot].where(volume=volume.uuid, name=name):
        raise Refused(525059, f'A snapshot of the name "{name}" exists in volume "{volume.name}".', "name")


def refuse_one_more(world: World, volume: Volume) -> None:
    """Refuse a snapshot where the volume has as many as it may."""
    if len(world[Snapshot].where(volume=volume.uuid)) >= _MOST:
        raise Refused(525062, f'Volume "{volume.name}" has {_MOST} snapshots.')
