"""Golden files: what people see is compared with `golden/`; `SHARECTL_UPDATE_GOLDEN=1` writes what is seen now."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def golden() -> Callable[[str, Iterable[str]], None]:
    """Return a check that lines are those of the golden file with this name."""

    def check(name: str, lines: Iterable[str]) -> None:
        text = "".join(f"{line}\n" for line in lines)
        path = GOLDEN / name
        if os.environ.get("SHARECTL_UPDATE_GOLDEN"):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8"), (
            f"{name} differs; SHARECTL_UPDATE_GOLDEN=1 accepts what is seen now"
        )

    return check
