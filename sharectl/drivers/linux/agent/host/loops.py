"""Image files as block devices: each image has one loop device at most, which goes away with its last mount."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from pathlib import Path
from typing import Final

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.host import system_calls

_GET_FREE: Final = 0x4C82  # LOOP_CTL_GET_FREE
_CONFIGURE: Final = 0x4C0A  # LOOP_CONFIGURE, Linux 5.8
_GET_STATUS: Final = 0x4C05  # LOOP_GET_STATUS64
_STATUS: Final = struct.Struct("=QQ")  # struct loop_info64 begins with the device and the inode of the file
_REST_OF_STATUS: Final = 216
_SET_CAPACITY: Final = 0x4C07  # LOOP_SET_CAPACITY
_AUTOCLEAR: Final = 4  # LO_FLAGS_AUTOCLEAR
_CONFIGURATION: Final = struct.Struct(
    "=II52xI240x"
)  # struct loop_config: the file, the block size, in loop_info64 the flags
_ATTEMPTS: Final = 64
_MOUNT_FLAGS: Final = system_calls.NO_ACCESS_TIME | system_calls.NO_DEVICES | system_calls.NO_SETUID


def device_of(image: str) -> str | None:
    """Return the loop device that has the image file, or None.

    A file of the same path may be another: in a container, or below what has been mounted over its folder.
    """
    wanted = os.path.realpath(image)
    with os.scandir("/sys/block") as entries:
        for entry in entries:
            is_named = entry.name.startswith("loop") and _backing_file(f"{entry.path}/loop/backing_file") == wanted
            if is_named and _has_file(device := f"/dev/{entry.name}", wanted):
                return device
    return None


def is_mounted_at(image: str, point: str) -> bool:
    """Tell whether what is seen at `point` is the file system in the image."""
    try:
        device = os.stat(point, follow_symlinks=False).st_dev  # noqa: PTH116 - paths are text everywhere in the agent
    except FileNotFoundError:
        return False
    backing = _backing_file(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/loop/backing_file")
    return backing == os.path.realpath(image)


def mount_image(image: str, image_fd: int, target: str, file_system: str, options: str = "") -> None:
    """Mount the image at `target`, by the device that it has already if it has one.

    `image_fd` is the image, open for writing and locked by the caller: two devices on one image would be two file systems in
    one place, each ignorant of the other.
    """
    device = device_of(image)
    if device is not None:
        system_calls.mount(device, target, file_system, _MOUNT_FLAGS, options)
        return
    # Opened anew: the device keeps what it is given, and would keep the caller's lock with it.
    own_fd = os.open(f"/proc/self/fd/{image_fd}", os.O_RDWR | os.O_CLOEXEC)
    try:
        device, device_fd = _attach(own_fd)
    finally:
        os.close(own_fd)
    try:
        system_calls.mount(device, target, file_system, _MOUNT_FLAGS, options)
    finally:
        os.close(device_fd)


def refresh_size(device: str) -> None:
    """Tell the device that its image has another size now."""
    descriptor = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, _SET_CAPACITY, 0)
    finally:
        os.close(descriptor)


def _has_file(device: str, image: str) -> bool:
    """Tell whether the device has this very file, and not another of its path, also where there is none here."""
    status = bytearray(_STATUS.size + _REST_OF_STATUS)
    try:
        descriptor = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(descriptor, _GET_STATUS, status)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno == errno.ENXIO:  # it is let go this moment: until it is, its path is all that tells
            return True
        raise
    try:
        found = os.stat(image)  # noqa: PTH116 - paths are text everywhere in the agent
    except FileNotFoundError:
        return False
    return _STATUS.unpack_from(status) == (found.st_dev, found.st_ino)


def _backing_file(attribute: str) -> str | None:
    try:
        return os.fsdecode(Path(attribute).read_bytes().removesuffix(b"\n"))
    except OSError:  # no loop device, or one that is not in use or is let go this moment
        return None


def _attach(image_fd: int) -> tuple[str, int]:
    """Give the image a loop device; it goes when nothing has it open or mounted any more, whatever becomes of this process."""
    configuration = bytearray(_CONFIGURATION.pack(image_fd, 0, _AUTOCLEAR))
    try:
        control_fd = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError as error:
        message = "the storage host has no loop devices; load them with `modprobe loop`"
        raise Problem(ProblemKind.UNAVAILABLE, message) from error
    try:
        fcntl.flock(control_fd, fcntl.LOCK_EX)  # among agents; other programs may still be quicker
        for _ in range(_ATTEMPTS):
            device = f"/dev/loop{fcntl.ioctl(control_fd, _GET_FREE)}"
            device_fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.ioctl(device_fd, _CONFIGURE, configuration)
            except OSError as error:
                os.close(device_fd)
                if error.errno != errno.EBUSY:
                    raise
            else:
                return device, device_fd
    finally:
        os.close(control_fd)
    message = "other programs take every loop device as soon as it is free; try again"
    raise Problem(ProblemKind.TRANSIENT, message)
