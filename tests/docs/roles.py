"""The repository that the pages for each role suppose."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from sharectl.cli import main

if TYPE_CHECKING:
    from pathlib import Path

MANIFESTS: Final = r"""
apiVersion: sharectl/v1
kind: Backend
metadata: {name: nas1}
spec:
  driver: simulated
  config: {stateFile: sim.db, pools: [{name: gold1, total: 10TiB}]}
---
apiVersion: sharectl/v1
kind: Share
metadata: {name: projects, labels: {team: research}}
spec: {size: 2GiB, protocol: NFS, access: [{type: ip, to: 10.0.0.0/16, level: rw}]}
---
apiVersion: sharectl/v1
kind: Share
metadata: {name: people}
spec: {size: 1GiB, protocol: CIFS, access: [{type: user, to: 'CORP\alice', level: rw}, {type: group, to: staff, level: ro}]}
"""


def make_repository(root: Path) -> None:
    """Write a repository that alice has applied, and grown a share in."""
    (root / "sharectl.yaml").write_text("apiVersion: sharectl/v1\nkind: Project\n", encoding="utf-8")
    before = dict(os.environ)
    os.environ["LOGNAME"] = "alice"
    try:
        for text in (MANIFESTS.replace("2GiB", "1GiB"), MANIFESTS):
            (root / "all.yaml").write_text(text, encoding="utf-8")
            assert main(["-C", str(root), "apply", "--yes"]) == 0
    finally:
        os.environ.clear()
        os.environ.update(before)
