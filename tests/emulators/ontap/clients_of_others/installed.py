"""Where .ci/ontap/setup has put the clients, and an array that does not keep them waiting."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.emulators.ontap.world import World


def clients() -> Path:
    """Return the folder of the clients, or skip the test where they are not installed."""
    root = Path(os.environ.get("SHARECTL_ONTAP_CLIENTS") or Path.home() / ".cache" / "sharectl" / "ontap")
    if not (root / "complete").exists():
        pytest.skip(f"needs the clients that .ci/ontap/setup installs (none in {root})")
    return root


def hurry(world: World) -> None:
    """Let the array's time pass fast, and have it keep the records of jobs all the same, as clients may look late on a busy machine."""
    world.clock.scale = 100.0
    world.settings.job_kept_seconds = 1e9
