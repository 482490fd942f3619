"""Mount points of the host: made so that nothing can be written below them, bound to a folder, freed again."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.host import system_calls
from sharectl.drivers.linux.agent.host.daemons import holds_within
from sharectl.drivers.linux.agent.host.system_errors import problem_of, told_as

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE: Final = 0o555
_PATH_ONLY: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_GET_FLAGS: Final = 0x80086601  # FS_IOC_GETFLAGS
_SET_FLAGS: Final = 0x40086602  # FS_IOC_SETFLAGS
_IMMUTABLE: Final = 0x10  # FS_IMMUTABLE_FL
_FLAGS: Final = struct.Struct("=Q")
_WITHOUT_FLAGS: Final = frozenset({errno.ENOTTY, errno.EOPNOTSUPP})
_ESCAPE: Final = re.compile(rb"\\([0-7]{3})")
_BUSY_SECONDS: Final = 2.0  # a server that was told to let go needs a moment


class Mount(NamedTuple):
    """A line of /proc/self/mountinfo: `root` is the folder of the file system `source` that is seen at `point`."""

    device: str
    root: str
    point: str
    file_system: str
    source: str


def read_mounts() -> list[Mount]:
    """Return the mounts of this mount namespace, in the order in which they were made."""
    return parse_mounts(Path("/proc/self/mountinfo").read_bytes())


def parse_mounts(text: bytes) -> list[Mount]:
    r"""Read the lines of mountinfo as proc(5) describes them; blanks and backslashes in names are octal (`\040`)."""
    found = []
    for line in text.splitlines():
        fields = [_ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), field) for field in line.split(b" ")]
        tail = fields.index(b"-", 6)  # optional fields stand before it
        words = (fields[2], fields[3], fields[4], fields[tail + 1], fields[tail + 2])
        found.append(Mount(*(os.fsdecode(word) for word in words)))
    return found


def is_mount_point(path: str) -> bool:
    """Tell whether something is mounted at `path`; a path that is not there is none."""
    try:
        return system_calls.is_mount_root(path)
    except (FileNotFoundError, NotADirectoryError):
        return False


def make_mount_point(path: str) -> None:
    """Make an empty folder that nobody can write to while nothing is mounted there: mode 0555 and immutable.

    One that is mounted on already is left alone. Raises CONFLICT where a folder with content, a file or a link is in the way.
    """
    with told_as(f"the mount point {path} cannot be made"):
        is_new = True
        try:
            os.mkdir(path, _MODE)  # noqa: PTH102 - paths are text everywhere in the agent
        except FileExistsError:
            if is_mount_point(path):
                return
            is_new = False
        descriptor = os.open(path, _DIRECTORY)
        try:
            if not is_new and os.listdir(descriptor):  # noqa: PTH208 - a descriptor, which pathlib cannot list
                message = f"{path} is not empty, so nothing is mounted over it; move its content away"
                raise Problem(ProblemKind.CONFLICT, message)
            if not is_immutable(descriptor):
                os.fchmod(descriptor, _MODE)
                set_immutable(descriptor, wanted=True)
        finally:
            os.close(descriptor)


def remove_mount_point(path: str) -> None:
    """Remove the folder that `make_mount_point` made; a missing one is not an error. Raises IN_USE while something is mounted there."""
    if is_mount_point(path):
        message = f"{path} cannot be removed: something is mounted there"
        raise Problem(ProblemKind.IN_USE, message)
    with told_as(f"the mount point {path} cannot be removed"), suppress(FileNotFoundError):
        descriptor = os.open(path, _DIRECTORY)
        try:
            set_immutable(descriptor, wanted=False)
        finally:
            os.close(descriptor)
        Path(path).rmdir()


def is_free_mount_point(path: str) -> bool:
    """Tell whether `path` is an empty folder such as `make_mount_point` makes, with nothing mounted there."""
    try:
        descriptor = os.open(path, _DIRECTORY)
    except OSError:
        return False
    try:
        is_empty = not os.listdir(descriptor)  # noqa: PTH208 - a descriptor, which pathlib cannot list
        return is_empty and not is_mount_point(path) and os.fstat(descriptor).st_mode & 0o777 == _MODE
    finally:
        os.close(descriptor)


def bind(source: str, target: str) -> None:
    """Show the folder `source` at `target`, and nothing else: what else is mounted there is taken away. Idempotent.

    What clients put there gives nobody rights on the host: set-user-id bits and device files have no effect below `target`.
    Neither is followed if it is a symbolic link. Raises NOT_FOUND where one of them is not there.
    """
    with told_as(f"{source} cannot be bound to {target}"):
        source_fd = os.open(source, _PATH_ONLY)
        try:
            if not _is_same(source_fd, target):
                _detach(target)  # a stale one: its clients' files are of a volume that was replaced
                target_fd = os.open(target, _PATH_ONLY)
                try:
                    system_calls.mount(_by_descriptor(source_fd), _by_descriptor(target_fd), None, system_calls.BIND)
                finally:
                    os.close(target_fd)
        finally:
            os.close(source_fd)
        # Not with the bind, which takes no such flags; also on one that is there: a killed call may not have come to it.
        system_calls.restrict_mount(target)


def detach(target: str) -> None:
    """Take everything that is mounted at `target` out of sight at once, also while it is in use; nothing mounted is not an error.

    Who is inside stays there: the kernel lets go of the file system with the last of them.
    """
    with told_as(f"{target} cannot be detached"):
        _detach(target)


def _detach(target: str) -> None:
    while is_mount_point(target):
        try:
            system_calls.unmount(target, system_calls.DETACH)
        except OSError as error:
            if error.errno != errno.EINVAL:  # another process was quicker: it is no longer a mount point
                raise


def share(folder: str) -> None:
    """Have daemons with mounts of their own see what is bound below the folder, and unbound again, from their start on. Idempotent.

    The folder becomes a mount of itself for that, with what is bound there already; cut short, some of that is bound nowhere any more.
    """
    with told_as(f"what is bound below {folder} cannot be shown to daemons"):
        if not is_mount_point(folder):
            plain = os.open(folder, _PATH_ONLY)
            try:
                copied = system_calls.copy_mounts(plain)
                try:
                    for name in os.listdir(folder):  # noqa: PTH208 - as above
                        # Before the copies cover it: killed in between, nothing stays mounted where no path leads to.
                        _detach(f"{folder}/{name}")
                    system_calls.place_mounts(copied, folder)
                finally:
                    os.close(copied)
            finally:
                os.close(plain)
        system_calls.mount("none", folder, None, system_calls.SHARED | system_calls.RECURSIVE)


def unshare(folder: str) -> None:
    """Undo `share` where nothing is bound below the folder; one that is not shared is not an error."""
    if is_mount_point(folder) and not any(mount.point.startswith(f"{folder}/") for mount in read_mounts()):
        detach(folder)


def unbind(target: str) -> None:
    """Take away everything that is mounted at `target`; nothing mounted is not an error. Raises IN_USE where it is held for over 2 s."""
    if not holds_within(lambda: _is_free(target), _BUSY_SECONDS):
        message = f"{target} cannot be unmounted: it is in use on the host; `fuser -vm {target}` shows by what"
        raise Problem(ProblemKind.IN_USE, message)


def _is_free(target: str) -> bool:
    """Unmount what is there, and tell whether nothing is left."""
    while is_mount_point(target):
        try:
            system_calls.unmount(target)
        except OSError as error:
            if error.errno == errno.EBUSY:
                return False
            if error.errno != errno.EINVAL:  # another process was quicker: it is no longer a mount point
                raise problem_of(error, f"{target} cannot be unmounted") from error
    return True


def _is_same(source_fd: int, target: str) -> bool:
    try:
        there = os.lstat(target)
    except FileNotFoundError:
        return False
    here = os.fstat(source_fd)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _by_descriptor(descriptor: int) -> str:
    """Return a path of what is open: mount(2) takes paths alone, and a name could be another's meanwhile."""
    return f"/proc/self/fd/{descriptor}"


def is_immutable(descriptor: int) -> bool:
    """Tell whether nobody can change the open folder, nor remove it."""
    buffer = bytearray(_FLAGS.size)
    try:
        fcntl.ioctl(descriptor, _GET_FLAGS, buffer)
    except OSError as error:
        if error.errno in _WITHOUT_FLAGS:
            return False
        raise
    return bool(_FLAGS.unpack(buffer)[0] & _IMMUTABLE)


def set_immutable(descriptor: int, *, wanted: bool) -> None:
    """Make it so, or undo that."""
    buffer = bytearray(_FLAGS.size)
    try:
        fcntl.ioctl(descriptor, _GET_FLAGS, buffer)
        flags = _FLAGS.unpack(buffer)[0]
        changed = flags | _IMMUTABLE if wanted else flags & ~_IMMUTABLE
        if changed != flags:
            fcntl.ioctl(descriptor, _SET_FLAGS, bytearray(_FLAGS.pack(changed)))
    except OSError as error:
        if error.errno not in _WITHOUT_FLAGS:  # without the flag (an old tmpfs) the mode has to do
            raise
