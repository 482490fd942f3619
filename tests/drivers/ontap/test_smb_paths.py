"""SMB shares that lead where a volume is about to be mounted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.base import ConflictError
from sharectl.drivers.ontap.smb_paths import SmbPaths

from .scripted import scripted

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("path", ["/projects", "/books/2025"])
def test_shares_below_a_path_are_looked_for_too(tmp_path: Path, path: str) -> None:
    """However deep the path is: an imported volume may have been mounted inside of another. One beside it does not count."""
    with scripted(tmp_path) as script:
        script.answers = [(200, {"records": [{"name": name, "path": path + rest}]}) for name, rest in LEFT]
        array = script.array()
        paths = SmbPaths(array, iter(range(0, 1000, 100)).__next__)
        with pytest.raises(ConflictError, match="'left' that leads to"):
            paths.check("vs1", path)
        paths.check("vs1", path)
        array.close()


LEFT = ("left", "/data"), ("beside", "-old")


def test_they_are_read_once_for_many_volumes_and_again_before_one_is_refused(tmp_path: Path) -> None:
    """The one that leads to the path may have been removed a moment ago, with the share that it was for."""
    with scripted(tmp_path) as script:
        script.answers = [(200, {"records": [{"name": "projects", "path": "/projects"}]}), (200, {"records": []})]
        array = script.array()
        paths = SmbPaths(array, lambda: 1.0)
        paths.check("vs1", "/one")
        paths.check("vs1", "/two")
        paths.check("vs1", "/projects")
        paths.check("vs1", "/projects")
        array.close()
        assert sum("cifs/shares" in line for line in script.lines()) == 2
