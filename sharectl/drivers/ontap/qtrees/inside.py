"""Qtrees in volumes of others that have export policies of their own: the access rules of a share that is the whole volume would not hold for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.drivers.ontap.errors import ArrayError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sharectl.drivers.ontap.qtrees.records import Qtrees
    from sharectl.drivers.ontap.volumes import Volume

_NAMED_AT_MOST: Final = 3


def obstacles_in(qtrees: Qtrees, volumes: Sequence[Volume]) -> Mapping[str, str]:
    """Return, by UUID, why volumes cannot be taken over on account of the qtrees in them."""
    if not volumes:
        return {}
    try:
        found = qtrees.in_volume(volumes[0].uuid) if len(volumes) == 1 else qtrees.all()
    except ArrayError as problem:  # as where the role does not allow it; the listing is whole without
        unknown = f"nobody knows whether qtrees in it have export policies of their own: {problem}"
        return {volume.uuid: unknown for volume in volumes}
    policies = {volume.uuid: volume.policy_id for volume in volumes}
    names: dict[str, list[str]] = {}
    for qtree in found:
        if qtree.volume_uuid in policies and qtree.policy_id not in {None, policies[qtree.volume_uuid]}:
            names.setdefault(qtree.volume_uuid, []).append(qtree.name)
    return {uuid: _reason(sorted(there)) for uuid, there in names.items()}


def _reason(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMED_AT_MOST])
    more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
    return (
        f"qtrees in it have export policies of their own ({shown}{more}), for which the rules of a share would not hold; "
        "let them have that of the volume"
    )
