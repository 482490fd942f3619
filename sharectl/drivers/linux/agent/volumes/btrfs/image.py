"""The image file of a btrfs pool for trying out: made once, mounted by a loop device, grown when the settings ask for more."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.host import commands, loops, mounts, system_calls
from sharectl.drivers.linux.agent.host.system_errors import told_as
from sharectl.drivers.linux.agent.volumes.btrfs import ioctls
from sharectl.drivers.linux.agent.volumes.folders import locked, opened

if TYPE_CHECKING:
    from collections.abc import Iterator

_SUPER_BLOCK: Final = 0x10000  # where btrfs keeps its first super block
_MAGIC_OFFSET: Final = _SUPER_BLOCK + 0x40
_MAGIC: Final = b"_BHRfS_M"
_UUID_OFFSET: Final = _SUPER_BLOCK + 0x20
_HEAD_BYTES: Final = _MAGIC_OFFSET + len(_MAGIC) - _UUID_OFFSET
_SMALLEST_BYTES: Final = 256 << 20  # btrfs resizes to no less (mkfs.btrfs would be content with 109 MiB)
_SECTOR_BYTES: Final = 4096  # btrfs uses whole ones of its device


class PoolImage:
    """A btrfs file system in a sparse file."""

    def __init__(self, path: str, size_bytes: int | None) -> None:
        """Touch nothing; `size_bytes` is what a new image gets, and what an older one grows to. None: as large as it is."""
        self._path = path
        self._size_bytes = size_bytes - size_bytes % _SECTOR_BYTES if size_bytes is not None else None

    def make(self) -> None:
        """Make the image unless it is there; it appears when it is whole. A file that is not a btrfs image is never touched."""
        if self.identity() is not None:
            return
        if self._size_bytes is None or self._size_bytes < _SMALLEST_BYTES:
            message = f"the image {self._path} cannot be made: its size must be given, and be at least {_SMALLEST_BYTES >> 20} MiB"
            raise Problem(ProblemKind.REFUSED, message)
        folder, _, name = self._path.rpartition("/")
        Path(folder).mkdir(parents=True, exist_ok=True)
        unfinished = f".{name}.sharectl-unfinished"
        with opened(folder) as folder_fd:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            image_fd = os.open(unfinished, flags, 0o600, dir_fd=folder_fd)
            try:
                with locked(image_fd):
                    if self.identity() is not None:  # made by another process while this one waited
                        return
                    os.ftruncate(image_fd, 0)
                    os.ftruncate(image_fd, self._size_bytes)
                    commands.run("mkfs.btrfs", "-q", "-f", f"{folder}/{unfinished}", held_fd=image_fd)
                    os.fsync(image_fd)
                    system_calls.rename_to_free(unfinished, folder_fd, name, folder_fd)
                    os.fsync(folder_fd)
            finally:
                os.close(image_fd)

    def identity(self) -> str | None:
        """Return the UUID of the file system in the image, None where there is no file; raises CONFLICT for any other file."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            head = os.pread(descriptor, _HEAD_BYTES, _UUID_OFFSET)
        finally:
            os.close(descriptor)
        if head[_MAGIC_OFFSET - _UUID_OFFSET :] != _MAGIC:
            message = f"{self._path} is there and is not a btrfs image, so it is left alone; name another file as the pool's image"
            raise Problem(ProblemKind.CONFLICT, message)
        return ioctls.shown_uuid(head[:16])

    def mount(self, target: str) -> None:
        """Mount the image at `target`, which is made if it is missing; one that is mounted there is no error."""
        expected = self.identity()
        if expected is None:
            message = (
                f"the image {self._path} of the pool is gone; bring it back, or prepare a new pool under another name"
            )
            raise Problem(ProblemKind.UNAVAILABLE, message)
        with self._opened() as image_fd, locked(image_fd):  # another process may be about to
            if self.is_mounted_at(target):
                return
            if mounts.is_mount_point(target):
                message = f"something else is mounted at {target}; unmount it, or give the pool another path"
                raise Problem(ProblemKind.UNAVAILABLE, message)
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            mounts.make_mount_point(target)
            loops.mount_image(self._path, image_fd, target, "btrfs")

    def is_mounted_at(self, target: str) -> bool:
        """Tell whether the file system of this image is what is seen at `target`."""
        try:
            with opened(target) as descriptor:
                found = ioctls.file_system_id(descriptor)
                return found is not None and found == self.identity()
        except FileNotFoundError:
            return False

    def grow(self, pool_fd: int) -> None:
        """Give the mounted file system the size that the settings ask for, if that is more; raises REFUSED where it is less.

        While the kernel balances the file system it cannot grow: it keeps its size, and the next call tries again.
        """
        if self._size_bytes is None:
            return
        with self._opened() as image_fd, locked(image_fd):
            device = ioctls.device(pool_fd)
            if device.size_bytes == self._size_bytes:
                return
            if device.size_bytes > self._size_bytes or self._size_bytes < _SMALLEST_BYTES:
                message = (
                    f"the image {self._path} has {device.size_bytes} bytes and cannot get the {self._size_bytes} asked for: pools only "
                    f"grow, and to no less than {_SMALLEST_BYTES >> 20} MiB; ask for its size, or for more"
                )
                raise Problem(ProblemKind.REFUSED, message)
            # A file that is larger than its file system does no harm, and is never cut off: somebody else could be growing that.
            if os.fstat(image_fd).st_size < self._size_bytes:
                os.ftruncate(image_fd, self._size_bytes)
            what = (
                f"the image {self._path} cannot grow from {device.size_bytes} bytes to {self._size_bytes}; "
                "the pool is whole, and goes on when its old size is asked for"
            )
            with told_as(what):
                try:
                    loops.refresh_size(device.path)
                    ioctls.resize(pool_fd, device.device_id, self._size_bytes)
                except OSError as error:
                    if error.errno != errno.EBUSY:
                        raise

    @contextmanager
    def _opened(self) -> Iterator[int]:
        descriptor = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)
