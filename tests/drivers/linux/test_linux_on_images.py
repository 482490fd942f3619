"""The linux driver passes the suite that every driver must pass on servers without btrfs: a file system per share in an image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.drivers.linux.lab import need, run
from tests.drivers.linux.test_linux_conformance import LinuxConformance

if TYPE_CHECKING:
    from collections.abc import Mapping


class TestLinuxOnExt4Images(LinuxConformance):
    """ext4 in image files."""

    threads = 16

    @pytest.fixture
    def pool(self, lab_directory: str) -> Mapping[str, Any]:
        """Return the settings of the pool; its folder is on XFS, where images can share blocks, so that there are snapshots."""
        need("mkfs.ext4", "mkfs.xfs", "ganesha.nfsd", "dbus-daemon", "smbd", file_system="xfs")
        image, folder = Path(lab_directory, "disk.img"), Path(lab_directory, "pool")
        with image.open("wb") as file:
            file.truncate(6 << 30)
        run("mkfs.xfs", "-q", str(image))
        folder.mkdir()
        run("mount", "-o", "loop", str(image), str(folder))
        return {"type": "image", "path": f"{lab_directory}/pool", "fileSystem": "ext4"}
