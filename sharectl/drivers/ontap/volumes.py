"""Volumes as the array has them, and how the one of a share is found: by the note in its comment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sharectl.drivers.base import ConflictError, DriverError, NotFoundError
from sharectl.drivers.ontap.claims import certain, claimants, rivals_of, why_uncertain
from sharectl.drivers.ontap.errors import ArrayError
from sharectl.drivers.ontap.exports import owner_of_policy
from sharectl.drivers.ontap.names import (
    CLOSED_POLICY,
    OWNER,
    candidate_names,
    comment_of,
    id_filter,
    read_note,
    trash_name,
)
from sharectl.drivers.ontap.qtrees.names import pool_of_container
from sharectl.drivers.ontap.requests import Pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sharectl.drivers.ontap.client import Array
    from sharectl.drivers.ontap.names import Note
    from sharectl.drivers.ontap.requests import QueryValue
    from sharectl.model.canonical import JsonObject

VOLUMES: Final = "storage/volumes"
NAME_NOTE: Final = "name"
PROTOCOL_NOTE: Final = "protocol"
TRASHED_NOTE: Final = "trashed"
POLICY_NOTE: Final = "policy"
TREATMENT_NOTE: Final = "clients"
ASKED_NOTE: Final = "asked"
PATH_NOTE: Final = "path"
VOLUME_NOTE: Final = "volume"
"""Values of a volume's note: what people call the share, its protocol, when it went to the trash and where it was mounted, the id of the export policy that
sharectl gave it, how its clients are treated, which options of its rules were asked for although they change nothing, and the UUID of the volume, which a
comment has from its first change on: it is not known before the volume is there."""

_TELLS_CLONES_SINCE: Final = (9, 16, 1)

VOLUME_FIELDS: Final = (
    "uuid",
    "name",
    "comment",
    "size",
    "state",
    "type",
    "style",
    "create_time",
    "svm.name",
    "svm.uuid",
    "aggregates",
    "nas.path",
    "nas.export_policy",
    "nas.security_style",
    "nas.junction_parent.name",
    "space.used",
    "space.available",
    "space.filesystem_size_fixed",
    "space.snapshot.reserve_percent",
    "guarantee.type",
    "snapshot_policy.name",
    "qos.policy.name",
    "clone.is_flexclone",
    "clone.parent_volume.name",
    "clone.parent_snapshot.name",
    "snapmirror.is_protected",
    "flexcache_endpoint_type",
    "tiering.policy",
)


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume; `record` is all that was read of it, `note` what its comment says, None where sharectl did not write it there.

    `copied_id` is the share that a comment is of which sharectl wrote for another volume, and somebody has copied.
    """

    record: JsonObject
    note: Note | None
    copied_id: str | None = None

    @property
    def uuid(self) -> str:
        """What never changes of it."""
        return str(self.record["uuid"])

    @property
    def name(self) -> str:
        """Its name on the array."""
        return str(self.record["name"])

    @property
    def svm(self) -> str:
        """The name of its SVM."""
        return str(self.value("svm.name"))

    @property
    def size_bytes(self) -> int:
        """Its whole size, with what is kept for snapshots."""
        return int(self.record.get("size") or 0)

    @property
    def is_online(self) -> bool:
        """Whether it serves anybody."""
        return bool(self.record.get("state", "online") == "online")

    @property
    def path(self) -> str | None:
        """Where it is mounted in its SVM, None where it is not."""
        return self.value("nas.path") or None

    @property
    def policy(self) -> str:
        """The name of its export policy."""
        return str(self.value("nas.export_policy.name", ""))

    @property
    def policy_id(self) -> int | None:
        """The id of its export policy."""
        return self.value("nas.export_policy.id")  # type: ignore[no-any-return]  # a number, as the array has it

    @property
    def aggregates(self) -> tuple[str, ...]:
        """The names of the aggregates that it is on, each once."""
        return tuple(dict.fromkeys(str(each["name"]) for each in self.record.get("aggregates", ())))

    @property
    def share_name(self) -> str:
        """What people call the share."""
        return self.name if self.note is None else self.note.values.get(NAME_NOTE, self.name)

    @property
    def is_certain(self) -> bool:
        """Whether its comment was written for it: it says so by the UUID, or has the name that the volume of the share was made with."""
        if self.note is None:
            return False
        if self.is_proven:
            return True
        names = {name for name, _ in candidate_names(self.share_name, self.note.resource_id)}
        return self.name in {*names, trash_name(self.note.resource_id)}

    @property
    def is_proven(self) -> bool:
        """Whether its comment holds its UUID."""
        return self.note is not None and self.note.values.get(VOLUME_NOTE) == self.uuid

    @property
    def has_own_policy(self) -> bool:
        """Whether its export policy is one that sharectl made for this share, whatever it is called now."""
        if self.note is None or self.policy == CLOSED_POLICY:
            return False
        noted = self.note.values.get(POLICY_NOTE)
        return owner_of_policy(self.policy) == self.note.resource_id or (
            noted is not None and noted == str(self.policy_id)
        )

    @property
    def used_bytes(self) -> int | None:
        """What its data takes, snapshots in their reserve left out; None of a volume that is offline."""
        used = self.value("space.used")
        return None if used is None else int(used)

    def value(self, dotted: str, default: Any = None) -> Any:  # noqa: ANN401 - whatever the array has there
        """Return a value inside the record."""
        found: Any = self.record
        for part in dotted.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return default if found is None else found

    def with_values(self, changed: Mapping[str, Any]) -> Volume:
        """Return it as it is after a change of these fields, nested as in the request."""
        return volume_of(_merged(self.record, changed))


