"""The volumes that hold qtrees: made when there is no room in those that are there, open to passers-by and to nobody else."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import ConflictError, DriverError, PoolError, ShareInUseError, TransientError
from sharectl.drivers.ontap.errors import ArrayError, OutcomeUnknownError
from sharectl.drivers.ontap.exports import same_rules
from sharectl.drivers.ontap.luns import check_no_blocks
from sharectl.drivers.ontap.policies import POLICIES
from sharectl.drivers.ontap.provisioning import SNAPSHOT_DIRECTORY_SINCE
from sharectl.drivers.ontap.qtrees.names import (
    CONTAINER_NOTE,
    PASSAGE_POLICY,
    container_comment,
    container_name,
    pool_of_container,
)
from sharectl.drivers.ontap.qtrees.quotas import limit_in
from sharectl.drivers.ontap.qtrees.records import check_shown, hiding
from sharectl.drivers.ontap.requests import Pattern
from sharectl.drivers.ontap.volumes import VOLUMES, volume_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sharectl.drivers.ontap.policies import Policies
    from sharectl.drivers.ontap.qtrees.quotas import Quotas
    from sharectl.drivers.ontap.qtrees.records import Qtree, Qtrees
    from sharectl.drivers.ontap.qtrees.settings import QtreePool
    from sharectl.drivers.ontap.smb_paths import SmbPaths
    from sharectl.drivers.ontap.volumes import Volume, Volumes
    from sharectl.model.canonical import JsonObject

PASSAGE_RULES: Final[Sequence[Mapping[str, object]]] = (
    {
        "clients": [{"match": "0.0.0.0/0"}, {"match": "::/0"}],
        "ro_rule": ["any"],
        "rw_rule": ["never"],
        "superuser": ["none"],
        "anonymous_user": "65534",
        "protocols": ["nfs"],
    },
)
"""Clients reach a qtree through its volume, which they have to be able to read."""

_TRAVERSABLE: Final = 711
"""Permissions of the root of such a volume: who passes sees no names."""
_MOST_QTREES: Final = 4900
_FRESH_SECONDS: Final = 30.0
_NUMBERS: Final = 100
_JUNCTION: Final = 918252
_NO_AGGREGATE: Final = 917508
_REMOVING_SECONDS: Final = 30.0
_NAMED: Final = 3


@dataclass(slots=True)
class Room:
    """A volume for qtrees, with what its quotas add up to, and how many there are."""

    volume: Volume
    promised_bytes: int = 0
    count: int = 0
    is_full: bool = False

    def takes(self, size_bytes: int) -> bool:
        """Tell whether there is room for one more of this size."""
        return (
            not self.is_full
            and self.count < _MOST_QTREES
            and self.volume.is_online
            and self.volume.path is not None
            and self.promised_bytes + size_bytes <= self.volume.size_bytes
        )


class Containers:
    """The volumes of a backend that hold qtrees."""

    def __init__(
        self,
        volumes: Volumes,
        policies: Policies,
        quotas: Quotas,
        smb_paths: SmbPaths,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Look at none yet."""
        self._volumes, self._policies, self._quotas, self._array = volumes, policies, quotas, volumes.array
        self._smb_paths, self._clock = smb_paths, clock
        self._lock = threading.Lock()
        self._locks: dict[tuple[str, str], threading.Lock] = {}
        self._rooms: dict[tuple[str, str], tuple[float, list[Room]]] = {}

    def room_for(self, svm: str, pool: QtreePool, size_bytes: int) -> Room:
        """Return a volume with room for one more qtree, which counts from now on; one is made where there is none."""
        with self._alone(svm, pool.name):
            read_at, rooms = self._rooms.get((svm, pool.name), (0.0, []))
            if (svm, pool.name) not in self._rooms or self._clock() - read_at > _FRESH_SECONDS:
                rooms = self._read(svm, pool.name)
                self._rooms[svm, pool.name] = self._clock(), rooms
            room = next((each for each in rooms if each.takes(size_bytes)), None)
            if room is None:
                room = Room(self._make(svm, pool, {each.volume.name for each in rooms}))
                rooms.append(room)
            room.promised_bytes += size_bytes
            room.count += 1
            return room

    def forget(self, svm: str) -> None:
        """Read them again the next time."""
        with self._lock:
            for key in [each for each in self._rooms if each[0] == svm]:
                del self._rooms[key]

    @contextmanager
    def grown(self, qtree: Qtree, grown_bytes: int) -> Iterator[None]:
        """Let the volume of a qtree be as large as its quotas add up to with so much more, where it is sharectl's; no other grows until that is promised."""
        volume = self.volume_of(qtree)
        pool = pool_of_container(volume.record.get("comment"))
        if pool is None:
            yield
            return
        with self._alone(volume.svm, pool):
            self._ensure_size(self.volume_of(qtree), grown_bytes)
            try:
                yield
            finally:
                self.forget(qtree.svm)

    def _ensure_size(self, volume: Volume, grown_bytes: int) -> None:
        rules = self._quotas.rules([volume.uuid]).values()
        needed = sum(limit_in(rule) or 0 for rule in rules) + grown_bytes
        if needed <= volume.size_bytes:
            return
        try:
            self._volumes.change(volume, {"size": -(-needed // (1 << 30)) << 30})
        except ArrayError as problem:
            if problem.kind == "space":
                raise PoolError(str(problem)) from problem
            raise

    def volume_of(self, qtree: Qtree) -> Volume:
        """Return the volume of a qtree as it is now."""
        found = self._volumes.named(qtree.svm, qtree.volume)
        if found is None or found.uuid != qtree.volume_uuid:
            message = f"{self._array.name}: the volume {qtree.volume} is not there any more"
            raise DriverError(message)
        return found

    def mend(self, volume: Volume) -> None:
        """Let clients pass through a volume of sharectl's again."""
        if pool_of_container(volume.record.get("comment")) is None:
            return
        self.ensure_passage(volume.svm)
        if volume.policy != PASSAGE_POLICY:
            self._volumes.change(volume, {"nas": {"export_policy": {"name": PASSAGE_POLICY}}})

    def ensure_passage(self, svm: str) -> None:
        """Make the export policy of these volumes, or make it as it should be."""
        rules = [dict(rule) for rule in PASSAGE_RULES]
        try:
            self._array.post(POLICIES, {"svm": {"name": svm}, "name": PASSAGE_POLICY, "rules": rules}, svm=svm)
        except ArrayError as problem:
            if problem.kind != "dup":
                raise
            found = self._policies.named(svm, PASSAGE_POLICY)
            if found is not None and not same_rules(found.get("rules", ()), rules):
                self._array.patch((POLICIES, found["id"]), {"rules": rules}, svm=svm)

    def remove_empty(self, svm: str, qtrees: Qtrees) -> None:
        """Remove the volumes of an SVM that hold no qtree any more. Raises ShareInUseError where one holds some, or LUNs, TransientError while the array removes them."""
        rooms = [each for each in self._containers({"svm.name": svm}) if each.svm == svm]
        removing = qtrees.being_removed() if rooms else frozenset()
        for volume in rooms:
            if not volume.is_online:
                message = f"the volume {volume.name} of the SVM {svm} is {volume.record.get('state')}, and nobody knows whether qtrees are in it; bring it online"
                raise ShareInUseError(message)
            there = qtrees.in_volume(volume.uuid)
            left = [each for each in there if not (each.is_deleted and each.key in removing)]
            if left:
                names = ", ".join(sorted(each.name for each in left)[:_NAMED])
                message = (
                    f"{len(left)} of the qtrees in the volume {volume.name} of the SVM {svm} are there still: {names}"
                )
                raise ShareInUseError(message)
            if there:
                message = (
                    f"{self._array.name}: the array is still removing the files of qtrees in the volume {volume.name}"
                )
                raise TransientError(message, _REMOVING_SECONDS)
            check_no_blocks(self._array, svm, volume.uuid, volume.name)
        for volume in rooms:
            if volume.path is not None:
                self._volumes.change(volume, {"nas": {"path": ""}})
            try:
                self._array.delete((VOLUMES, volume.uuid), svm=None)
            except ArrayError as problem:
                if problem.kind != "gone":
                    raise
        self.forget(svm)

    def _alone(self, svm: str, pool: str) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault((svm, pool), threading.Lock())

    def _containers(self, query: Mapping[str, str]) -> list[Volume]:
        return self._volumes.like({"comment": Pattern(f"{CONTAINER_NOTE}*"), **query})

    def _read(self, svm: str, pool: str) -> list[Room]:
        volumes = self._containers({"svm.name": svm})
        check_shown(self._array, hiding(volumes, ()))  # what is to be made may be in one of them
        mine = [each for each in volumes if pool_of_container(each.record.get("comment")) == pool]
        rooms = {each.uuid: Room(each) for each in sorted(mine, key=lambda each: each.name)}
        for (uuid, _), rule in self._quotas.rules(tuple(rooms)).items() if rooms else ():
            rooms[uuid].promised_bytes += limit_in(rule) or 0
            rooms[uuid].count += 1
        return list(rooms.values())

    def _make(self, svm: str, pool: QtreePool, taken: set[str]) -> Volume:
        self.ensure_passage(svm)
        for number in range(1, _NUMBERS):
            name = container_name(pool.name, number)
            if name in taken:
                continue
            self._smb_paths.check(svm, f"/{name}")
            made = self._made(svm, pool, name)
            if made is not None:
                return made
        message = f"{self._array.name}: the SVM {svm} has volumes under all names that those of the pool {pool.name} could have"
        raise ConflictError(message)

    def _made(self, svm: str, pool: QtreePool, name: str) -> Volume | None:
        """Return the volume, made now or by another process; None where something else has its name or its path."""
        body = self._body(svm, pool, name)
        try:
            record = self._array.post(VOLUMES, body, svm=svm)
            if "uuid" in record and record.get("state") == "online":
                return volume_of(body).with_values(record)
        except OutcomeUnknownError:
            if self._volumes.named(svm, name) is None:
                raise
        except ArrayError as problem:
            if problem.kind == "space" or problem.code == _NO_AGGREGATE:
                raise PoolError(str(problem)) from problem
            if problem.kind == "partial" and self._volumes.named(svm, name) is None:
                raise PoolError(str(problem)) from problem
            if problem.kind not in {"dup", "partial"} and problem.code != _JUNCTION:
                raise
        found = self._volumes.named(svm, name)
        is_ours = found is not None and pool_of_container(found.record.get("comment")) == pool.name
        return found if is_ours else None

    def _body(self, svm: str, pool: QtreePool, name: str) -> JsonObject:
        body: JsonObject = {
            "svm": {"name": svm},
            "name": name,
            "comment": container_comment(pool.name),
            "style": "flexvol",
            "type": "rw",
            "aggregates": [{"name": pool.aggregate}],
            "size": pool.volume_bytes,
            "guarantee": {"type": "none"},
            "snapshot_policy": {"name": "none"},
            "space": {"snapshot": {"reserve_percent": 0}},
            "tiering": {"policy": "none"},
            "efficiency": {"dedupe": "none", "compression": "none"},
            "nas": {
                "path": f"/{name}",
                "security_style": "unix",
                "unix_permissions": _TRAVERSABLE,
                "export_policy": {"name": PASSAGE_POLICY},
            },
        }
        if self._array.version >= SNAPSHOT_DIRECTORY_SINCE:
            body["snapshot_directory_access_enabled"] = False
        return body
