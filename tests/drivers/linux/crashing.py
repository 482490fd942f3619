"""A program that kills a process of its own before each effect that a pool's method has, and lets another repeat the call.

It reads a job as `pools.crash_everywhere` writes it, and prints what the volume looked like after each kill.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sharectl.drivers.linux.agent.volumes.btrfs.pool import BtrfsPool
from sharectl.drivers.linux.agent.volumes.contract import Claim
from sharectl.drivers.linux.agent.volumes.images.pool import ImagePool
from tests.drivers.linux.pools import write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.drivers.linux.agent.volumes.contract import VolumePool

EFFECTS = frozenset(
    {
        "fcntl.ioctl",
        "os.rename",
        "os.mkdir",
        "os.rmdir",
        "os.remove",
        "os.chmod",
        "os.chown",
        "os.truncate",
        "subprocess.Popen",
        "sharectl.system_call",
        "sharectl.commit",
        "sharectl.bus_call",
    }
)
"""Audit events of what changes something on the host."""

READING_IOCTLS = frozenset(
    {
        0x8400941F,  # BTRFS_IOC_FS_INFO
        0xD000941E,  # BTRFS_IOC_DEV_INFO
        0xD0009412,  # BTRFS_IOC_INO_LOOKUP
        0xC0709411,  # BTRFS_IOC_TREE_SEARCH_V2
        0x8040942D,  # BTRFS_IOC_QUOTA_RESCAN_STATUS
        0x81F8943C,  # BTRFS_IOC_GET_SUBVOL_INFO
        0x80086601,  # FS_IOC_GETFLAGS
    }
)

FAILED = 3


def part_of(number: int, value: Any) -> Any:  # noqa: ANN401 - parts of documents have many types
    """Return the value with the attempt's number in a text."""
    return value.replace("{n}", str(number)) if isinstance(value, str) else value


def run_call(pool: VolumePool, call: Sequence[Any], number: int, records: str) -> None:
    """Call the method with the attempt's number in its arguments; `write` is a method too.

    Whoever makes a volume again knows its identity from a record, here a file in the folder `records`.
    """
    method, *arguments = [part_of(number, part) for part in call]
    if method == "write":
        write(pool, *arguments)
    elif method in {"create", "clone"}:
        record = Path(records, arguments[0 if method == "create" else 1])
        identity = record.read_text(encoding="ascii") if record.exists() else None
        getattr(pool, method)(*arguments, Claim(identity, lambda made: recorded(record, made)))
    else:
        getattr(pool, method)(*arguments)


def recorded(record: Path, identity: str) -> None:
    """Keep an identity whole or not at all, which is no effect of the pool's."""
    descriptor = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(descriptor, identity.encode())
    os.close(descriptor)


def in_process(pool: VolumePool, call: Sequence[Any], number: int, records: str, *, survived: int | None) -> bool:
    """Make the call in a process that is killed after `survived` effects; return whether it finished."""
    child = os.fork()
    if child == 0:
        try:
            if survived is not None:
                kill_after(survived)
            run_call(pool, call, number, records)
        except BaseException as error:  # noqa: BLE001 - the parent is told by the exit code
            sys.stderr.write(f"attempt {number}: {error!r}\n")
            os._exit(FAILED)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
        sys.exit(f"the call failed in attempt {number}")
    return os.WIFEXITED(status)


def is_effect(event: str, arguments: tuple[Any, ...]) -> bool:
    """Tell whether what the event announces changes anything: a folder that is there is not made, and what is gone is not removed."""
    if event == "fcntl.ioctl":
        return arguments[1] not in READING_IOCTLS
    if event == "sharectl.system_call":
        return arguments[0] != "statx"
    if event in {"os.mkdir", "os.remove"}:
        path, *_, folder = arguments
        try:
            os.lstat(path, dir_fd=None if folder == -1 else folder)
        except FileNotFoundError:
            return event == "os.mkdir"
        return event == "os.remove"
    return event in EFFECTS


def kill_after(effects: int) -> None:
    """Kill this process before the effect that comes after so many."""
    left = effects

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if is_effect(event, arguments):
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

    sys.addaudithook(count)


def seen(path: str, number: int) -> list[str] | None:
    """Return the names in the volume `v{n}` as it is, or None where it is not there."""
    folder = Path(path, f"v{number}")
    return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else None


def main() -> None:
    """Do the job on standard input."""
    job = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as records:
        json.dump(seen_between(job, records), sys.stdout)


def seen_between(job: dict[str, Any], records: str) -> list[list[str] | None]:
    """Kill and repeat until a call finishes; return what was seen after each."""
    kind = {"btrfs": BtrfsPool, "image": ImagePool}[job["pool"].pop("kind")]
    between: list[list[str] | None] = []
    number = 0
    is_whole = False
    while not is_whole:
        pool = kind(**{name: part_of(number, value) for name, value in job["pool"].items()})
        for call in job["before"]:
            run_call(pool, call, number, records)
        is_whole = in_process(pool, job["call"], number, records, survived=number * job["every"])
        between.append(seen(job["pool"]["path"], number))
        in_process(pool, job["call"], number, records, survived=None)
        number += 1
    return between


if __name__ == "__main__":
    main()
