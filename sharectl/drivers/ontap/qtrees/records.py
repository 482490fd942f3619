"""Qtrees as the array has them, and how the one of a share is found: by the id in its name, or in that of its export policy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import BackendUnavailableError, ConflictError, NotFoundError
from sharectl.drivers.ontap.qtrees.names import (
    CONTAINER_NOTE,
    digits_of,
    number_in,
    place_of,
    policies_of,
    pool_of_container,
    read_name,
    read_policy_name,
    volume_in,
)
from sharectl.drivers.ontap.requests import Pattern
from sharectl.drivers.ontap.volumes import VOLUMES, volume_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sharectl.drivers.ontap.client import Array
    from sharectl.drivers.ontap.policies import Policies
    from sharectl.drivers.ontap.requests import QueryValue
    from sharectl.drivers.ontap.volumes import Volume
    from sharectl.model.canonical import JsonObject

QTREES: Final = "storage/qtrees"
JOBS: Final = "cluster/jobs"
QTREE_FIELDS: Final = (
    "name",
    "id",
    "volume.uuid",
    "volume.name",
    "svm.name",
    "security_style",
    "export_policy",
    "nas.path",
)


@dataclass(frozen=True, slots=True)
class Qtree:
    """A qtree of a volume; `owner` is the id of the share that it is, None where it is none of sharectl's."""

    volume_uuid: str
    number: int
    name: str
    volume: str
    svm: str
    path: str | None
    style: str
    policy: str
    policy_id: int | None
    owner: str | None = None

    @property
    def key(self) -> tuple[str, int]:
        """What never changes of it."""
        return self.volume_uuid, self.number

    @property
    def place(self) -> str:
        """The same as text, with its name: an array gives the number of a qtree that is gone to the next one."""
        return place_of(self.volume_uuid, self.number, self.name)

    @property
    def share_name(self) -> str:
        """What people call the share."""
        owner, name, _ = read_name(self.name)
        return name if owner is not None and owner == self.owner else self.name

    @property
    def is_deleted(self) -> bool:
        """Whether it was withdrawn to be removed."""
        return self.owner is not None and read_name(self.name)[2]


def qtree_of(record: JsonObject) -> Qtree:
    """Return the qtree in a record, and the share that it says it is by its own name or by that of its export policy."""
    volume, policy = record["volume"], record.get("export_policy") or {}
    policy_name = str(policy.get("name", ""))
    marked = read_policy_name(policy_name)
    owner = read_name(str(record["name"]))[0] or (None if marked is None else marked[0])
    return Qtree(
        volume_uuid=str(volume["uuid"]),
        number=int(record["id"]),
        name=str(record["name"]),
        volume=str(volume.get("name", "")),
        svm=str((record.get("svm") or {}).get("name", "")),
        path=(record.get("nas") or {}).get("path") or None,
        style=str(record.get("security_style", "unix")),
        policy=policy_name,
        policy_id=policy.get("id"),
        owner=owner,
    )


def with_owners(qtrees: Iterable[Qtree], policies: Iterable[JsonObject]) -> list[Qtree]:
    """Return qtrees with those that were taken over known by a policy that names them, whatever policy they have now."""
    marked = (read_policy_name(str(policy["name"])) for policy in policies)
    places = {marks.place: owner for owner, marks in filter(None, marked) if marks.place}
    return [replace(each, owner=places[each.place]) if each.place in places else each for each in qtrees]


def copies_among(qtrees: Iterable[Qtree], parents: Mapping[str, str]) -> set[tuple[str, int]]:
    """Return the keys of the qtrees of shares that are copies: in a clone of the volume in which another one says that it is the same share.

    `parents` are the names of the volumes that others are clones of, by the UUIDs of the clones.
    """
    by_owner: dict[str, list[Qtree]] = {}
    for qtree in qtrees:
        if qtree.owner is not None:
            by_owner.setdefault(qtree.owner, []).append(qtree)
    copies = set()
    for alike in by_owner.values():
        places = {(each.svm, each.volume) for each in alike} if len(alike) > 1 else set()
        copies |= {each.key for each in alike if (each.svm, parents.get(each.volume_uuid)) in places}
    return copies


def parent_of(volume: JsonObject) -> str:
    """Return the name of the volume that one is a clone of; empty where it is none."""
    clone = volume.get("clone") or {}
    return str((clone.get("parent_volume") or {}).get("name", "")) if clone.get("is_flexclone") else ""


