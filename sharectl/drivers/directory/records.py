"""Records: what the driver keeps of each share and snapshot, one small JSON file each."""

from __future__ import annotations

import re
from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import orjson

from sharectl.drivers.base import BackendUnavailableError, DriverError
from sharectl.drivers.directory import files
from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

MAX_RECORD_BYTES: Final = 64 * 1024
_RESOURCE_ID: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:-]{0,127}")
_SUFFIX: Final = ".json"


@dataclass(frozen=True, slots=True)
class ShareRecord:
    """A share: `directory` is its name in the pool, `export_name` its name for Windows clients, unique in the backend.

    Until `placed`, and again once `removing`, the share is there only if the directory of that name is the inode `inode`: another one of
    the name is somebody else's. `former_export_name` is the other name while the share is renamed for Windows clients: it may be reserved
    for the share too, and its section may have it.
    """

    resource_id: str
    name: str
    pool: str
    directory: str
    export_name: str
    size_bytes: int | None
    protocol: str | None
    placed: bool
    inode: int
    trashed_at: str | None = None
    removing: bool = False
    former_export_name: str | None = None


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """A snapshot; it is written only when its copy is whole and in place."""

    resource_id: str
    name: str
    pool: str
    share_resource_id: str
    share_backend_id: str
    size_bytes: int | None


AnyRecord = TypeVar("AnyRecord", ShareRecord, SnapshotRecord)


class RecordFolder(Generic[AnyRecord]):
    """The records of one kind: files named by resource id in the sub-folder `folder` of the metadata folder `private_fd`."""

    def __init__(self, private_fd: int, folder: str, record_type: type[AnyRecord]) -> None:
        """Read and write through `private_fd`, which stays the caller's to close."""
        self._private_fd = private_fd
        self._folder = folder
        self._record_type: type[AnyRecord] = record_type

    def read(self, resource_id: str) -> AnyRecord | None:
        """Return the record, or None; raises BackendUnavailableError where it cannot be read, DriverError for a bad id."""
        file_name = f"{self._folder}/{checked_id(resource_id)}{_SUFFIX}"
        content = files.read_bounded(file_name, self._private_fd, MAX_RECORD_BYTES)
        if content is None:
            return None
        try:
            return self._record_type(**orjson.loads(content))
        except (ValueError, TypeError) as cause:
            message = f"the record {file_name} of the backend is damaged; restore it from a backup, or remove it"
            raise BackendUnavailableError(message) from cause

    def read_all(self, resource_ids: Collection[str] | None = None) -> Iterator[AnyRecord]:
        """Yield all records, or those with these ids, in the order of their ids."""
        if resource_ids is None:
            names = files.names_in(self._folder, self._private_fd)
            # A name that starts with a dot is a temporary file of a write that was cut short.
            resource_ids = [
                name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX) and not name.startswith(".")
            ]
        for resource_id in sorted(set(resource_ids)):
            record = self.read(resource_id)
            if record is not None:
                yield record

    def write(self, record: AnyRecord, *, guard: files.Guard = nullcontext) -> None:
        """Store the record durably. `guard` keeps others out, and refuses whoever comes too late; a caller that has the storage locked needs none."""
        name = f"{checked_id(record.resource_id)}{_SUFFIX}"
        plain = asdict(record)
        for newer in ("removing", "former_export_name"):
            if not plain.get(newer, True):
                del plain[newer]  # a sharectl from before there was this field reads the record too
        files.write_durably(self._folder, name, orjson.dumps(plain), self._private_fd, guard=guard)

    def remove(self, resource_id: str, *, guard: files.Guard = nullcontext) -> None:
        """Remove the record durably; a missing one is not an error. `guard` is as for `write`."""
        files.remove_durably(self._folder, f"{checked_id(resource_id)}{_SUFFIX}", self._private_fd, guard=guard)


def checked_id(resource_id: str) -> str:
    """Return the id, which names files; raises DriverError where it could name anything else."""
    if not _RESOURCE_ID.fullmatch(resource_id):
        message = (
            f"{resource_id!r} cannot be used as a resource id: letters, digits, `_`, `-`, `.` and `:`, at most 128"
        )
        raise DriverError(message)
    return resource_id
