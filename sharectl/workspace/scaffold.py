"""The small repository that `sharectl init` writes: it works as it is, and shows where things belong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import DiagnosticError, error
from sharectl.workspace.workflows import WORKFLOWS

if TYPE_CHECKING:
    from pathlib import Path

IGNORE_FILE: Final = ".gitignore"

_PROJECT: Final = """\
# The settings of this repository; everything in here has a default.
apiVersion: sharectl/v1
kind: Project
spec:
  manifests:
    - backends.yaml
    - share-types.yaml
    - shares/
  safety:
    # A plan that removes more than both of these stops, and asks for --allow-deletions.
    maxDeletionPercentage: 10
    deletionFloor: 3
"""

_BACKENDS: Final = """\
# Where shares are made. The directory driver needs no server and no root: a share is a folder under `root`.
# For data that matters name an absolute path: what is inside of a checkout goes with it.
apiVersion: sharectl/v1
kind: Backend
metadata:
  name: local
spec:
  driver: directory
  config:
    root: storage
"""

_SHARE_TYPES: Final = """\
# What kinds of shares people may ask for, in Manila's extra specs.
apiVersion: sharectl/v1
kind: ShareType
metadata:
  name: general
spec:
  description: For everything that needs nothing special.
  extraSpecs:
    driver_handles_share_servers: false
"""

_SHARE: Final = """\
# A share, and who may reach it.
apiVersion: sharectl/v1
kind: Share
metadata:
  name: projects
  labels:
    team: research
spec:
  size: 10GiB
  protocol: NFS
  type: general
  access:
    - type: ip
      to: 192.168.10.0/24
      level: rw
    - type: ip
      to: 192.168.20.7
      level: ro
  # retain (the default) leaves the data where it is when this manifest goes; delete and trash remove it.
  deletionPolicy: retain
"""

_IGNORE: Final = """\
# The state and the cache belong to this machine, the folder to the directory driver.
.sharectl/
storage/
"""

FILES: Final[dict[str, str]] = {
    "sharectl.yaml": _PROJECT,
    "backends.yaml": _BACKENDS,
    "share-types.yaml": _SHARE_TYPES,
    "shares/projects.yaml": _SHARE,
    IGNORE_FILE: _IGNORE,
}
"""What is written, by path under the new repository, besides the workflow."""


def write_repository(directory: Path, forge: str) -> tuple[str, ...]:
    """Write the files into `directory`, none of which may exist, with the workflow for the forge; return their paths. Raises DiagnosticError."""
    workflow_name, workflow = WORKFLOWS[forge]
    files = {**FILES, workflow_name: workflow}
    taken = [name for name in files if (directory / name).exists() and name != IGNORE_FILE]
    if taken:
        raise DiagnosticError(
            error(
                "init.exists",
                f"{directory / taken[0]} exists already",
                detail="nothing was written, so that nothing of yours is overwritten.",
                remedy="name an empty directory: `sharectl init DIR`",
            )
        )
    written = []
    try:
        for name, text in files.items():
            path = directory / name
            if path.exists():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(name)
    except OSError as problem:
        raise DiagnosticError(
            error("init.unwritable", f"{problem.filename} could not be written: {problem.strerror}")
        ) from problem
    return tuple(written)
