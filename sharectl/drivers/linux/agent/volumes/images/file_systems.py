"""File systems in image files: ext4 and XFS, made, given another size, and made distinct from the one that they are a copy of."""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.host import commands, loops, mounts

if TYPE_CHECKING:
    from collections.abc import Mapping

_BLOCK_BYTES: Final = 4096
_MEBIBYTE: Final = 1 << 20
_EXT4_RESIZE: Final = 0x40086610  # EXT4_IOC_RESIZE_FS
_EXT4_SUPER_BLOCK: Final = 1024
_EXT4_COUNTS: Final = struct.Struct("<4xI4xI8xI")  # low words: blocks, free blocks, and the logarithm of the block size
_EXT4_HIGH_COUNTS: Final = struct.Struct("<I4xI")  # high words: blocks, free blocks
_EXT4_HIGH_OFFSET: Final = 0x150
_FSCK_MENDED: Final = (0, 1)


class FileSystem(Protocol):
    """One kind of file system for images."""

    @property
    def name(self) -> str:
        """The kernel's name of it."""
        ...

    @property
    def smallest_bytes(self) -> int:
        """The smallest size that it can have."""
        ...

    @property
    def mount_options(self) -> str:
        """What mount(2) is told."""
        ...

    def make(self, image: str, image_fd: int) -> None:
        """Make an empty one in the whole of the image."""
        ...

    def grow_mounted(self, folder: str, device: str, size_bytes: int) -> None:
        """Let the mounted one have all of its device, which has `size_bytes` now; one that has it already is not an error."""
        ...

    def require_fits(self, image: str, size_bytes: int) -> None:
        """Raise IN_USE where the file system in an image that is not mounted cannot have this size, for what is in it."""
        ...

    def settle(self, image: str, image_fd: int, size_bytes: int, *, point: str, is_clone: bool) -> None:
        """Make a copy that was taken from a mounted one whole in itself, of this size, and with a UUID of its own if it `is_clone`.

        `point` is a mount point for the time of the call. Raises IN_USE where the size is too small for the content.
        """
        ...


