"""btrfs by its ioctls and sysfs: subvolumes, snapshots, size limits, and reading all of them at once.

Every function takes descriptors of open folders and raises OSError as the kernel answers. The numbers and layouts are those
of `linux/btrfs.h` and `linux/btrfs_tree.h`. Needs root (CAP_SYS_ADMIN) and Linux 5.9.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.drivers.linux.agent.volumes.btrfs import trees

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MAGIC: Final = 0x94
_WRITE: Final = 1
_READ: Final = 2


def _number(direction: int, command: int, size_bytes: int) -> int:
    return (direction << 30) | (size_bytes << 16) | (_MAGIC << 8) | command


_ARGUMENT_BYTES: Final = 4096
_RESIZE: Final = _number(_WRITE, 3, _ARGUMENT_BYTES)
_SYNC: Final = _number(0, 8, 0)
_SUBVOLUME_CREATE: Final = _number(_WRITE, 14, _ARGUMENT_BYTES)
_INODE_LOOKUP: Final = _number(_READ | _WRITE, 18, _ARGUMENT_BYTES)
_WAIT_SYNC: Final = _number(_WRITE, 22, 8)
_SNAPSHOT_CREATE: Final = _number(_WRITE, 23, _ARGUMENT_BYTES)
_START_SYNC: Final = _number(_READ, 24, 8)
_SUBVOLUME_FLAGS: Final = _number(_READ, 25, 8)
_DEVICE_INFO: Final = _number(_READ | _WRITE, 30, _ARGUMENT_BYTES)
_FILE_SYSTEM_INFO: Final = _number(_READ, 31, 1024)
_QUOTA_CONTROL: Final = _number(_READ | _WRITE, 40, 16)
_QGROUP_CREATE: Final = _number(_WRITE, 42, 16)
_QGROUP_LIMIT: Final = _number(_READ, 43, 48)
_RESCAN: Final = _number(_WRITE, 44, 64)
_RESCAN_STATUS: Final = _number(_READ, 45, 64)
_SUBVOLUME_INFO: Final = _number(_READ, 60, 504)
_SUBVOLUME_DESTROY_V2: Final = _number(_WRITE, 63, _ARGUMENT_BYTES)

_QUOTA_ENABLE: Final = 1
_READ_ONLY: Final = 1 << 1  # BTRFS_SUBVOL_RDONLY
_BY_ID: Final = 1 << 4  # BTRFS_SUBVOL_SPEC_BY_ID
_LIMIT_REFERENCED: Final = 1  # BTRFS_QGROUP_LIMIT_MAX_RFER
_NO_LIMIT: Final = (1 << 64) - 1
_SUBVOLUME_INODE: Final = 256  # the inode number of every subvolume's top folder
_FIRST_TREE: Final = 256
_DEVICE_PATH_OFFSET: Final = 3072
_UUID_OFFSET: Final = 296  # in btrfs_ioctl_get_subvol_info_args; that of the parent comes after it
_TIME: Final = struct.Struct("=QI")
_MADE_OFFSET: Final = _UUID_OFFSET + 96  # three UUIDs, four transactions, and the time of the last change before it
_UUID_BYTES: Final = 16
_ATTRIBUTE_BYTES: Final = 4096  # a page: what a file of sysfs holds at most
_NOT_BTRFS: Final = frozenset({errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})

_NAMED: Final = struct.Struct("=q")
_NAMED_V2: Final = struct.Struct("=qQQQQQQ")
_LOOKUP: Final = struct.Struct("=QQ")
_INFO: Final = struct.Struct("=QQ16s")
_DEVICE: Final = struct.Struct("=Q16sQQ")
_LIMIT: Final = struct.Struct("=QQQQQQ")
_PAIR: Final = struct.Struct("=QQ")
_WORD: Final = struct.Struct("=Q")


class Subvolume(NamedTuple):
    """A subvolume as its parent knows it: `directory` is the inode of the folder of the parent that holds its name."""

    subvolume_id: int
    directory: int
    name: str


class Usage(NamedTuple):
    """What a subvolume refers to as of the last commit, and its limit; None where nothing limits it."""

    referenced_bytes: int
    limit_bytes: int | None


class Accounting(NamedTuple):
    """How a file system counts: `simple` are simple quotas; only where it `is_exact` do limits hold and numbers mean something."""

    enabled: bool
    simple: bool
    is_exact: bool


class Device(NamedTuple):
    """The device of a file system that has one, and how much of it the file system uses."""

    device_id: int
    path: str
    size_bytes: int


def file_system_id(descriptor: int) -> str | None:
    """Return the UUID of the file system; None where it is not btrfs."""
    buffer = bytearray(1024)
    try:
        fcntl.ioctl(descriptor, _FILE_SYSTEM_INFO, buffer)
    except OSError as error:
        if error.errno in _NOT_BTRFS:
            return None
        raise
    return shown_uuid(_INFO.unpack_from(buffer)[2])


def is_subvolume(descriptor: int) -> bool:
    """Tell whether the folder is the top of a subvolume of a btrfs."""
    return os.fstat(descriptor).st_ino == _SUBVOLUME_INODE and file_system_id(descriptor) is not None


def subvolume_id(descriptor: int) -> int:
    """Return the id of the subvolume that the folder is in."""
    buffer = bytearray(_ARGUMENT_BYTES)
    _LOOKUP.pack_into(buffer, 0, 0, _SUBVOLUME_INODE)
    fcntl.ioctl(descriptor, _INODE_LOOKUP, buffer)
    found: int = _LOOKUP.unpack_from(buffer)[0]
    return found


class Origin(NamedTuple):
    """What a subvolume is told by, and that of which it was a snapshot; a subvolume that is older than Linux 3.12 has its id for UUID."""

    identity: str
    parent_identity: str


def origin(descriptor: int) -> Origin:
    """Return the UUID of the subvolume that the folder is in, and its parent's (Linux 4.18)."""
    buffer = bytearray(504)
    fcntl.ioctl(descriptor, _SUBVOLUME_INFO, buffer)
    end = _UUID_OFFSET + _UUID_BYTES
    own = shown_uuid(buffer[_UUID_OFFSET:end])
    return Origin(own or _identity_by_id(_WORD.unpack_from(buffer)[0]), shown_uuid(buffer[end : end + _UUID_BYTES]))


