"""What coverage does not look at: it is left out, with the processes that it starts, and nothing else is."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.measuring import ROOT, UNMEASURED

if TYPE_CHECKING:
    from pathlib import Path

CODE = """\
def measured():
    return 1

def by_a_property():
    return 2

def in_its_child():
    return 3

def in_a_child():
    return 4

def measured_after_it():
    return 5
"""
TESTS = """\
import subprocess, sys
import code_of_it as it
from hypothesis import given, strategies

def test_first():
    it.measured()

@given(strategies.just(1))
def test_property(_):
    it.by_a_property()
    subprocess.run([sys.executable, "-c", "import code_of_it; code_of_it.in_its_child()"], check=True)

def test_child(tmp_path):
    subprocess.run([sys.executable, "-c", "import code_of_it; code_of_it.in_a_child()"], check=True, cwd=tmp_path)

def test_last():
    it.measured_after_it()
"""
HOOKS = "from tests.conftest import pytest_collection, pytest_runtest_protocol\n"
SETTINGS = "[run]\nparallel = true\npatch = subprocess\nsource = .\n"


def test_what_is_named_is_there() -> None:
    """A test that has been renamed is measured again, unless this says so."""
    for name in UNMEASURED:
        path, _, function = name.partition("::")
        assert (ROOT / path).exists(), name
        assert not function or f"\ndef {function}(" in (ROOT / path).read_text(), name


def test_a_property_is_not_measured_nor_is_its_child(tmp_path: Path) -> None:
    """What runs before it and after it is, also in a child, wherever it works."""
    for name, text in {
        "code_of_it.py": CODE,
        "test_it.py": TESTS,
        "conftest.py": HOOKS,
        ".coveragerc": SETTINGS,
        "pytest.ini": "[pytest]\n",
    }.items():
        (tmp_path / name).write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:timeout"]
    done = subprocess.run(
        [*command, "--cov", "--cov-report=json"],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{ROOT}:{tmp_path}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    functions = json.loads((tmp_path / "coverage.json").read_bytes())["files"]["code_of_it.py"]["functions"]
    assert {name for name, each in functions.items() if each["summary"]["covered_lines"] and name} == {
        "measured",
        "in_a_child",
        "measured_after_it",
    }
