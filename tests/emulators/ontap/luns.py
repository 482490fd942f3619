"""LUNs and NVMe namespaces, as far as a client asks which volumes hold some."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from tests.emulators.ontap.operations import Row, rows
from tests.emulators.ontap.svm_lookup import of_svm
from tests.emulators.ontap.volume_records import Volume

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World

_OTHERS: Final = 0x8000
"""Added to the number of a namespace in its UUID, which is made from that of its volume."""


@rows("/storage/luns")
def luns(world: World) -> Iterable[Row]:
    """Show the LUNs."""
    for volume in world[Volume]:
        for number in range(volume.luns if volume.deleted_at is None else 0):
            yield _row(world, volume, f"lun{number}", "logical_unit", number)


@rows("/storage/namespaces")
def namespaces(world: World) -> Iterable[Row]:
    """Show the NVMe namespaces."""
    for volume in world[Volume]:
        for number in range(volume.namespaces if volume.deleted_at is None else 0):
            yield _row(world, volume, f"namespace{number}", "namespace", _OTHERS + number)


def _row(world: World, volume: Volume, own: str, part: str, number: int) -> Row:
    keys = {"uuid": f"{volume.uuid[:-4]}{number:04x}", "name": f"/vol/{volume.name}/{own}"}
    return Row(keys, partial(_shown, world, volume, keys, {part: own}), volume.svm)


def _shown(world: World, volume: Volume, keys: JsonObject, place: JsonObject) -> JsonObject:
    return {
        **keys,
        **of_svm(world, volume.svm),
        "location": {**place, "volume": {"uuid": volume.uuid, "name": volume.name}},
        "os_type": "linux",
        "space": {"size": 2**30},
    }