def made_at(descriptor: int) -> tuple[int, int]:
    """Return when the subvolume that the folder is in was made, of a snapshot when it was taken: seconds since 1970, and nanoseconds."""
    buffer = bytearray(504)
    fcntl.ioctl(descriptor, _SUBVOLUME_INFO, buffer)
    seconds, nanoseconds = _TIME.unpack_from(buffer, _MADE_OFFSET)
    return seconds, nanoseconds


def identities(descriptor: int) -> Mapping[int, str]:
    """Return the UUIDs of all subvolumes of the file system, by id; those that have none are left out."""
    with suppress(FileNotFoundError):
        return {subvolume: shown_uuid(found) for subvolume, found in trees.subvolume_uuids(descriptor)}
    return {}


def shown_uuid(found: bytes | bytearray) -> str:
    """Return a UUID as text; none for zeros, which stand for no UUID."""
    if not any(found):
        return ""
    text = found.hex()  # as str(uuid.UUID(...)), in a fifth of the time
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _identity_by_id(subvolume: int) -> str:
    """Return the name of a subvolume without UUID: a file system never gives an id twice."""
    return f"subvolume-{subvolume}"


def is_read_only(descriptor: int) -> bool:
    """Tell whether the subvolume refuses writes."""
    buffer = bytearray(_WORD.size)
    fcntl.ioctl(descriptor, _SUBVOLUME_FLAGS, buffer)
    return bool(_WORD.unpack(buffer)[0] & _READ_ONLY)


