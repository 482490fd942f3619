"""Where the data of a share is: in its pool, in the trash, or gone."""

from __future__ import annotations

import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, NamedTuple

from sharectl.drivers.base import NotFoundError
from sharectl.drivers.directory import files, names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.drivers.directory.records import ShareRecord
    from sharectl.drivers.directory.storage import Metadata, Pool, Storage


class Opened(NamedTuple):
    """A share, with the metadata and the pool that it is in; both are open as long as the block that asked for them."""

    metadata: Metadata
    pool: Pool
    record: ShareRecord


@contextmanager
def opened_record(storage: Storage, resource_id: str) -> Iterator[Opened]:
    """Open what is known of a share, wherever its data is; raises NotFoundError where nothing is."""
    with storage.metadata() as metadata:
        record = metadata.shares.read(resource_id)
        if record is None:
            message = f"the backend has no share with the id {resource_id}"
            raise NotFoundError(message)
        with storage.pool(metadata, record.pool) as pool:
            yield Opened(metadata, pool, record)


@contextmanager
def opened_share(storage: Storage, resource_id: str) -> Iterator[Opened]:
    """Open a share that is there and not in the trash; raises NotFoundError for any other."""
    with opened_record(storage, resource_id) as share:
        require_live(share)
        yield share


def require_live(share: Opened) -> None:
    """Raise NotFoundError where the share is not there, or is in the trash."""
    metadata, pool, record = share
    if locate(metadata, pool, record) != "live":
        message = f"the share {record.name!r} is not there: its directory is gone, or in the trash"
        raise NotFoundError(message)
    displaced = f"displaced/{record.resource_id}"
    if not files.is_directory(record.directory, pool.fd):
        # A revert was cut short between its two renames; the newer data comes back.
        files.rename_to_free(displaced, pool.private_fd, record.directory, pool.fd)


def locate(metadata: Metadata, pool: Pool, record: ShareRecord) -> Literal["live", "trash"] | None:
    """Return where the data of the share is, or None where it is gone."""
    if files.is_directory(f"trash/{record.resource_id}", pool.private_fd):
        return "trash"
    if files.is_directory(f"displaced/{record.resource_id}", pool.private_fd):
        return "live"
    status = files.status_of(record.directory, pool.fd)
    if status is None or not stat.S_ISDIR(status.st_mode):
        return None
    if (record.removing or not record.placed) and status.st_ino != record.inode:
        return None
    if record.trashed_at is not None and names.holder_of(metadata, pool.name, record.directory) != record.resource_id:
        return None  # the name was given up, and another share has it
    return "live"
