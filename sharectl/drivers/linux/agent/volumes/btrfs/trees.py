"""Items of btrfs's own trees, read in bulk by BTRFS_IOC_TREE_SEARCH_V2: thousands in one call."""

from __future__ import annotations

import fcntl
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST: Final = (1 << 64) - 1

_SEARCH: Final = 0xC0709411  # BTRFS_IOC_TREE_SEARCH_V2
_ROOT_TREE: Final = 1
_QUOTA_TREE: Final = 8
_ROOT_ITEM: Final = 132
_ROOT_REFERENCE: Final = 156
_UUID_TREE: Final = 9
_UUID_OF_SUBVOLUME: Final = 251
_QGROUP_INFO: Final = 242
_QGROUP_LIMIT: Final = 244
_LIMITS_REFERENCED: Final = 1

_KEY: Final = struct.Struct("=QQQQQQQIIIIQQQQQ")  # btrfs_ioctl_search_key, and the size of the buffer after it
_COUNT: Final = struct.Struct("=I")
_COUNT_OFFSET: Final = 64
_HEADER: Final = struct.Struct("=QQQII")  # btrfs_ioctl_search_header
_REFERENCE: Final = struct.Struct("<QQH")  # btrfs_root_ref, the name after it
_USAGE: Final = struct.Struct("<QQ")  # of btrfs_qgroup_info_item: generation, referenced
_LIMIT: Final = struct.Struct("<QQ")  # of btrfs_qgroup_limit_item: flags, max_referenced
_UUID: Final = struct.Struct("<QQ")
_SUBVOLUME: Final = struct.Struct("<Q")
_FEW_BYTES: Final = 4096
_MANY_BYTES: Final = 1 << 18


class Item(NamedTuple):
    """The key of an item and its data."""

    object_id: int
    kind: int
    offset: int
    data: bytes


def root_references(descriptor: int, parent: int) -> Iterator[tuple[Item, int, bytes]]:
    """Give for each subvolume below `parent` the item (its offset is the subvolume's id), the folder's inode and the name."""
    for item in _items(descriptor, _ROOT_TREE, (parent, _ROOT_REFERENCE, 0), (parent, _ROOT_REFERENCE, LARGEST)):
        directory, _, length = _REFERENCE.unpack_from(item.data)
        yield item, directory, item.data[_REFERENCE.size : _REFERENCE.size + length]


def root_ids(descriptor: int, first: int) -> Iterator[int]:
    """Give the ids of all trees from `first` on that still exist, those that the kernel is clearing away too."""
    for item in _items(descriptor, _ROOT_TREE, (first, 0, 0), (LARGEST, 0, 0)):
        if item.kind == _ROOT_ITEM:
            yield item.object_id


def subvolume_uuids(descriptor: int) -> Iterator[tuple[int, bytes]]:
    """Give the UUIDs of all subvolumes, each after the subvolume's id. FileNotFoundError: no kernel since 3.12 has mounted it."""
    for item in _items(descriptor, _UUID_TREE, (0, 0, 0), (LARGEST, LARGEST >> 56, LARGEST)):
        if item.kind == _UUID_OF_SUBVOLUME:
            uuid = _UUID.pack(item.object_id, item.offset)
            for (subvolume,) in _SUBVOLUME.iter_unpack(item.data):
                yield subvolume, uuid


def quota_usages(descriptor: int, first: int, last: int) -> Iterator[tuple[Item, int]]:
    """Give the referenced bytes of the qgroups in the range; the item's offset is the qgroup's id. FileNotFoundError: no quotas."""
    for item in _items(descriptor, _QUOTA_TREE, (0, _QGROUP_INFO, first), (0, _QGROUP_INFO, last)):
        yield item, _USAGE.unpack_from(item.data)[1]


def quota_limits(descriptor: int, first: int, last: int) -> Iterator[tuple[Item, int | None]]:
    """Give the limits of the qgroups in the range, None where there is none, as `quota_usages` does."""
    for item in _items(descriptor, _QUOTA_TREE, (0, _QGROUP_LIMIT, first), (0, _QGROUP_LIMIT, last)):
        flags, limit = _LIMIT.unpack_from(item.data)
        yield item, limit if flags & _LIMITS_REFERENCED else None


def _items(descriptor: int, tree: int, first: tuple[int, int, int], last: tuple[int, int, int]) -> Iterator[Item]:
    """Give the items from key `first` to key `last`; a key is (object id, kind, offset), and keys are compared as such."""
    size_bytes = _FEW_BYTES if first[::2] == last[::2] else _MANY_BYTES
    while True:
        buffer = bytearray(_KEY.size + size_bytes)
        (low, low_kind, low_offset), (high, high_kind, high_offset) = first, last
        _KEY.pack_into(
            buffer, 0, tree, low, high, low_offset, high_offset, 0, LARGEST, low_kind, high_kind,
            0xFFFFFFFF, 0, 0, 0, 0, 0, size_bytes,
        )  # fmt: skip
        fcntl.ioctl(descriptor, _SEARCH, buffer)
        count = _COUNT.unpack_from(buffer, _COUNT_OFFSET)[0]
        place = _KEY.size
        for _ in range(count):
            _, object_id, offset, kind, length = _HEADER.unpack_from(buffer, place)
            place += _HEADER.size
            yield Item(object_id, kind, offset, bytes(buffer[place : place + length]))
            place += length
        if count == 0 or (object_id, kind, offset) >= last:
            return
        first = (object_id, kind, offset + 1)
