"""LUNs, as far as a client asks which volumes hold some."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.emulators.ontap.operations import Row, rows
from tests.emulators.ontap.svm_records import Svm
from tests.emulators.ontap.volume_records import Volume

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World


@rows("/storage/luns")
def luns(world: World) -> Iterable[Row]:
    """Show the LUNs."""
    for volume in world[Volume]:
        if volume.deleted_at is not None:
            continue
        for number in range(volume.luns):
            name = f"/vol/{volume.name}/lun{number}"
            yield Row(
                {"uuid": f"{volume.uuid[:-4]}{number:04x}", "name": name},
                partial(_shown, world, volume, number),
                volume.svm,
            )


def _shown(world: World, volume: Volume, number: int) -> JsonObject:
    return {
        "uuid": f"{volume.uuid[:-4]}{number:04x}",
        "name": f"/vol/{volume.name}/lun{number}",
        "svm": {"uuid": volume.svm, "name": world[Svm][volume.svm].name},
        "location": {
            "logical_unit": f"lun{number}",
            "volume": {"uuid": volume.uuid, "name": volume.name},
        },
        "os_type": "linux",
        "space": {"size": 2**30},
    }
