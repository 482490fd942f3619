"""Whether quotas hold in a volume: switched on and off, and on only once all was scanned."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from tests.emulators.ontap.errors import Refused
from tests.emulators.ontap.quota_records import QuotaRule
from tests.emulators.ontap.volume_records import Volume

if TYPE_CHECKING:
    from tests.emulators.ontap.volume_fields import Flat
    from tests.emulators.ontap.world import World

_SCAN_SECONDS: Final = 5.0


def switched(world: World, volume: Volume, fields: Flat) -> Volume:
    """Return a volume with its quotas as a body wants them; without any rule they cannot be switched on."""
    wanted = fields.pop("quota.enabled", None)
    if wanted is None or wanted == (volume.quota != "off"):
        return volume
    if wanted and not world[QuotaRule].where(volume=volume.uuid):
        raise Refused(
            917536, f'Quotas of volume "{volume.name}" cannot be switched on: it has no quota rule.', "quota.enabled"
        )
    return replace(volume, quota="initializing" if wanted else "off")


def settle(world: World, volume: Volume) -> None:
    """Let the scan end after a while."""
    if volume.quota not in {"on", "off"}:
        world.later(_SCAN_SECONDS, partial(_settled, volume=volume.uuid))
    for rule in world[QuotaRule].where(volume=volume.uuid):
        world[QuotaRule].change(rule.uuid, enforced=volume.quota != "off")


def resize(world: World, volume: str) -> None:
    """Scan anew where quotas are on, so that the rules hold as they are now."""
    settle(world, world[Volume].change(volume, quota="resizing"))


def _settled(world: World, volume: str) -> None:
    found = world[Volume].get(volume)
    if found is not None and found.quota in {"initializing", "resizing"}:
        world[Volume].change(volume, quota="on")
