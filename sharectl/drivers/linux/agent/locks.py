"""The locks by which changes of a backend, and who brings its servers back, keep out of each other's way."""

from __future__ import annotations

import os
import zlib
from typing import Final

_LOCKS: Final = 256


def changes_lock(root: str) -> str:
    """Return the lock that all who change something on the backend hold together, and who brings its servers back holds alone."""
    return os.path.join(root, "changes.lock")  # noqa: PTH118 - paths are text everywhere in the agent


def resource_lock(root: str, resource_id: str) -> str:
    """Return the lock that is held alone for whatever is done to one share, snapshot or share server; taken after that of changes.

    Some resources share one: who holds the lock of a resource takes that of no other.
    """
    folder = os.path.join(root, "locks")  # noqa: PTH118 - as above
    if not os.path.isdir(folder):  # noqa: PTH112 - as above
        os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103 - as above
    return os.path.join(folder, str(zlib.crc32(resource_id.encode()) % _LOCKS))  # noqa: PTH118 - as above
