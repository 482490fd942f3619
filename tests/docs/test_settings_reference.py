"""The table of settings of the linux driver is made from its schema, and current."""

from __future__ import annotations

from tools.settings_reference import REFERENCE, current_page, table


def test_the_reference_is_current() -> None:
    """After a change of the schema: `python -m tools.settings_reference`."""
    assert REFERENCE.read_text(encoding="utf-8") == current_page()


def test_settings_at_every_depth_are_there() -> None:
    """Those of a pool and of a user too, under a name that the reader chooses; what is required is in bold."""
    text = table()
    assert "| **`pools.<NAME>.type`** | `btrfs` or `image` or `loop` |" in text
    assert "| `host.ssh.port` | whole number, 1 to 65535 |" in text
    assert "| **`smb.users.<NAME>.password`** |" in text
    assert "| `nfs.versions` | list of `3` or `4.0` or `4.1` or `4.2` |" in text