def create_subvolume(parent_fd: int, name: str) -> None:
    """Make an empty subvolume, with a qgroup of its own and no limit; raises FileExistsError where the name is taken."""
    fcntl.ioctl(parent_fd, _SUBVOLUME_CREATE, _argument(_NAMED.pack(0), name))


def create_snapshot(source_fd: int, parent_fd: int, name: str, *, read_only: bool) -> None:
    """Make a subvolume with the content of another, committed when this returns. Its limit is the source's, whatever one asks for."""
    flags = _READ_ONLY if read_only else 0
    fcntl.ioctl(parent_fd, _SNAPSHOT_CREATE, _argument(_NAMED_V2.pack(source_fd, 0, flags, 0, 0, 0, 0), name))


def destroy_subvolume(descriptor: int, subvolume: int) -> None:
    """Remove a subvolume at one instant, wherever its name is, so that no path has to be followed (Linux 5.7).

    The kernel gives its space back later. Raises OSError: ENOENT, ENOTEMPTY where it holds other subvolumes. That it is mounted
    elsewhere hinders nothing.
    """
    argument = _NAMED_V2.pack(0, 0, _BY_ID, 0, 0, 0, 0) + _WORD.pack(subvolume)
    fcntl.ioctl(descriptor, _SUBVOLUME_DESTROY_V2, _argument(argument, ""))


def set_limit(pool_fd: int, subvolume: int, limit_bytes: int | None) -> None:
    """Limit what the subvolume may refer to; None takes the limit away.

    `pool_fd` must be a folder outside of that subvolume: the call is charged to where the folder is, and refused with EDQUOT
    when that is full.
    """
    limit = _NO_LIMIT if limit_bytes is None else limit_bytes
    fcntl.ioctl(pool_fd, _QGROUP_LIMIT, bytearray(_LIMIT.pack(subvolume, _LIMIT_REFERENCED, limit, 0, 0, 0)))


def sync(descriptor: int) -> None:
    """Write everything and commit, after which usage is up to date."""
    fcntl.ioctl(descriptor, _SYNC)


def commit(descriptor: int) -> None:
    """Make durable what was made, renamed and destroyed until now, without waiting for the data that others have written."""
    transaction = bytearray(_WORD.size)
    fcntl.ioctl(descriptor, _START_SYNC, transaction)
    fcntl.ioctl(descriptor, _WAIT_SYNC, transaction)


def enable_quotas(descriptor: int) -> None:
    """Turn full qgroups on; counting what is there already begins, and is not waited for."""
    fcntl.ioctl(descriptor, _QUOTA_CONTROL, bytearray(_PAIR.pack(_QUOTA_ENABLE, 0)))


def start_rescan(descriptor: int) -> None:
    """Count everything anew, unless that is going on; not waited for."""
    try:
        fcntl.ioctl(descriptor, _RESCAN, bytearray(64))
    except OSError as error:
        if error.errno != errno.EINPROGRESS:
            raise


def accounting(descriptor: int, file_system: str) -> Accounting:
    """Return how the file system with this UUID counts now."""
    folder = f"/sys/fs/btrfs/{file_system}/qgroups"
    try:
        inconsistent = _read(f"{folder}/inconsistent") == "1"
        try:
            mode = _read(f"{folder}/mode")
        except FileNotFoundError:  # before Linux 6.7, which has no simple quotas either
            mode = "qgroup" if _read(f"{folder}/enabled") == "1" else "disabled"
    except FileNotFoundError:  # the folder is there only while quotas are on
        return Accounting(enabled=False, simple=False, is_exact=False)
    enabled, simple = mode != "disabled", mode == "squota"
    buffer = bytearray(64)
    fcntl.ioctl(descriptor, _RESCAN_STATUS, buffer)
    is_counting = bool(_WORD.unpack_from(buffer)[0])
    return Accounting(enabled, simple, is_exact=enabled and not simple and not inconsistent and not is_counting)


