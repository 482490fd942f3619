"""Small file systems for tests of what happens where there is no space."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def medium(folder: Path, kib: int) -> Iterator[Path]:
    """Yield the folder, which is made, as a file system of that size; skips where nobody may mount one."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a file system")
    folder.mkdir()
    if subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", folder], check=False).returncode:
        pytest.skip("needs the right to mount")
    try:
        yield folder
    finally:
        subprocess.run(["/bin/umount", folder], check=True)


def resize(folder: Path, kib: int) -> None:
    """Give such a file system another size."""
    subprocess.run(["/bin/mount", "-o", f"remount,size={kib}k", folder], check=True)


def fill_up(path: Path) -> None:
    """Write a file until nothing fits any more."""
    with path.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(4096))
            except OSError:
                return
