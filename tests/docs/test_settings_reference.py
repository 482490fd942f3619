"""The tables of settings of drivers are made from their schemas, and current."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.linux.schema import CONFIG_SCHEMA as LINUX
from sharectl.drivers.ontap.schema import CONFIG_SCHEMA as ONTAP
from tools.settings_reference import SCHEMAS, current_page, table

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("page", SCHEMAS, ids=lambda page: page.name)
def test_the_reference_is_current(page: Path) -> None:
    """After a change of a schema: `python -m tools.settings_reference`."""
    assert page.read_text(encoding="utf-8") == current_page(page)


def test_settings_at_every_depth_are_there() -> None:
    """Those of a pool and of a user too, under a name that the reader chooses; what is required is in bold."""
    text = table(LINUX)
    assert "| **`pools.<NAME>.type`** | `btrfs` or `image` or `loop` |" in text
    assert "| `host.ssh.port` | whole number, 1 to 65535 |" in text
    assert "| **`smb.users.<NAME>.password`** |" in text
    assert "| `nfs.versions` | list of `3` or `4.0` or `4.1` or `4.2` |" in text
    assert "| **`flexGroups.<NAME>.aggregates`** | list |" in table(ONTAP)
