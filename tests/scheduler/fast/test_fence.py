"""The fast path is fenced: whoever reads the rules of the scheduler need not know it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.architecture import ROOT

if TYPE_CHECKING:
    from pathlib import Path

SCHEDULER = ROOT / "sharectl" / "scheduler"
DOOR = SCHEDULER / "engine.py"


def naming(modules: list[Path], name: str) -> list[str]:
    """Return the modules in whose text a dotted name stands."""
    return [path.name for path in modules if name in path.read_text(encoding="utf-8")]


def test_only_the_engine_knows_the_fast_path() -> None:
    """Filters, weighers, capacities, explanations and the rest of the package do not."""
    others = [path for path in (ROOT / "sharectl").rglob("*.py") if path != DOOR and path.parent != SCHEDULER / "fast"]
    assert naming(others, "sharectl.scheduler.fast") == []


def test_the_fast_path_does_not_know_the_engine() -> None:
    """It is given what it works on."""
    assert naming([*(SCHEDULER / "fast").glob("*.py")], "sharectl.scheduler.engine") == []