def volume_of(record: JsonObject) -> Volume:
    """Return the volume in a record."""
    note = read_note(record.get("comment"))
    if note is not None and note.values.get(VOLUME_NOTE, record.get("uuid")) != record.get("uuid"):
        return Volume(record, None, note.resource_id)
    return Volume(record, note)


def _merged(record: Mapping[str, Any], changed: Mapping[str, Any]) -> JsonObject:
    found = dict(record)
    for key, value in changed.items():
        found[key] = _merged(found.get(key) or {}, value) if isinstance(value, dict) else value
    return found


class Volumes:
    """The volumes of a backend, on its one SVM or on all SVMs of share servers; remembers those of shares that it has seen.

    What is remembered spares a look where the call that follows names the volume by its UUID: it is there, or the array says so.
    """

    def __init__(self, array: Array, svm: str | None) -> None:
        """Look at this SVM; at all where None."""
        self.array, self._svm = array, svm
        self._seen: dict[str, Volume] = {}

    def all(self) -> list[Volume]:
        """Return all but the root volumes of SVMs, whoever made them."""
        found = self._read({"is_svm_root": False})
        self._seen = certain(found)
        return found

    def find(self, resource_id: str) -> Volume | None:
        """Return the volume of a share as it is now, None where there is none. Raises ConflictError where it may be one of several."""
        self._seen.pop(resource_id, None)
        alike = self._claiming(resource_id)
        if not alike:
            return None
        if rivals := rivals_of(alike):
            names = " and ".join(sorted(each.name for each in (alike[0], *rivals)))
            message = (
                f"{self.array.name}: the volumes {names} all say in their comments that they are the share {resource_id}; "
                "nothing was changed: correct the comment of each that is not"
            )
            raise ConflictError(message)
        if not alike[0].is_certain:
            message = f"{self.array.name}: the volume {alike[0].name} cannot be told to be the share {resource_id}: {why_uncertain(alike[0])}"
            raise ConflictError(message)
        return self.remember(alike[0])

    def find_all(self, resource_ids: Iterable[str]) -> list[Volume]:
        """Return the volumes of these shares that there are, to be shown."""
        alike = [found for each in sorted(set(resource_ids)) if (found := self._claiming(each))]
        for volumes in alike:
            self._seen |= certain(volumes)
        return [volumes[0] for volumes in alike if volumes[0].is_certain]

    def _claiming(self, resource_id: str) -> Sequence[Volume]:
        found = claimants(self._read({"comment": Pattern(id_filter(resource_id))}))
        return found.get(resource_id, ())

    def needed(self, resource_id: str) -> Volume:
        """Return the volume of a share as it is now; raises NotFoundError."""
        found = self.find(resource_id)
        if found is None:
            message = f"{self.array.name}: no volume has the comment of the share {resource_id}"
            raise NotFoundError(message)
        return found

    def known(self, resource_id: str) -> Volume | None:
        """Return the volume of a share as it was last seen, without asking."""
        return self._seen.get(resource_id)

    def forget(self, resource_id: str) -> None:
        """Look again the next time: nobody knows what became of it."""
        self._seen.pop(resource_id, None)

    def remember(self, volume: Volume) -> Volume:
        """Keep what is known now of the volume of a share."""
        if volume.note is not None:
            self._seen[volume.note.resource_id] = volume
        return volume

    def named(self, svm: str, name: str) -> Volume | None:
        """Return the volume of this name as it is now."""
        found = self._read({"name": name, "svm.name": svm})
        return found[0] if found else None

    def mounted_at(self, svm: str, path: str) -> Volume | None:
        """Return the volume that is mounted at this path."""
        found = self._read({"nas.path": path, "svm.name": svm})
        return found[0] if found else None

    def like(self, query: Mapping[str, QueryValue]) -> list[Volume]:
        """Return the volumes that a query finds."""
        return self._read(query)

    def below(self, volume: Volume) -> list[str]:
        """Return the names of the volumes that are mounted inside of one."""
        found = self._read({"svm.name": volume.svm, "nas.junction_parent.uuid": volume.uuid})
        return sorted(each.name for each in found)

    def with_another_reserve(self, note: str, percent: int) -> dict[str, int]:
        """Return the part that is kept for snapshots of the volumes with such a note, by their names, where it is another one."""
        query = {"comment": Pattern(f"{OWNER}:* {note}*"), "space.snapshot.reserve_percent": Pattern(f"!{percent}")}
        fields = ("name", "comment", "space.snapshot.reserve_percent")
        found = self.array.records(VOLUMES, svm=self._svm, query=query, fields=fields)
        return {
            str(record["name"]): int(record["space"]["snapshot"]["reserve_percent"])
            for record in found
            if read_note(record.get("comment")) is not None
        }

    def clones_of(self, volume: Volume) -> list[str] | None:
        """Return the names of the clones of a volume, None where it has some that are not listed: those in the array's recovery queue.

        Before 9.16.1 such a clone does not show.
        """
        tells = self.array.version >= _TELLS_CLONES_SINCE
        if tells and not self._has_clones(volume):
            return []
        found = self._read({"clone.is_flexclone": True, "clone.parent_volume.uuid": volume.uuid})
        return sorted(each.name for each in found) or (None if tells else [])

    def _has_clones(self, volume: Volume) -> bool:
        try:
            read = self.array.get((VOLUMES, volume.uuid), svm=self._svm, fields=("clone.has_flexclone",))
        except ArrayError as problem:
            if problem.kind != "gone":
                raise
            return False
        return bool((read.get("clone") or {}).get("has_flexclone", True))

    def change(self, volume: Volume, fields: JsonObject) -> Volume:
        """Change fields of a volume; return it as it is then. After a failure it is looked at again before the next change."""
        note = volume.note
        try:
            self.array.patch((VOLUMES, volume.uuid), fields, svm=self._svm)
        except BaseException:
            if note is not None:
                self.forget(note.resource_id)
            raise
        return self.remember(volume.with_values(fields))

    def _read(self, query: Mapping[str, QueryValue]) -> list[Volume]:
        records = self.array.records(VOLUMES, svm=self._svm, query=query, fields=VOLUME_FIELDS)
        return [volume_of(record) for record in records]