def hiding(volumes: Iterable[Volume], policies: Iterable[JsonObject]) -> list[Volume]:
    """Return the volumes that may hold qtrees of shares and show none, since they are not online: those for qtrees, and those that some were taken over in."""
    marked = filter(None, (read_policy_name(str(policy["name"])) for policy in policies))
    named = {volume_in(marks.place) for _, marks in marked if marks.place}
    return [
        each
        for each in volumes
        if not each.is_online and (each.uuid in named or pool_of_container(each.record.get("comment")) is not None)
    ]


def check_shown(array: Array, hidden: Sequence[Volume]) -> None:
    """Raise BackendUnavailableError where volumes show no qtrees: those in them are neither there nor gone."""
    if hidden:
        shown = " and ".join(sorted(f"{each.name} is {each.record.get('state')}" for each in hidden))
        message = (
            f"{array.name}: the volume {shown}, and nobody knows which qtrees are in it; bring it online, or, where no share is in it any "
            "more, remove it"
        )
        raise BackendUnavailableError(message)


class Qtrees:
    """The qtrees of a backend, on its one SVM or on all of share servers; remembers those of shares that it has seen."""

    def __init__(self, array: Array, svm: str | None, policies: Policies) -> None:
        """Look at this SVM; at all where None."""
        self.array, self._svm, self._policies = array, svm, policies
        self._seen: dict[str, Qtree] = {}

    def all(self) -> list[Qtree]:
        """Return all, but what of volumes is in none."""
        return self._read({"id": Pattern(">0")})

    def find(self, resource_id: str) -> Qtree | None:
        """Return the qtree of a share as it is now, None where there is none. Raises ConflictError where it may be one of several."""
        self._seen.pop(resource_id, None)
        return self._one_of(self.claiming(resource_id), resource_id)

    def _one_of(self, found: Sequence[Qtree], resource_id: str) -> Qtree | None:
        if len(found) > 1:
            found = self._without_copies(found)
        if len(found) > 1:
            names = " and ".join(f"{each.volume}/{each.name}" for each in found)
            message = (
                f"{self.array.name}: the qtrees {names} all say by their names, or by those of their export policies, that they are the "
                f"share {resource_id}; nothing was changed: rename each that is not, and give it another policy"
            )
            raise ConflictError(message)
        return self.remember(found[0]) if found else None

    def _without_copies(self, found: Sequence[Qtree]) -> list[Qtree]:
        query: Mapping[str, QueryValue] = {"uuid": tuple(sorted({each.volume_uuid for each in found}))}
        fields = ("uuid", "clone.is_flexclone", "clone.parent_volume.name")
        volumes = self.array.records(VOLUMES, svm=self._svm, query=query, fields=fields)
        copies = copies_among(found, {str(each["uuid"]): parent_of(each) for each in volumes})
        return [each for each in found if each.key not in copies]

    def look(self, resource_id: str, svm: str, name: str) -> tuple[Qtree | None, list[Qtree]]:
        """Return the qtree of a share, as `find` does, and those of others in its SVM that people call by the same name."""
        self._seen.pop(resource_id, None)
        plain = name.replace("..", "*")
        alike = self._read({"name": Pattern(f"*_{digits_of(resource_id)}|{plain}|{plain}_*")})
        mine = self._one_of(self._claiming(resource_id, alike), resource_id)
        others = [each for each in alike if each.svm == svm and each.share_name == name and each.owner != resource_id]
        return mine, [each for each in others if not each.is_deleted]

    def claiming(self, resource_id: str) -> list[Qtree]:
        """Return all qtrees that say that they are a share."""
        return self._claiming(resource_id, self._read({"name": Pattern(f"*_{digits_of(resource_id)}")}))

    def _claiming(self, resource_id: str, named: Iterable[Qtree]) -> list[Qtree]:
        found = {each.key: each for each in named if read_name(each.name)[0] == resource_id}
        prefix = policies_of(resource_id)
        policies = self._policies.named_like(f"{prefix}*")
        if policies:
            found |= {each.key: each for each in self._read({"export_policy.name": Pattern(f"{prefix}*")})}
        marked = filter(None, (read_policy_name(str(each["name"])) for each in policies))
        for place in sorted({marks.place for owner, marks in marked if marks.place and owner == resource_id}):
            if (number := number_in(place)) is None or (volume_in(place), number) in found:
                continue
            there = self._read({"volume.uuid": volume_in(place), "id": number})
            found |= {each.key: each for each in there if each.place == place}
        owned = (
            replace(each, owner=resource_id)
            for each in found.values()
            if read_name(each.name)[0] in {None, resource_id}
        )
        return sorted(owned, key=lambda each: each.key)

    def hiding(self, resource_ids: Iterable[str]) -> list[Volume]:
        """Return the volumes that may hold the qtrees of shares which were not found."""
        fields = ("uuid", "name", "state", "comment", "svm.name")
        query: Mapping[str, QueryValue] = {"comment": Pattern(f"{CONTAINER_NOTE}*")}
        records = self.array.records(VOLUMES, svm=self._svm, query=query, fields=fields)
        policies = [each for one in resource_ids for each in self._policies.named_like(f"{policies_of(one)}*")]
        marked = filter(None, (read_policy_name(str(each["name"])) for each in policies))
        if places := {volume_in(marks.place) for _, marks in marked if marks.place}:
            query = {"uuid": tuple(sorted(places))}
            records = [*records, *self.array.records(VOLUMES, svm=self._svm, query=query, fields=fields)]
        return hiding(map(volume_of, records), policies)

    def check_gone(self, resource_id: str) -> None:
        """Raise BackendUnavailableError where a qtree that was not found may be in a volume that shows none."""
        check_shown(self.array, self.hiding([resource_id]))

    def needed(self, resource_id: str) -> Qtree:
        """Return the qtree of a share as it is now; raises NotFoundError."""
        found = self.find(resource_id)
        if found is None:
            self.check_gone(resource_id)
        if found is None or found.is_deleted:
            message = f"{self.array.name}: no qtree has the id of the share {resource_id} in its name, or in that of its export policy"
            raise NotFoundError(message)
        return found

    def known(self, resource_id: str) -> Qtree | None:
        """Return the qtree of a share as it was last seen, without asking."""
        return self._seen.get(resource_id)

    def remember(self, qtree: Qtree) -> Qtree:
        """Keep what is known now of the qtree of a share."""
        if qtree.owner is not None:
            self._seen[qtree.owner] = qtree
        return qtree

    def forget(self, resource_id: str) -> None:
        """Look again the next time."""
        self._seen.pop(resource_id, None)

    def at(self, svm: str, volume: str, name: str) -> Qtree | None:
        """Return the qtree of this name in a volume."""
        found = self._read({"svm.name": svm, "volume.name": volume, "name": name})
        return found[0] if found else None

    def in_volume(self, volume_uuid: str) -> list[Qtree]:
        """Return the qtrees of one volume."""
        return self._read({"volume.uuid": volume_uuid, "id": Pattern(">0")})

    def change(self, qtree: Qtree, fields: JsonObject) -> None:
        """Change fields of a qtree. After a failure it is looked at again before the next change."""
        try:
            self.array.patch((QTREES, qtree.volume_uuid, qtree.number), fields, svm=self._svm)
        except BaseException:
            if qtree.owner is not None:
                self.forget(qtree.owner)
            raise

    def still_there(self, qtrees: Sequence[Qtree]) -> list[Qtree]:
        """Return qtrees without those that the array is removing, or has removed since they were read."""
        if not any(each.is_deleted for each in qtrees):
            return list(qtrees)
        removing = self.being_removed()

        def is_there(qtree: Qtree) -> bool:
            return qtree.key not in removing and self.at(qtree.svm, qtree.volume, qtree.name) is not None

        return [each for each in qtrees if not each.is_deleted or is_there(each)]

    def being_removed(self) -> frozenset[tuple[str, int]]:
        """Return the keys of the qtrees that the array is removing now: their files may take it minutes."""
        query: Mapping[str, QueryValue] = {
            "description": Pattern(f"DELETE /api/{QTREES}/*"),
            "state": ("queued", "running", "paused"),
        }
        jobs = self.array.records(JOBS, svm=self._svm, query=query, fields=("description", "state"))
        paths = (str(job.get("description", "")).partition(f"/{QTREES}/")[2].split("/") for job in jobs)
        return frozenset((path[0], int(path[1])) for path in paths if len(path) == 2 and path[1].isdigit())  # noqa: PLR2004 - a volume and a number

    def _read(self, query: Mapping[str, QueryValue]) -> list[Qtree]:
        records = self.array.records(QTREES, svm=self._svm, query=query, fields=QTREE_FIELDS)
        return [qtree_of(record) for record in records if record.get("name")]
