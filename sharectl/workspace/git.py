"""What git knows of a folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_TIMEOUT_SECONDS: Final = 5.0


def git_lines(folder: Path, *arguments: str) -> list[str]:
    """Return the lines that a git command prints for the folder; none where there is no git, no repository, or no answer in time."""
    if not _may_be_in_repository(folder):  # starting git only to learn that would be much of a short command's time
        return []
    import subprocess  # noqa: PLC0415 - only where git is asked

    # A folder of the checkout that looks like a bare repository is anybody's: its commits and settings are not those of the checkout.
    command = ["git", "-c", "safe.bareRepository=explicit", "-C", str(folder), *arguments]
    try:
        answer = subprocess.run(  # noqa: S603 - fixed commands
            command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return answer.stdout.splitlines() if answer.returncode == 0 else []


def _may_be_in_repository(folder: Path) -> bool:
    """Tell whether git would find a repository around the folder; it may have been told of one, or refuse the one that is there."""
    place = os.path.realpath(folder)
    while not os.path.lexists(os.path.join(place, ".git")):  # noqa: PTH118 - strings, which are faster
        above = os.path.dirname(place)  # noqa: PTH120 - as above
        if above == place:
            return "GIT_DIR" in os.environ
        place = above
    return True
