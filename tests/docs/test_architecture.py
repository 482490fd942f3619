"""The picture of the rooms is drawn from the code, and current."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.architecture import PAGE, current_page, floors, imports, picture, table

if TYPE_CHECKING:
    from pathlib import Path


def write_package(root: Path, **modules: str) -> Path:
    """Write modules of a package `sharectl`, by their paths with __ for slashes, and return the checkout."""
    for name, text in modules.items():
        path = root / "sharectl" / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(text, encoding="utf-8")
    return root


def test_the_page_is_current() -> None:
    """After a new room, or an import between two for the first time: `python -m tools.architecture`."""
    assert PAGE.read_text(encoding="utf-8") == current_page()


def test_a_room_stands_above_what_it_imports(tmp_path: Path) -> None:
    """Wherever the import stands, and whatever it is for; rooms that do not know each other may stand side by side."""
    root = write_package(
        tmp_path,
        top="def run():\n    from sharectl.left import main\n",
        left__main="if TYPE_CHECKING:\n    from sharectl.ground import value\n",
        right="from sharectl import ground\nimport sharectl.ground\n",
        ground='"""Values. And more."""\n',
    )
    assert floors(imports(root)) == [["top"], ["left", "right"], ["ground"]]
    assert "| `ground.py` | Values. And more. |" in table(root)
    assert "| `left` |" in table(root)


def test_an_arrow_that_follows_from_others_is_left_out(tmp_path: Path) -> None:
    """The picture shows what has to be known to follow an import down."""
    root = write_package(
        tmp_path,
        a="import sharectl.b\nimport sharectl.c\n",
        b="import sharectl.c\n",
        c="from sharectl import __version__\n",
    )
    arrows = [line.strip() for line in picture(root).splitlines() if "-->" in line]
    assert arrows == ["a --> b", "b --> c"]
