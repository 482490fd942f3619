"""Putting volumes aside and removing them, in the order that the array accepts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sharectl.drivers.base import DriverError, NotFoundError, ShareInUseError, TransientError
from sharectl.drivers.ontap import qos
from sharectl.drivers.ontap.errors import ArrayError, OutcomeUnknownError
from sharectl.drivers.ontap.luns import check_no_blocks
from sharectl.drivers.ontap.names import candidate_names, trash_name
from sharectl.drivers.ontap.provisioning import QOS_NOTE
from sharectl.drivers.ontap.queue import skips_queue
from sharectl.drivers.ontap.snapshot_policies import paused
from sharectl.drivers.ontap.volumes import PATH_NOTE, TRASHED_NOTE, VOLUMES, noted, volume_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.drivers.ontap.access import Access
    from sharectl.drivers.ontap.creation import Creation
    from sharectl.drivers.ontap.rules import Rules
    from sharectl.drivers.ontap.snapshot_policies import SnapshotPolicies
    from sharectl.drivers.ontap.volumes import Volume, Volumes
    from sharectl.model.canonical import JsonObject

_HAS_CLONES = 524615
_MOUNTED = 524546
_UNMOUNT_AGAIN_SECONDS = 10.0
_NO_LIMITS = "none"


class Removal:
    """Takes shares away from clients, into the trash, or for good."""

    def __init__(  # noqa: PLR0913 - one of each thing that goes with a share
        self,
        volumes: Volumes,
        access: Access,
        rules: Rules,
        creation: Creation,
        snapshot_policies: SnapshotPolicies,
        *,
        past_queue: bool,
    ) -> None:
        """Delete past the array's recovery queue where `past_queue`."""
        self._volumes, self._access, self._rules, self._creation = volumes, access, rules, creation
        self._snapshot_policies = snapshot_policies
        self._past_queue = past_queue

    def delete(self, resource_id: str, svm: str | None) -> None:
        """Remove the volume of a share and its policies; the volume goes last, so that an interrupted removal is found by it.

        `svm` is where policies are looked for if the volume is gone already, None where it cannot be told.
        """
        volume = self._volumes.find(resource_id)
        if volume is None:
            if svm is not None:
                self._access.remove_policies(svm, resource_id)
                qos.remove_policy(self._volumes.array, svm, resource_id)
                self._snapshot_policies.drop_unused(svm)
            return
        self._check_free(volume)
        self._withdrawn(volume, keeps_limits=False)
        self._snapshot_policies.drop_of(volume)
        are_gone = volume.is_online and self._limits_removed(volume, resource_id)
        is_forced = self._past_queue or skips_queue(volume)
        try:
            self._volumes.array.delete(
                (VOLUMES, volume.uuid), svm=volume.svm, query={"force": True} if is_forced else None
            )
        except OutcomeUnknownError:
            if self._volumes.find(resource_id) is not None:
                raise
        except ArrayError as problem:
            if problem.kind != "gone":
                self._raise(volume, problem)
        self._volumes.forget(resource_id)
        if not volume.is_online:
            self._access.remove_policies(volume.svm, resource_id)
        if not are_gone:
            self._limits_removed(volume, resource_id)
            self._snapshot_policies.drop_of(volume)

    def _limits_removed(self, volume: Volume, resource_id: str) -> bool:
        """Remove the QoS policy of a share, unless it is in use; tell whether it is gone."""
        has_limits = volume.note is not None and QOS_NOTE in volume.note.values
        if not has_limits and not _has_own_limits(volume):
            return True
        return qos.remove_policy(self._volumes.array, volume.svm, resource_id)

    def _check_free(self, volume: Volume) -> None:
        """Raise ShareInUseError, before anything is withdrawn, where the array would not let go of the volume, or others would lose something with it."""
        self._check_nothing_inside(volume)
        clones = self._volumes.clones_of(volume)
        if clones is None or clones:
            raise ShareInUseError(self._clones_words(volume, clones or ()))
        check_no_blocks(self._volumes.array, volume.svm, volume.uuid, volume.name)

    def _clones_words(self, volume: Volume, clones: Sequence[str]) -> str:
        place = f"{self._volumes.array.name}: the volume {volume.name} stays as it is:"
        if not clones:
            return f"{place} a clone of it is in the array's recovery queue; wait until the queue lets go of that, or purge it there"
        is_made = f"{' and '.join(clones)} {'are clones' if len(clones) > 1 else 'is a clone'} of it"
        return f"{place} {is_made}; remove what was made of it first, or split it off"

    def _check_nothing_inside(self, volume: Volume) -> None:
        if volume.is_online and volume.path is not None and (below := self._volumes.below(volume)):
            raise self._occupied(volume, below)

    def _withdrawn(self, volume: Volume, *, keeps_limits: bool = True) -> Volume:
        """Take the volume from its clients; one that is offline serves nobody, cannot be changed, and keeps its policies in use."""
        self._rules.withdraw(volume)
        if not volume.is_online:
            return volume
        try:
            more: JsonObject = {} if volume.path is None else {"nas": {"path": ""}}
            if not keeps_limits:  # its policies could not go while the volume has them, nor be found without it
                more |= {"qos": {"policy": {"name": _NO_LIMITS}}} if _has_own_limits(volume) else {}
                more |= paused(volume)
            return self._access.close(volume, more)
        except ArrayError as problem:
            self._raise(volume, problem)
            raise
        finally:
            self._creation.smb_paths.forget(volume.svm)

    def _raise(self, volume: Volume, problem: ArrayError) -> None:
        if problem.code == _HAS_CLONES:
            message = (
                f"{problem}: no clone of the volume {volume.name} is listed; one that was deleted may be in the array's recovery queue: "
                "wait until the queue lets go of it, or purge it there. Nobody reaches the share any more"
            )
            raise ShareInUseError(message) from problem
        if volume.path is not None and (below := self._volumes.below(volume)):
            raise self._occupied(volume, below) from problem
        if problem.code == _MOUNTED or "job ID" in str(problem):
            raise TransientError(str(problem), _UNMOUNT_AGAIN_SECONDS) from problem
        if problem.kind == "partial":
            raise OutcomeUnknownError(str(problem)) from problem
        raise problem

    def _occupied(self, volume: Volume, below: Sequence[str]) -> ShareInUseError:
        return ShareInUseError(
            f"{self._volumes.array.name}: inside of the volume {volume.name} {' and '.join(below)} "
            f"{'are' if len(below) > 1 else 'is'} mounted; unmount what is inside of it, or remove that first"
        )

    def trash(self, resource_id: str, now: str) -> None:
        """Withdraw a share from everybody, and give its name and path free; `now` goes into its comment."""
        volume = self._volumes.needed(resource_id)
        if volume.note is None or TRASHED_NOTE in volume.note.values:
            return
        if not volume.is_online:
            message = f"{self._volumes.array.name}: the volume {volume.name} is {volume.record.get('state')}, and cannot be changed; bring it online"
            raise DriverError(message)
        if volume.path is not None:
            volume = replace(volume, note=volume.note.having(**{PATH_NOTE: volume.path}))
        self._check_nothing_inside(volume)
        volume = self._withdrawn(volume)
        note = volume.note or volume_of(volume.record).note
        if note is None:
            raise AssertionError
        fields: JsonObject = {
            "name": trash_name(resource_id),
            **noted(volume, note.having(**{TRASHED_NOTE: now})),
            **paused(volume),
        }
        self._volumes.change(volume, fields)
        self._volumes.forget(resource_id)
        self._snapshot_policies.drop_of(volume)

    def restore(self, resource_id: str) -> Volume:
        """Bring a share back under its name and at its path, with nobody who may reach it."""
        volume = self._volumes.find(resource_id)
        if volume is None or volume.note is None:
            message = f"{self._volumes.array.name}: no volume has the comment of the share {resource_id}"
            raise NotFoundError(message)
        note = volume.note
        if TRASHED_NOTE not in note.values:
            return volume
        if volume.path is None:
            volume = self._creation.mount(volume, volume.share_name)
        last: ArrayError | None = None
        for name, _ in candidate_names(volume.share_name, resource_id):
            fields: JsonObject = {"name": name, **noted(volume, note.without(TRASHED_NOTE, PATH_NOTE))}
            try:
                self._volumes.change(volume, fields)
            except ArrayError as problem:
                if problem.kind != "dup":
                    raise
                last = problem
            else:
                return self._volumes.needed(resource_id)
        raise last or AssertionError


def _has_own_limits(volume: Volume) -> bool:
    own = None if volume.note is None else qos.policy_name(volume.note.resource_id)
    return own is not None and volume.value("qos.policy.name") == own
