"""What keeps clients out of shares that are exported is said by every plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.drivers.directory import access

if TYPE_CHECKING:
    import pytest

    from tests.cli.console import Console

BACKEND = """
apiVersion: sharectl/v1
kind: Backend
metadata: {name: nas}
spec:
  driver: directory
  config: {root: closed/storage}
---
apiVersion: sharectl/v1
kind: Share
metadata: {name: office}
spec:
  size: 1GiB
  protocol: CIFS
  access:
    - {type: user, to: alice, level: rw}
"""


def test_a_closed_folder_above_the_pool_is_a_warning_of_each_plan(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the folder and what opens it, where the host's Samba serves the shares; it is no difference, and stops nothing."""
    monkeypatch.setattr(access, "SMB_CONF", console.root / "smb.conf")
    console.write("all.yaml", BACKEND)
    (console.root / "closed").mkdir(mode=0o700)
    assert console("apply", "--yes").code == 0
    assert "backend.hindrance" not in console("plan").err
    console.write("smb.conf", f"[global]\n  include = {console.root}/closed/storage/.sharectl/smb.conf\n")
    planned = console("plan", "--detailed-exitcode")
    assert planned.code == 0
    assert "warning[backend.hindrance]: backend nas: users of Samba do not get to the pool 'default'" in planned.err
    assert "chmod o+x" in planned.err
