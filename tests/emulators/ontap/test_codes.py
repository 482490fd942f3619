"""Every code that the emulator can give is one of the array's."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.emulators.ontap.errors import Refused
from tests.emulators.ontap.facts import ERRORS

PACKAGE = Path(__file__).parent
MODULES = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.glob("*.py")}
GIVERS = {"Refused"}


def constants() -> dict[str, int]:
    """Return the numbers that modules name."""
    found = {}
    for tree in MODULES.values():
        for node in tree.body:
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            value = getattr(node, "value", None)
            if isinstance(target, ast.Name) and isinstance(value, ast.Constant) and type(value.value) is int:
                found[target.id] = value.value
    return found


def given() -> set[tuple[str, int, int]]:
    """Return each code that is written down as the first argument of a refusal, with its place."""
    named, found = constants(), set()
    for module, tree in MODULES.items():
        if module.startswith("test_"):
            continue
        for node in ast.walk(tree):
            if (
                not isinstance(node, ast.Call)
                or not isinstance(node.func, ast.Name)
                or node.func.id not in GIVERS
                or not node.args
            ):
                continue
            for inner in ast.walk(node.args[0]):
                if isinstance(inner, ast.Constant) and type(inner.value) is int:
                    found.add((module, inner.lineno, inner.value))
                elif isinstance(inner, ast.Name) and inner.id in named:
                    found.add((module, inner.lineno, named[inner.id]))
    return found


def test_each_code_that_is_written_down_is_the_arrays() -> None:
    """Found in the source, whether or not a test makes the emulator give it."""
    codes = given()
    assert len(codes) > 100
    assert sorted(each for each in codes if str(each[2]) not in ERRORS) == []


def test_another_code_cannot_be_given() -> None:
    """Not even one that is computed."""
    with pytest.raises(AssertionError, match="no code 5"):
        Refused(5, "no such code")
