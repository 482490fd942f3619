"""LUNs and NVMe namespaces: their hosts write past every export, so that a volume with some is no share, and is neither removed nor turned back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import DriverError, ShareInUseError, TransientError
from sharectl.drivers.ontap.errors import ArrayError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.drivers.ontap.client import Array
    from sharectl.drivers.ontap.volumes import Volume

_KINDS: Final[Mapping[str, str]] = {"LUNs": "storage/luns", "NVMe namespaces": "storage/namespaces"}


@dataclass(frozen=True, slots=True)
class BlockVolumes:
    """The UUIDs of the volumes that hold LUNs or namespaces, by what they hold; `refusals` are the array's answers where it does not tell."""

    uuids: Mapping[str, frozenset[str]] = field(default_factory=dict)
    refusals: Mapping[str, ArrayError] = field(default_factory=dict)

    def held_by(self, uuid: str) -> str:
        """Return what a volume holds, in words; empty where it holds none."""
        return next((kind for kind, uuids in self.uuids.items() if uuid in uuids), "")

    def unknown(self) -> str:
        """Return what nobody knows, and why; empty where all is known."""
        return next((f"nobody knows whether {kind} are in it: {why}" for kind, why in self.refusals.items()), "")

    def why_not_adoptable(self, volume: Volume) -> str:
        """Return why a volume cannot be taken over on account of what is in it; empty where it holds none."""
        if held := self.held_by(volume.uuid):
            return f"{held} are in it, which it would take along when it is removed"
        return self.unknown()


def block_volumes(array: Array, svm: str | None, volume: str | None = None) -> BlockVolumes:
    """Return which volumes hold LUNs or namespaces, of those of an SVM, of all where None, or whether the one with this UUID does."""
    query = {} if volume is None else {"location.volume.uuid": volume}
    uuids: dict[str, frozenset[str]] = {}
    refusals: dict[str, ArrayError] = {}
    for kind, path in _KINDS.items():
        try:
            records = array.records(path, svm=svm, query=query, fields=("location.volume.uuid",))
        except ArrayError as problem:  # as where the role does not allow it; the listing is whole without
            refusals[kind] = problem
            continue
        places = (((record.get("location") or {}).get("volume") or {}).get("uuid") for record in records)
        uuids[kind] = frozenset(str(uuid) for uuid in places if uuid is not None)
    return BlockVolumes(uuids, refusals)


def check_no_blocks(array: Array, svm: str | None, uuid: str, name: str) -> None:
    """Raise ShareInUseError where a volume holds LUNs or namespaces, DriverError where the array does not tell."""
    found = block_volumes(array, svm, uuid)
    if held := found.held_by(uuid):
        message = (
            f"{array.name}: {held} are in the volume {name}, whose hosts would lose them; nothing was changed: "
            "remove or move them on the array first"
        )
        raise ShareInUseError(message)
    for problem in found.refusals.values():
        if isinstance(problem, TransientError):
            raise problem
        message = f"{array.name}: the volume {name} stays as it is: {found.unknown()}"
        raise DriverError(message) from problem
