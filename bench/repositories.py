"""The repositories that rows measure on, each made once for a checkout by its own code."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from workload import Workload

if TYPE_CHECKING:
    from pathlib import Path

    from rows import Site


def applied(site: Site, workload: Workload, name: str) -> Path:
    """Return a repository with this workload that has been applied and read since, so that its manifests are cached."""
    root = site.folder / f"{name}-{workload.shares}"
    if not root.exists():
        new = fresh(root.with_name(f"{root.name}-unfinished"), workload)
        site.tree.measured(new, "apply", "--yes")
        new.rename(root)
        site.tree.measured(root, "plan")
    return root


def plain(site: Site, shares: int) -> Path:
    """Return an applied repository of plain shares, for rows that leave it as it is."""
    return applied(site, Workload(shares), "plain")


def fresh(root: Path, workload: Workload) -> Path:
    """Return a repository with this workload that nobody has read; what is there goes."""
    shutil.rmtree(root, ignore_errors=True)
    workload.write(root)
    return root


def forget(root: Path) -> None:
    """Take away the state and the cache of manifests."""
    shutil.rmtree(root / ".sharectl", ignore_errors=True)


def changed(site: Site, workload: Workload, name: str) -> Path:
    """Return an applied repository whose manifests have been changed to `workload`, and planned once to fill the cache."""
    root = site.folder / f"{name}-{workload.shares}-changed"
    if not root.exists():
        before = applied(site, Workload(workload.shares), name)
        before.rename(root)
        workload.write_shares(root)
    return root
