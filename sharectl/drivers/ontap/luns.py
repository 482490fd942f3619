"""LUNs, which keep the volumes that hold them from being shares: their hosts write past every export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sharectl.drivers.ontap.errors import ArrayError

if TYPE_CHECKING:
    from sharectl.drivers.ontap.client import Array
    from sharectl.drivers.ontap.volumes import Volume

LUNS: Final = "storage/luns"


@dataclass(frozen=True, slots=True)
class LunVolumes:
    """The UUIDs of the volumes that hold LUNs; `refusal` is the array's answer where it does not tell."""

    uuids: frozenset[str] = frozenset()
    refusal: str = ""

    def why_not_adoptable(self, volume: Volume) -> str:
        """Return why a volume cannot be taken over on account of LUNs; empty where it holds none."""
        if self.refusal:
            return f"nobody knows whether LUNs are in it: {self.refusal}"
        return "LUNs are in it, which it would take along when it is removed" if volume.uuid in self.uuids else ""


def lun_volumes(array: Array, svm: str | None, volume: Volume | None = None) -> LunVolumes:
    """Return which volumes hold LUNs, of those of an SVM, of all where None, or whether this one does."""
    query = {} if volume is None else {"location.volume.uuid": volume.uuid}
    try:
        records = array.records(LUNS, svm=svm, query=query, fields=("location.volume.uuid",))
    except ArrayError as problem:  # as where the role does not allow it; the listing is whole without
        return LunVolumes(refusal=str(problem))
    places = (((record.get("location") or {}).get("volume") or {}).get("uuid") for record in records)
    return LunVolumes(frozenset(str(uuid) for uuid in places if uuid is not None))
