"""Where the folders of shares are: as the file server has them, so that an exported folder is found among the shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sharectl.drivers.directory.factory import DirectoryFactory
from sharectl.drivers.linux.factory import LinuxFactory
from sharectl.drivers.share_checks import NamesShareFolders
from sharectl.model.backends import BackendSpec

if TYPE_CHECKING:
    from pathlib import Path


def _folders(factory: object, config: dict[str, Any], base: str = "/") -> dict[str, tuple[str, str]]:
    assert isinstance(factory, NamesShareFolders)
    spec = BackendSpec("nas", "x", config)
    return {prefix: (place.host, place.location) for prefix, place in factory.share_folders(spec, base).items()}


def test_of_a_linux_backend(tmp_path: Path) -> None:
    """Pools whose shares are subvolumes; links are resolved on this machine alone."""
    (tmp_path / "link").symlink_to(tmp_path)
    pools = {
        "fast": {"type": "btrfs", "path": f"{tmp_path}/link"},
        "trial": {"type": "loop", "path": "/srv/trial", "image": "/srv/i", "size": "1GiB"},
        "files": {"type": "image", "path": "/srv/files"},
    }
    assert _folders(LinuxFactory(), {"pools": pools}) == {"fast/": ("", str(tmp_path)), "trial/": ("", "/srv/trial")}
    remote = {"host": {"ssh": {"address": "NAS.example."}}, "pools": pools}
    assert _folders(LinuxFactory(), remote)["fast/"] == ("nas.example", f"{tmp_path}/link")


def test_of_a_directory_backend(tmp_path: Path) -> None:
    """By the ids of its shares; where the root has another path on the server, that is the one that the server's files name."""
    base = str(tmp_path)
    assert _folders(DirectoryFactory(), {"root": "data"}, base) == {"": ("", f"{base}/data")}
    config = {"root": "data", "pools": {"a": "x", "b": "/b"}, "exportPath": "/srv/nas", "exportHost": "filer"}
    assert _folders(DirectoryFactory(), config, base) == {"a/": ("filer", "/srv/nas/x"), "b/": ("filer", "/b")}
