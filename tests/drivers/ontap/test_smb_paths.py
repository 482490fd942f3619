"""SMB shares that lead where a volume is about to be mounted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.base import ConflictError
from sharectl.drivers.ontap.smb_paths import check_path

from .scripted import scripted

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("path", ["/projects", "/books/2025"])
def test_shares_below_a_path_are_looked_for_too(tmp_path: Path, path: str) -> None:
    """However deep the path is: an imported volume may have been mounted inside of another."""
    with scripted(tmp_path) as script:
        script.answers = [(200, {"records": [{"name": "left", "path": f"{path}/data"}]})]
        array = script.array()
        with pytest.raises(ConflictError, match="'left' that leads to"):
            check_path(array, "vs1", path)
        array.close()
        plain = path.replace("/", "%2F")
        assert f"path={plain}%7C{plain}%2F%2A&" in script.lines()[0]
