"""The fixtures of this folder."""

from __future__ import annotations

from .array_fixtures import array, driver, emulator, server

__all__ = ["array", "driver", "emulator", "server"]
