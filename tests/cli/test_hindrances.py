"""What keeps clients out of shares that are exported is said by every plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
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


def test_a_closed_folder_above_the_pool_is_a_warning_of_each_plan(console: Console) -> None:
    """With the folder and what opens it; it is no difference, and stops nothing."""
    console.write("all.yaml", BACKEND)
    (console.root / "closed").mkdir(mode=0o700)
    assert console("apply", "--yes").code == 0
    planned = console("plan", "--detailed-exitcode")
    assert planned.code == 0
    assert "warning[backend.hindrance]: backend nas: users of Samba do not get to the pool 'default'" in planned.err
    assert "chmod o+x" in planned.err