def noted(volume: Volume, note: Note) -> JsonObject:
    """Return the change that writes a note, nothing where it says so already."""
    comment = comment_of(note.having(**{VOLUME_NOTE: volume.uuid}))
    return {} if comment == volume.record.get("comment") else {"comment": comment}


def why_not_served(volume: Volume) -> str:
    """Return what keeps every client from a volume, whatever its rules; empty where nothing does."""
    if not volume.is_online:
        return f"the volume {volume.name} is {volume.record.get('state')}"
    return "" if volume.path is not None else f"the volume {volume.name} is mounted nowhere"


def check_served(array: Array, volume: Volume) -> None:
    """Raise DriverError where no client could reach a volume: rules do not help there."""
    if why_not := why_not_served(volume):
        remedy = "mount it" if volume.is_online else "bring it online"
        message = f"{array.name}: {why_not}, and nobody reaches the share; {remedy} on the array"
        raise DriverError(message)


def why_not_adoptable(volume: Volume) -> str:
    """Return why a volume that sharectl did not make cannot be taken over as it is; empty where it can."""
    return next(_obstacles(volume), "")


def _obstacles(volume: Volume) -> Iterator[str]:
    if volume.copied_id is not None:
        yield f"its comment was written for another volume, that of the share {volume.copied_id}; empty it"
    if (pool := pool_of_container(volume.record.get("comment"))) is not None:
        yield f"it holds the shares of the pool of qtrees {pool}"
    kind = volume.record.get("type", "rw")
    if kind != "rw":
        yield f"it is of type {kind}, and nobody can write to it but a replication"
    if not volume.is_online:
        yield f"it is {volume.record.get('state')}"
    if volume.record.get("style", "flexvol") != "flexvol":
        yield f"it is a {volume.record.get('style')}, of which sharectl takes over none"
    if volume.value("flexcache_endpoint_type", "none") == "cache":
        yield "it is the cache of another volume"
    if volume.path is None:
        yield "it is mounted nowhere: no client has a path to it"
    if volume.path == "/":
        yield "it is the root volume of its SVM, which all others are mounted below"
