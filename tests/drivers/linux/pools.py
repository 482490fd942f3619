"""Pools of volumes for tests: a btrfs pool on an image of its own, for one test or for a module, and what one does in volumes."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.volumes.btrfs.pool import BtrfsPool
from tests.drivers.linux.lab import need, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sharectl.drivers.linux.agent.volumes.contract import VolumePool

MEBIBYTE = 1 << 20
POOL_BYTES = 512 * MEBIBYTE


def make_btrfs_pool(directory: str, name: str = "p1", size_bytes: int = POOL_BYTES) -> BtrfsPool:
    """Return a prepared pool on an image in the folder, mounted at `DIRECTORY/NAME`."""
    need("mkfs.btrfs", file_system="btrfs")
    pool = BtrfsPool(name, f"{directory}/{name}", image=f"{directory}/{name}.img", image_size_bytes=size_bytes)
    pool.prepare()
    return pool


def make_host_folder(directory: str, file_system: str, size_bytes: int, *options: str) -> str:
    """Return a folder on a file system of its own, as a server has it; `options` are those of mkfs."""
    need(f"mkfs.{file_system}", file_system=file_system)
    image, folder = Path(directory, f"host-{file_system}.img"), Path(directory, f"host-{file_system}")
    with image.open("wb") as file:
        file.truncate(size_bytes)
    run(f"mkfs.{file_system}", "-q", *options, str(image))
    folder.mkdir()
    run("mount", "-o", "loop", str(image), str(folder))
    return str(folder)


@pytest.fixture
def btrfs_pool(lab_directory: str) -> BtrfsPool:
    """Give an empty pool to one test."""
    return make_btrfs_pool(lab_directory)


@pytest.fixture(scope="module")
def module_btrfs_pool(module_directory: str) -> BtrfsPool:
    """Give a pool to all tests of a module, which use volumes of different names."""
    return make_btrfs_pool(module_directory, "shared")


def write(pool: VolumePool, volume: str, name: str, size_bytes: int = 3) -> None:
    """Put a file of this size, which cannot be compressed or shared, into a volume, and have it on the device."""
    with Path(pool.attach(volume), name).open("wb", buffering=0) as file, Path("/dev/urandom").open("rb") as random:
        while size_bytes > 0:
            size_bytes -= file.write(random.read(min(size_bytes, MEBIBYTE)))


@contextmanager
def fails_with(kind: ProblemKind, *words: str) -> Iterator[None]:
    """Expect a Problem of this kind whose message has all the words."""
    with pytest.raises(Problem) as caught:
        yield
    assert caught.value.kind == kind, caught.value
    assert [word for word in words if word not in str(caught.value)] == []


def names(pool: VolumePool, volume: str) -> set[str]:
    """Return the names of the files in a volume."""
    return {entry.name for entry in Path(pool.attach(volume)).iterdir()} - {"lost+found"}


def crash_everywhere(
    pool: dict[str, Any], before: Sequence[Sequence[Any]], call: Sequence[Any], *, every: int = 1
) -> list[Any]:
    """Kill a process before each effect of `call` in turn, repeat the call in another process, and return what was seen between.

    `pool` has the class and the arguments of the pool; `before` and `call` are lists of a method's name and arguments, in which
    `{n}` stands for the number of the attempt; `every` leaves effects out, where calls are slow. The last attempt finishes before the kill. One answer for each attempt
    that was killed: what `seen` of `crashing` says.
    """
    job = json.dumps({"pool": pool, "before": before, "call": call, "every": every})
    command = [sys.executable, "-m", "tests.drivers.linux.crashing"]
    root = Path(__file__).parents[3]
    result = subprocess.run(command, input=job, capture_output=True, text=True, timeout=500, check=False, cwd=root)
    assert result.returncode == 0, result.stderr
    seen: list[Any] = json.loads(result.stdout)
    return seen
