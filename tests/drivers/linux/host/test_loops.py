"""Loop devices: which one has a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.drivers.linux.agent.host import loops
from tests.drivers.linux.lab import need, run

if TYPE_CHECKING:
    from pathlib import Path


def test_the_device_of_another_file_of_the_same_path_is_not_taken(tmp_path: Path) -> None:
    """Such as an image of the host that a container hides with its own: what would be mounted is somebody else's data."""
    need()
    folder = tmp_path / "images"
    folder.mkdir()
    image = folder / "image"
    image.write_bytes(bytes(1 << 20))
    device = run("losetup", "--find", "--show", str(image)).stdout.strip()
    try:
        assert loops.device_of(str(image)) == device
        run("mount", "-t", "tmpfs", "tmpfs", str(folder))
        try:
            assert loops.device_of(str(image)) is None
            image.write_bytes(bytes(1 << 20))
            assert loops.device_of(str(image)) is None
        finally:
            run("umount", str(folder))
        assert loops.device_of(str(image)) == device
    finally:
        run("losetup", "--detach", device)
