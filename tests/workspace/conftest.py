"""What tests of runs with workers share with those of workers."""

from __future__ import annotations

from tests.executors.workers.conftest import database

__all__ = ["database"]
