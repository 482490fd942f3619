"""Making a share as its type asks: where its volume goes, what belongs to it, and what comes once it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import DriverError
from sharectl.drivers.ontap import clones, qos
from sharectl.drivers.ontap.autosize import autosize_fields, growth_asked
from sharectl.drivers.ontap.errors import ArrayError
from sharectl.drivers.ontap.flexgroups import placement_fields
from sharectl.drivers.ontap.provisioning import (
    FILES_MULTIPLIER,
    RESERVE_NOTE,
    existing_qos_policy,
    files_multiplier,
    later_fields,
    noted,
    splits_clone,
    volume_fields,
)
from sharectl.drivers.ontap.volumes import VOLUMES
from sharectl.drivers.ontap.volumes import noted as comment_fields

if TYPE_CHECKING:
    from sharectl.drivers.ontap.creation import Creation
    from sharectl.drivers.ontap.settings import OntapSettings
    from sharectl.drivers.ontap.volumes import Volume, Volumes
    from sharectl.model.canonical import JsonObject
    from sharectl.model.requests import ShareRequest

_NO_ENTRY: Final = 4
_POLICIES: Final = ("netapp:adaptive_qos_policy_group", "netapp:efficiency_policy")
"""Extra specs that name what the array has, and that it does not name where it has none such."""

BASE_NOTE: Final = "base"
"""Value of the note of a clone that is not finished: the snapshot that it is made of."""


class Making:
    """Makes shares on a backend."""

    def __init__(self, volumes: Volumes, creation: Creation, settings: OntapSettings) -> None:
        """Make nothing yet."""
        self._volumes, self._array = volumes, volumes.array
        self._creation, self._settings = creation, settings

    def make(self, request: ShareRequest, svm: str) -> Volume:
        """Return the volume of a share, as its type asks for it, whatever of that an earlier call has done."""
        try:
            return self._made(request, svm)
        except ArrayError as problem:
            named = [f"{key} = {request.extra_specs[key]!r}" for key in _POLICIES if key in request.extra_specs]
            if problem.code != _NO_ENTRY or not named:
                raise
            message = f"{problem}; the share type names {' and '.join(named)}: there has to be such a policy on the array, for the SVM {svm}"
            raise ArrayError(message, code=problem.code, kind=problem.kind, target=problem.target) from problem

    def _made(self, request: ShareRequest, svm: str) -> Volume:
        limits = qos.limits_of(request.extra_specs)
        policy = existing_qos_policy(request.extra_specs)
        if limits:
            policy = qos.give_policy(self._array, svm, request.resource_id, limits, request.size_bytes)
        fields = volume_fields(
            request.extra_specs, request.protocol, self._settings.snapshot_reserve_percent, self._array.version
        )
        growth = growth_asked(request.extra_specs, request.size_bytes)
        notes = {**noted(request.extra_specs), **({} if growth is None else growth.noted())}
        if request.snapshot is not None:
            notes.pop(RESERVE_NOTE, None)  # a clone has its parent's
            return self._clone(request, svm, fields, policy, notes)
        more = placement_fields(request.pool, self._settings.flexgroups)
        if policy is not None:
            more["qos"] = {"policy": {"name": policy}}
        more |= autosize_fields(growth)
        volume = self._creation.create(request, svm, {**fields, **more, "size": request.size_bytes}, notes)
        return self._with_later_fields(volume, request)

    def _with_later_fields(self, volume: Volume, request: ShareRequest) -> Volume:
        """Give a volume what it can have only once it is there; a number of files that was multiplied is not multiplied again."""
        factor = files_multiplier(request.extra_specs)
        if volume.note is None or FILES_MULTIPLIER in volume.note.values:
            factor = None
        if factor is None and not later_fields(request.extra_specs, {}):
            return volume
        read = self._array.get((VOLUMES, volume.uuid), svm=volume.svm, fields=("files.maximum", "efficiency.policy"))
        fields = later_fields(request.extra_specs, read, factor)
        if volume.note is not None and factor is not None:
            fields |= comment_fields(volume, volume.note.having(**{FILES_MULTIPLIER: f"{factor:g}"}))
        return self._volumes.change(volume, fields) if fields else volume

    def _clone(
        self, request: ShareRequest, svm: str, fields: JsonObject, policy: str | None, notes: dict[str, str]
    ) -> Volume:
        snapshot = request.snapshot
        if snapshot is None:
            raise AssertionError
        found = self._volumes.find(request.resource_id)
        if found is None and (home := clones.parent_of(self._array, request, snapshot)["svm"]["name"]) != svm:
            message = f"{self._array.name}: the snapshot {snapshot.name!r} is in the SVM {home}, and a clone cannot be in another, {svm}"
            raise DriverError(message)
        body = {"nas": {}, **clones.clone_fields(snapshot)}
        volume = self._creation.create(request, svm, body, {**notes, BASE_NOTE: snapshot.backend_id.partition("/")[2]})
        if volume.note is None or BASE_NOTE not in volume.note.values:
            return volume
        splits = splits_clone(request.extra_specs)
        if volume.value("clone.is_flexclone") is not True and not splits:
            message = (
                f"{self._array.name}: the volume {volume.name} was to be a clone of {snapshot.name!r}, and the array has made an empty one; "
                "remove it there"
            )
            raise DriverError(message)
        own = clones.own_fields(fields, request.size_bytes, policy)
        growth = growth_asked(request.extra_specs, request.size_bytes)
        own |= autosize_fields(growth)
        if growth is not None and request.size_bytes < volume.size_bytes <= growth.most_bytes:
            del own["size"]  # its parent has grown, and it may be as large
        done = comment_fields(volume, volume.note.without(BASE_NOTE))
        if not splits:
            return self._volumes.change(volume, {**own, **done})
        if volume.value("clone.is_flexclone") is True:
            volume = self._volumes.change(volume, own)
            clones.split(self._array, volume.uuid)
        return self._volumes.change(volume, done)
