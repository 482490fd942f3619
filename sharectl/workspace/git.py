"""What git knows of a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_TIMEOUT_SECONDS: Final = 5.0


def git_lines(folder: Path, *arguments: str) -> list[str]:
    """Return the lines that a git command prints for the folder; none where there is no git, no repository, or no answer in time."""
    import subprocess  # noqa: PLC0415 - only where git is asked

    command = ["git", "-C", str(folder), *arguments]
    try:
        answer = subprocess.run(  # noqa: S603 - fixed commands
            command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return answer.stdout.splitlines() if answer.returncode == 0 else []
