"""Where .ci/ontap/setup has put the clients."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def clients() -> Path:
    """Return the folder of the clients, or skip the test where they are not installed."""
    root = Path(os.environ.get("SHARECTL_ONTAP_CLIENTS") or Path.home() / ".cache" / "sharectl" / "ontap")
    if not (root / "complete").exists():
        pytest.skip(f"needs the clients that .ci/ontap/setup installs (none in {root})")
    return root
