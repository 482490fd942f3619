"""Draws the rooms of the package and the imports between them into `docs/architecture.md`.

    python -m tools.architecture                  brings the page up to date
    python -m tools.architecture --of CHECKOUT    prints the picture of another checkout

A room is a module or a folder under `sharectl`. It stands above every room that it imports; an arrow that follows from others is
left out. The table of rooms holds their own first sentences.
"""

from __future__ import annotations

import argparse
import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import networkx as nx

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs" / "architecture.md"
BEGIN: Final = "<!-- The picture and the table are made by `python -m tools.architecture`. -->\n"
END: Final = "<!-- Here they end. -->\n"
ENTRANCES: Final = {"__init__", "__main__"}
"""They belong to no room: the version, and `python -m sharectl`."""


def rooms_of(root: Path) -> dict[str, list[Path]]:
    """Return the modules of each room of a checkout, its own module or `__init__.py` first."""
    rooms = {}
    for path in sorted((root / "sharectl").iterdir()):
        if path.suffix == ".py" and path.stem not in ENTRANCES:
            rooms[path.stem] = [path]
        elif (path / "__init__.py").exists():
            front = path / "__init__.py"
            rooms[path.name] = [front, *(module for module in sorted(path.rglob("*.py")) if module != front)]
    return rooms


def imported_by(path: Path) -> Iterator[str]:
    """Yield the rooms that a module imports, wherever in it the import stands, those for types included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name.split(".")[1] for name in names if name.startswith("sharectl."))


def imports(root: Path) -> nx.DiGraph[str]:
    """Return the graph of the rooms of a checkout: an edge from each to what it imports."""
    rooms = rooms_of(root)
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(rooms)
    for room, modules in rooms.items():
        for module in modules:
            graph.add_edges_from((room, other) for other in imported_by(module) if other != room and other in rooms)
    return graph


def floors(graph: nx.DiGraph[str]) -> list[list[str]]:
    """Return the rooms from top to bottom; rooms of equal height stand side by side."""
    heights: dict[str, int] = {}
    for room in reversed(list(nx.topological_sort(graph))):
        heights[room] = 1 + max((heights[below] for below in graph.successors(room)), default=0)
    top = max(heights.values())
    return [sorted(room for room, height in heights.items() if height == floor) for floor in range(top, 0, -1)]


def picture(root: Path) -> str:
    """Return the rooms of a checkout as a Mermaid flow chart."""
    graph = imports(root)
    lines = ["```mermaid", "flowchart TB"]
    for number, rooms in enumerate(floors(graph)):
        lines += [
            f'    subgraph floor{number}[" "]',
            "        direction LR",
            *(f"        {room}" for room in rooms),
            "    end",
        ]
    lines += [f"    {room} --> {below}" for room, below in sorted(nx.transitive_reduction(graph).edges)]
    return "\n".join([*lines, "```", ""])


def table(root: Path) -> str:
    """Return the rooms of a checkout from top to bottom, each with its own first sentence, as Markdown."""
    rooms = rooms_of(root)
    lines = ["| room | what is there |", "|---|---|"]
    for room in (room for floor in floors(imports(root)) for room in floor):
        front = rooms[room][0]
        said = ast.get_docstring(ast.parse(front.read_text(encoding="utf-8"))) or ""
        shown = room if front.stem == "__init__" else front.name
        lines.append(f"| `{shown}` | {said.splitlines()[0] if said else ''} |")
    return "\n".join([*lines, ""])


def current_page() -> str:
    """Return the page as it should be: what people wrote, with the picture and the table of today between the marks."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{picture(ROOT)}\n{table(ROOT)}\n{END}{after}"


def main() -> None:
    """Write the page, or print the picture of another checkout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--of", type=Path, metavar="CHECKOUT")
    arguments = parser.parse_args()
    if arguments.of:
        sys.stdout.write(picture(arguments.of))
    else:
        PAGE.write_text(current_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
