"""Which volume a share is, where comments say it: one comment may have been copied to another volume, or its volume renamed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.drivers.ontap.names import candidate_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sharectl.drivers.ontap.volumes import Volume


def claimed(volumes: Iterable[Volume]) -> dict[str, Volume]:
    """Return the volume of each share by its id; of several that say so, the one that most likely is it.

    That is to be shown by, not to be changed by: a copy that somebody makes of a volume may have its comment.
    """
    return {resource_id: alike[0] for resource_id, alike in claimants(volumes).items() if alike[0].is_certain}


def certain(volumes: Iterable[Volume]) -> dict[str, Volume]:
    """Return the volume of each share that may be changed by its id: the only one that says so, but for clones of it."""
    return {
        resource_id: alike[0]
        for resource_id, alike in claimants(volumes).items()
        if alike[0].is_certain and not rivals_of(alike)
    }


def claimants(volumes: Iterable[Volume]) -> dict[str, list[Volume]]:
    """Return all volumes that say in their comments that they are a share, by its id, the likeliest first."""
    found: dict[str, list[Volume]] = {}
    for volume in sorted(volumes, key=_likeliness):
        if volume.note is not None:
            found.setdefault(volume.note.resource_id, []).append(volume)
    return found


def rivals_of(alike: Sequence[Volume]) -> list[Volume]:
    """Return the volumes that may as well be the share as the first: all others but clones of it, and clones of those; none where it is proven."""
    if alike[0].is_proven:
        return []
    family = {(alike[0].svm, alike[0].name)}
    rivals = list(alike[1:])
    while kin := [each for each in rivals if (each.svm, each.value("clone.parent_volume.name")) in family]:
        family |= {(each.svm, each.name) for each in kin}
        rivals = [each for each in rivals if each not in kin]
    return rivals


def _likeliness(volume: Volume) -> tuple[bool, bool, bool, str, str]:
    """Return what puts the volume that sharectl made before its copies, mostly."""
    is_clone, made = volume.value("clone.is_flexclone") is True, str(volume.record.get("create_time", ""))
    return not volume.is_proven, not volume.is_certain, is_clone, made, volume.uuid


def why_uncertain(volume: Volume) -> str:
    """Return what is to be done about a volume whose comment says that it is a share, and may have been written for another one."""
    if volume.note is None:
        raise AssertionError
    names = [name for name, _ in candidate_names(volume.share_name, volume.note.resource_id)]
    return (
        f"its comment was written for a volume called {names[0]}; if this is the share, and was renamed, "
        f"give it that name again, or {names[1]}; if the comment was copied, empty it"
    )
