"""The floors of the design: a room imports from the floors below its own, and modules never in a circle."""

from __future__ import annotations

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final, NamedTuple

import pytest

PACKAGE: Final = Path(__file__).resolve().parent.parent / "sharectl"

FLOORS: Final[tuple[frozenset[str], ...]] = tuple(
    frozenset(rooms.split())
    for rooms in (
        "__main__",
        "cli",
        "render",
        "mounting",
        "workspace",
        "apply",
        "engine",
        "executors",
        "plan",
        "planner",
        "scheduler",
        "legacy",
        "manifests state drivers network",
        "model private",
    )
)
"""Rooms, from the top floor to the ground; a room is a module or a package under `sharectl`. Rooms of one floor do not know each other."""

EVERYWHERE: Final = "__init__"
"""The package itself holds the version and nothing else; every room may read it."""

PURE: Final[frozenset[str]] = frozenset({"plan", "planner", "scheduler", "legacy", "model"})
"""Rooms that compute, and do nothing else."""

WORLDLY: Final[frozenset[str]] = frozenset(
    ["os", "random", "secrets", "shutil", "socket", "sqlite3", "subprocess", "tempfile", "threading", "time", "uuid"]
)
"""Modules by which a program reaches files, processes, clocks and chance."""


class Import(NamedTuple):
    """One import of one sharectl module by another; `at_runtime` is False where only type checkers see it."""

    importer: str
    imported: str
    line: int
    at_runtime: bool


def modules() -> dict[str, Path]:
    """Return every module of the package by its dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES: Final = modules()


def imports_in(name: str, source: str) -> list[Import]:
    """Return what the module `name` imports from sharectl, wherever in it the import stands."""
    tree = ast.parse(source)
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno}: imports are absolute"
            below = [f"{node.module}.{alias.name}" for alias in node.names]
            targets = [target if target in MODULES else str(node.module) for target in below]
        else:
            continue
        found += [
            Import(name, target, node.lineno, node not in for_types)
            for target in dict.fromkeys(targets)
            if target.partition(".")[0] == PACKAGE.name
        ]
    return found


def room_of(module: str) -> str:
    """Return the room of a module: `planner` for `sharectl.model.plans`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else EVERYWHERE


def floor_of(room: str) -> int:
    """Return the number of a room's floor, counted from the top."""
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


@cache
def imports() -> list[Import]:
    """Return all imports of the package; every worker collects these tests, and few run them."""
    return [found for name, path in MODULES.items() for found in imports_in(name, path.read_text(encoding="utf-8"))]


def _shown(found: Import) -> str:
    return f"{found.importer}, line {found.line}: {found.imported}"


def test_every_room_has_its_floor() -> None:
    """A new room is given a place in FLOORS before anything is put into it."""
    assert {room_of(name) for name in MODULES} - {EVERYWHERE} <= frozenset().union(*FLOORS)


def test_a_room_imports_only_from_floors_below_its_own() -> None:
    """Imports for types count as well: a type from above is knowledge of what is above."""
    climbing = [
        _shown(found)
        for found in imports()
        if EVERYWHERE not in {room_of(found.importer), room_of(found.imported)}
        and room_of(found.importer) != room_of(found.imported)
        and floor_of(room_of(found.importer)) >= floor_of(room_of(found.imported))
    ]
    assert climbing == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Neither when they are loaded nor later, inside a function; what only type checkers see may be mutual within a room."""
    graph: dict[str, set[str]] = {name: set() for name in MODULES}
    for found in imports():
        if found.at_runtime:
            graph[found.importer].add(found.imported)
    circle: list[str] = []
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = error.args[1]
    assert circle == []


def named_modules(module: str) -> set[str]:
    """Return the top-level names of all that a module imports, standard library included."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    named = {
        alias.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    return named | {str(node.module).partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


def contract_of(module: str) -> set[str]:
    """Return a contract's module and all in its own room that it imports, directly or not."""
    found, waiting = {module}, [module]
    while waiting:
        importer = waiting.pop()
        near = {
            each.imported
            for each in imports()
            if each.importer == importer and room_of(each.imported) == room_of(module)
        }
        waiting += near - found
        found |= near
    return found


@pytest.mark.parametrize(
    "contract", [name for name in MODULES if name.count(".") == 2 and name.endswith((".base", ".contract"))]
)
def test_a_contract_stands_on_nouns_alone(contract: str) -> None:
    """What other rooms, and third parties, agree on with a room knows none of its implementations, and touches no world."""
    parts = contract_of(contract)
    beyond = [
        _shown(found)
        for found in imports()
        if found.importer in parts and room_of(found.imported) not in {room_of(contract), "model"}
    ]
    assert beyond == []
    assert [part for part in parts if named_modules(part) & WORLDLY] == []


@pytest.mark.parametrize("module", sorted(name for name in MODULES if room_of(name) in PURE))
def test_what_is_pure_touches_no_world(module: str) -> None:
    """The planner, the scheduler and the nouns have no way to a clock, to randomness, to files or to other processes."""
    assert named_modules(module) & WORLDLY == set()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import sharectl.model.kinds", ("sharectl.model.kinds", True)),
        ("from sharectl.model.kinds import Kind", ("sharectl.model.kinds", True)),
        ("from sharectl import model", ("sharectl.model", True)),
        ("def read():\n    from sharectl.state import contract", ("sharectl.state.contract", True)),
        ("if TYPE_CHECKING:\n    from sharectl.model.kinds import Kind", ("sharectl.model.kinds", False)),
    ],
)
def test_every_form_of_import_is_seen(source: str, expected: tuple[str, bool]) -> None:
    """The checks above read imports at the top, inside functions, and for type checkers."""
    assert [(found.imported, found.at_runtime) for found in imports_in("sharectl.somewhere", source)] == [expected]
