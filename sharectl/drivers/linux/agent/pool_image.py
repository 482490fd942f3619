"""The image file of a btrfs pool for trying out: made once, mounted by a loop device, grown when the settings ask for more."""

from __future__ import annotations

import os
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sharectl.drivers.linux.agent import btrfs, commands, loops, mounts, system_calls
from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.pool_folders import locked, opened

if TYPE_CHECKING:
    from collections.abc import Iterator

_SUPER_BLOCK: Final = 0x10000  # where btrfs keeps its first super block
_MAGIC_OFFSET: Final = _SUPER_BLOCK + 0x40
_MAGIC: Final = b"_BHRfS_M"
_UUID_OFFSET: Final = _SUPER_BLOCK + 0x20
_SMALLEST_BYTES: Final = 128 << 20  # mkfs.btrfs refuses less than 109 MiB


class PoolImage:
    """A btrfs file system in a sparse file."""

    def __init__(self, path: str, size_bytes: int | None) -> None:
        """Touch nothing; `size_bytes` is what a new image gets, and what an older one grows to. None: as large as it is."""
        self._path = path
        self._size_bytes = size_bytes

    def make(self) -> None:
        """Make the image unless it is there; it appears when it is whole. A file that is no btrfs image is never touched."""
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
            magic = os.pread(descriptor, len(_MAGIC), _MAGIC_OFFSET)
            found = os.pread(descriptor, 16, _UUID_OFFSET)
        finally:
            os.close(descriptor)
        if magic != _MAGIC:
            message = f"{self._path} is there and is no btrfs image, so it is left alone; name another file as the pool's image"
            raise Problem(ProblemKind.CONFLICT, message)
        return str(uuid.UUID(bytes=found))

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
                found = btrfs.file_system_id(descriptor)
                return found is not None and found == self.identity()
        except FileNotFoundError:
            return False

    def grow(self, pool_fd: int) -> None:
        """Give the mounted file system the size that the settings ask for, if that is more; raises REFUSED where it is less."""
        if self._size_bytes is None:
            return
        with self._opened() as image_fd, locked(image_fd):
            size_bytes = os.fstat(image_fd).st_size
            if size_bytes > self._size_bytes:
                message = (
                    f"the image {self._path} has {size_bytes} bytes, more than the {self._size_bytes} asked for, and pools only grow; "
                    "ask for its size at least"
                )
                raise Problem(ProblemKind.REFUSED, message)
            device = btrfs.device(pool_fd)
            if size_bytes < self._size_bytes:
                os.ftruncate(image_fd, self._size_bytes)
            if device.size_bytes < self._size_bytes:
                loops.refresh_size(device.path)
                btrfs.grow_to_device(pool_fd, device.device_id)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        descriptor = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)