def usage(descriptor: int, subvolume: int) -> Usage | None:
    """Return usage and limit of one subvolume; None where it has no qgroup."""
    for found in _usages(descriptor, subvolume, subvolume).values():
        return found
    return None


def all_usages(descriptor: int) -> Mapping[int, Usage]:
    """Return usage and limit of every subvolume of the file system by id; empty where quotas are off."""
    return _usages(descriptor, 0, trees.LARGEST >> 16)


def _usages(descriptor: int, first: int, last: int) -> Mapping[int, Usage]:
    # Read from the tree: two calls for thousands, where sysfs takes four files for each.
    try:
        limits = {
            item.offset: limit for item, limit in trees.quota_limits(descriptor, first, last) if limit is not None
        }
        return {
            item.offset: Usage(referenced, limits.get(item.offset))
            for item, referenced in trees.quota_usages(descriptor, first, last)
        }
    except FileNotFoundError:  # no quota tree
        return {}


def subvolumes_in(descriptor: int, parent: int) -> Iterator[Subvolume]:
    """Give all subvolumes whose names are in any folder of the subvolume `parent`."""
    for item, directory, name in trees.root_references(descriptor, parent):
        yield Subvolume(item.offset, directory, os.fsdecode(name))


def remove_stale_qgroups(descriptor: int) -> int:
    """Remove the qgroups of subvolumes that are gone, which Linux before 6.11 leaves behind; return how many."""
    gone = {subvolume for subvolume in all_usages(descriptor) if subvolume >= _FIRST_TREE}
    gone.difference_update(trees.root_ids(descriptor, _FIRST_TREE))
    if gone:
        # One that is being made this moment has its qgroup before its root; after a commit it has both.
        sync(descriptor)
        gone.difference_update(trees.root_ids(descriptor, _FIRST_TREE))
    return sum(_remove_qgroup(descriptor, subvolume) for subvolume in gone)


def _remove_qgroup(descriptor: int, subvolume: int) -> bool:
    try:
        fcntl.ioctl(descriptor, _QGROUP_CREATE, bytearray(_PAIR.pack(0, subvolume)))
    except OSError as error:
        if error.errno in {errno.EBUSY, errno.ENOENT}:  # the kernel is not done with it, or was quicker
            return False
        raise
    return True


def device(descriptor: int) -> Device:
    """Return the device of a file system on one device."""
    buffer = bytearray(_ARGUMENT_BYTES)
    buffer[0:8] = _WORD.pack(1)  # a file system that was made on one device, and never moved, has it under the number 1
    fcntl.ioctl(descriptor, _DEVICE_INFO, buffer)
    device_id, _, _, size_bytes = _DEVICE.unpack_from(buffer)
    path = bytes(buffer[_DEVICE_PATH_OFFSET:]).partition(b"\0")[0]
    return Device(device_id, os.fsdecode(path), size_bytes)


def resize(descriptor: int, device_id: int, size_bytes: int) -> None:
    """Let the file system have so much of its device.

    Raises OSError: EINVAL for less than 256 MiB, EFBIG for more than the device has, EBUSY while the kernel balances, replaces or
    resizes.
    """
    answer = fcntl.ioctl(descriptor, _RESIZE, _argument(_NAMED.pack(0), f"{device_id}:{size_bytes}"))
    if answer != 0:  # no errno: BTRFS_ERROR_DEV_EXCL_RUN_IN_PROGRESS is a number above zero
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))


def _argument(head: bytes, name: str) -> bytearray:
    # Mutable, for Python refuses to hand over more than 1,024 immutable bytes.
    text = os.fsencode(name)
    return bytearray((head + text).ljust(_ARGUMENT_BYTES, b"\0"))


def _read(path: str) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _ATTRIBUTE_BYTES).decode("ascii").strip()
    finally:
        os.close(descriptor)
