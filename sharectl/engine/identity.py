"""The identity of a backend: behind it must be the storage that the state has pinned."""

from __future__ import annotations

from sharectl.drivers.base import DriverError


def expect_identity(backend: str, pinned: str | None, found: str | None) -> None:
    """Raise DriverError where `found` is not the identity that the state has `pinned` (None: it was never prepared)."""
    if pinned is None:
        message = f"backend {backend} has never been prepared"
        raise DriverError(message)
    if found != pinned:
        seen = f"is {found}" if found else "was never prepared (is its file system mounted?)"
        message = f"backend {backend} is not the storage that the state knows: it {seen}, pinned is {pinned}"
        raise DriverError(message)