class Ext4:
    """ext4: grows while mounted where root has CAP_SYS_RESOURCE, grows and shrinks while not mounted."""

    name: Final = "ext4"
    smallest_bytes: Final = 16 * _MEBIBYTE  # below 8 MiB mkfs.ext4 makes no journal
    mount_options: Final = "errors=remount-ro"

    def make(self, image: str, image_fd: int) -> None:
        """Make one without blocks reserved for root, whose UUID can be changed quickly later."""
        options = (
            "-b",
            str(_BLOCK_BYTES),
            "-m",
            "0",
            "-O",
            "metadata_csum_seed",
            "-E",
            "nodiscard,lazy_itable_init=1,lazy_journal_init=1",
        )
        commands.run("mkfs.ext4", "-q", "-F", *options, image, held_fd=image_fd)

    def grow_mounted(self, folder: str, device: str, size_bytes: int) -> None:
        """Ask the kernel; raises PermissionError where root may not."""
        if _ext4_bytes(device)[0] == _whole_blocks(size_bytes):
            return
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.ioctl(descriptor, _EXT4_RESIZE, struct.pack("=Q", size_bytes // _BLOCK_BYTES))
        finally:
            os.close(descriptor)

    def require_fits(self, image: str, size_bytes: int) -> None:
        """Compare with what the super block says is used."""
        used_bytes = _ext4_bytes(image)[1]
        if used_bytes > size_bytes:
            message = f"the data and the file system's own tables take {used_bytes} bytes, more than {size_bytes}; delete data first"
            raise Problem(ProblemKind.IN_USE, message)

    def settle(self, image: str, image_fd: int, size_bytes: int, *, point: str, is_clone: bool) -> None:  # noqa: ARG002 - e2fsprogs work on the file itself
        """Replay the journal, then resize the file."""
        commands.run("e2fsck", "-f", "-p", image, held_fd=image_fd, accepted=_FSCK_MENDED)
        if is_clone:
            commands.run("tune2fs", "-U", "random", image, held_fd=image_fd)
        self.require_fits(image, size_bytes)
        has_bytes, _ = _ext4_bytes(image)
        if has_bytes < _whole_blocks(size_bytes):
            os.ftruncate(image_fd, size_bytes)
        if has_bytes != _whole_blocks(size_bytes):
            commands.run("resize2fs", image, f"{size_bytes // 1024}K", held_fd=image_fd)
        os.ftruncate(image_fd, size_bytes)


class Xfs:
    """XFS: grows while mounted, and never shrinks."""

    name: Final = "xfs"
    smallest_bytes: Final = 300 * _MEBIBYTE  # mkfs.xfs refuses less since xfsprogs 5.19
    mount_options: Final = "nouuid"  # a snapshot has its volume's UUID, and is mounted for a moment

    def make(self, image: str, image_fd: int) -> None:
        """Make one without discarding first, so that an image with its space reserved keeps it."""
        commands.run("mkfs.xfs", "-q", "-f", "-K", image, held_fd=image_fd)

    def grow_mounted(self, folder: str, device: str, size_bytes: int) -> None:  # noqa: ARG002 - it takes all that there is
        """Let it have the device."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            commands.run("xfs_growfs", "-d", folder, held_fd=descriptor)
        finally:
            os.close(descriptor)

    def require_fits(self, image: str, size_bytes: int) -> None:
        """Refuse whatever is smaller."""
        if Path(image).stat().st_size > size_bytes:
            message = f"an XFS file system never shrinks, here to {size_bytes} bytes; ask for its size at least"
            raise Problem(ProblemKind.IN_USE, message)

    def settle(self, image: str, image_fd: int, size_bytes: int, *, point: str, is_clone: bool) -> None:
        """Mount it for a moment, by which its log is replayed, and let it grow there."""
        self.require_fits(image, size_bytes)
        os.ftruncate(image_fd, size_bytes)
        mounts.make_mount_point(point)
        try:
            loops.mount_image(image, image_fd, point, self.name, self.mount_options)
            self.grow_mounted(point, image, size_bytes)
        finally:
            mounts.unbind(point)
            mounts.remove_mount_point(point)
        if is_clone:
            commands.run("xfs_admin", "-U", "generate", image, held_fd=image_fd)


FILE_SYSTEMS: Final[Mapping[str, FileSystem]] = {"ext4": Ext4(), "xfs": Xfs()}


def size_problem(file_system: FileSystem, size_bytes: int) -> str | None:
    """Return why the file system cannot be so small, None where it can."""
    if size_bytes >= file_system.smallest_bytes:
        return None
    return (
        f"{size_bytes / _MEBIBYTE:.6g} MiB are too few for {file_system.name}, which needs {file_system.smallest_bytes >> 20} MiB at least; "
        "ask for more"
    )


def require_size(file_system: FileSystem, size_bytes: int) -> None:
    """Raise REFUSED where the file system cannot be so small."""
    if (wrong := size_problem(file_system, size_bytes)) is not None:
        raise Problem(ProblemKind.REFUSED, wrong)


def _whole_blocks(size_bytes: int) -> int:
    return size_bytes - size_bytes % _BLOCK_BYTES


def _ext4_bytes(path: str) -> tuple[int, int]:
    """Return the size of the file system in an image or on a device, and how much of it is used, as its super block says."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        block = os.pread(descriptor, 1024, _EXT4_SUPER_BLOCK)
    finally:
        os.close(descriptor)
    count, free, shift = _EXT4_COUNTS.unpack_from(block)
    high_count, high_free = _EXT4_HIGH_COUNTS.unpack_from(block, _EXT4_HIGH_OFFSET)
    block_bytes = 1024 << shift
    count, free = count + (high_count << 32), free + (high_free << 32)
    return count * block_bytes, (count - free) * block_bytes
