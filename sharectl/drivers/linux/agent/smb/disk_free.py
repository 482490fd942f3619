"""Tells smbd the size of a share and what is free in it (`dfree command` of smb.conf(5)), where the file system would tell those of the pool.

smbd runs a copy of this file, as the account that works on files, in the folder of the share. So it uses nothing else of sharectl, and
it must not fail: what has no limit, or cannot be asked, is as the file system says.
"""

import fcntl
import os
import struct

_FILE_SYSTEM_INFO = 0x8400941F  # BTRFS_IOC_FS_INFO
_INODE_LOOKUP = 0xD0009412  # BTRFS_IOC_INO_LOOKUP; of a subvolume's own top it tells the id to everybody
_SUBVOLUME_INODE = 256
_LIMIT_REFERENCED = 1  # BTRFS_QGROUP_LIMIT_MAX_RFER
_UNIT_BYTES = 1024


def size_and_free(folder: str) -> tuple[int, int]:
    """Return the size of a volume and what is free in it, in bytes."""
    told = os.statvfs(folder)
    size, free = told.f_blocks * told.f_frsize, told.f_bavail * told.f_frsize
    try:
        limit, used = _limit_and_used(folder)
    except (OSError, ValueError):
        return size, free
    return limit, min(max(limit - used, 0), free)


def _limit_and_used(folder: str) -> tuple[int, int]:
    """Return both of a btrfs subvolume. Raises OSError or ValueError where it is none, or has no limit."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        info = bytearray(1024)
        fcntl.ioctl(descriptor, _FILE_SYSTEM_INFO, info)
        lookup = bytearray(4096)
        struct.pack_into("=QQ", lookup, 0, 0, _SUBVOLUME_INODE)
        fcntl.ioctl(descriptor, _INODE_LOOKUP, lookup)
    finally:
        os.close(descriptor)
    digits = info[16:32].hex()
    name = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    group = f"/sys/fs/btrfs/{name}/qgroups/0_{struct.unpack_from('=Q', lookup)[0]}"
    if not _number(f"{group}/limit_flags") & _LIMIT_REFERENCED:
        message = "nothing limits it"
        raise ValueError(message)
    return _number(f"{group}/max_referenced"), _number(f"{group}/referenced")


def _number(path: str) -> int:
    with open(path, encoding="ascii") as file:  # noqa: PTH123 - to import pathlib takes longer than all the rest
        return int(file.read())


if __name__ == "__main__":
    size_bytes, free_bytes = size_and_free(".")
    print(size_bytes // _UNIT_BYTES, free_bytes // _UNIT_BYTES, _UNIT_BYTES)  # noqa: T201 - it is the answer
