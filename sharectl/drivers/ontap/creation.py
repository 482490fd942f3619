"""Making the volume of a share, or finishing to: nobody may reach it at any moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import ConflictError, DriverError, PoolError
from sharectl.drivers.ontap.errors import ArrayError, OutcomeUnknownError
from sharectl.drivers.ontap.names import CLOSED_POLICY, Note, candidate_names, comment_of
from sharectl.drivers.ontap.smb_paths import SmbPaths
from sharectl.drivers.ontap.volumes import NAME_NOTE, PATH_NOTE, PROTOCOL_NOTE, VOLUMES, volume_of
from sharectl.drivers.share_checks import taken_since

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.drivers.ontap.policies import Policies
    from sharectl.drivers.ontap.volumes import Volume, Volumes
    from sharectl.model.canonical import JsonObject
    from sharectl.model.requests import ShareRequest

_JUNCTION: Final = 918252
_NO_AGGREGATE: Final = 917508


class Creation:
    """Makes the volumes of shares."""

    def __init__(self, volumes: Volumes, policies: Policies) -> None:
        """Make them on this backend."""
        self._volumes, self._policies, self._array = volumes, policies, volumes.array
        self.smb_paths = SmbPaths(volumes.array)

    def create(
        self, request: ShareRequest, svm: str, fields: JsonObject, notes: Mapping[str, str] | None = None
    ) -> Volume:
        """Return the volume of a share, made with these fields and all that a share needs, unless an earlier call has made it.

        `notes` are what its comment remembers besides.
        """
        found = self._volumes.find(request.resource_id)
        if found is not None:
            return self._finished(found, request)
        self._policies.check_closed(svm)
        values = {NAME_NOTE: request.name, PROTOCOL_NOTE: request.protocol, **(notes or {})}
        note = Note(request.resource_id, values)
        for name, path in candidate_names(request.name, request.resource_id):
            self.smb_paths.check(svm, path)
            body = {
                **fields,
                "svm": {"name": svm},
                "name": name,
                "comment": comment_of(note),
            }
            body["nas"] = {**fields["nas"], "path": path, "export_policy": {"name": CLOSED_POLICY}}
            made = self._made(request, body)
            if made is not None:
                return self._volumes.remember(made)
        message = (
            f"{self._array.name}: the SVM {svm} has volumes under all names that the share {request.name} could have"
        )
        raise ConflictError(message)

    def _made(self, request: ShareRequest, body: JsonObject) -> Volume | None:
        """Return the volume; None where another share has its name or its path."""
        try:
            record = self._array.post(VOLUMES, body, svm=body["svm"]["name"])
        except OutcomeUnknownError:
            found = self._volumes.find(request.resource_id)
            if found is None:
                raise
            return found
        except ArrayError as problem:
            if problem.kind == "dup" or problem.code == _JUNCTION:
                return self._holder(request, body, problem)
            raise self._refusal(request, problem) from problem
        if "uuid" in record and record.get("state") == "online":
            return volume_of(body).with_values(record)
        found = self._volumes.find(request.resource_id)
        if found is None:
            message = f"{self._array.name}: the volume {body['name']} was made, and is not shown yet"
            raise OutcomeUnknownError(message)
        return found

    def _refusal(self, request: ShareRequest, problem: ArrayError) -> DriverError:
        """Return what the engine is told; a job that failed may have made the volume all the same, which the repeated call then finds."""
        if problem.kind == "space" or problem.code == _NO_AGGREGATE:
            return PoolError(str(problem))
        if problem.kind != "partial":
            return problem
        if self._volumes.find(request.resource_id) is not None:
            return OutcomeUnknownError(str(problem))
        return PoolError(str(problem))

    def _holder(self, request: ShareRequest, body: JsonObject, problem: ArrayError) -> Volume | None:
        """Return the volume that has the name or the path if it is the share's own, None where it is that of a share that may have it.

        Raises ConflictError where something that sharectl did not make, or a share that is not expected there, has it.
        """
        svm = body["svm"]["name"]
        holder = self._volumes.named(svm, body["name"]) or self._volumes.mounted_at(svm, body["nas"]["path"])
        if holder is None:
            if problem.kind != "dup":
                raise problem
            raise OutcomeUnknownError(str(problem)) from problem
        if holder.note is None:
            message = (
                f"{self._array.name}: the volume {holder.name} of the SVM {svm}, which sharectl did not make, has the name "
                f"or the path {body['nas']['path']}; nothing of it was touched"
            )
            raise ConflictError(message)
        if holder.note.resource_id == request.resource_id:
            return holder
        if request.is_in_the_way(holder.note.resource_id):
            raise ConflictError(taken_since(request.name))
        return None

    def _finished(self, found: Volume, request: ShareRequest) -> Volume:
        """Return a volume that an earlier call made: online, and mounted."""
        if not found.is_online:
            message = f"{self._array.name}: the volume {found.name} of the share is {found.record.get('state')}; bring it online"
            raise DriverError(message)
        if found.path is not None or found.note is None or "trashed" in found.note.values:
            return found
        return self.mount(found, request.name)

    def mount(self, volume: Volume, name: str) -> Volume:
        """Mount a volume where it was before it went to the trash, else at the path of its share."""
        resource_id, values = ("", {}) if volume.note is None else (volume.note.resource_id, volume.note.values)
        before = [values[PATH_NOTE]] if PATH_NOTE in values else []
        last: ArrayError | None = None
        for path in (*before, *(path for _, path in candidate_names(name, resource_id))):
            self.smb_paths.check(volume.svm, path)
            try:
                return self._volumes.change(volume, {"nas": {"path": path}})
            except ArrayError as problem:
                if problem.code != _JUNCTION and problem.kind != "dup":
                    raise
                last = problem
        raise last or AssertionError
