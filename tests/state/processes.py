"""Processes of their own for the tests: to kill, to limit, and to run as another user."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import sharectl

PRELUDE = """
import os, resource, shutil, sys
from pathlib import Path
from sharectl.state.sqlite.store import open_store
from sharectl.model.records import *
from sharectl.state.contract import *
from sharectl.state.testing.samples import ALICE, BOB, RUN, document_of, make_entry, make_record, make_rule, whole_view
ME = Holder("alice", "one.example", os.getpid(), "sharectl apply")
path = Path(sys.argv[1])
"""
WITHOUT_PRIVILEGES = """
import importlib, pkgutil, sharectl.state
for found in pkgutil.walk_packages(sharectl.state.__path__, "sharectl.state."):  # the other user may not be able to read where they are
    importlib.import_module(found.name)
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
"""


def start(code: str, *arguments: object, covered: bool = True) -> subprocess.Popen[str]:
    """Start Python on PRELUDE and `code`, with pipes; `covered` off for one that may not write coverage data."""
    root = str(Path(sharectl.__file__).parent.parent)
    environment = {name: value for name, value in os.environ.items() if covered or not name.startswith("COV")}
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + code, *map(str, arguments)],
        env={**environment, "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def run(code: str, *arguments: object, covered: bool = True) -> list[str]:
    """Run Python on PRELUDE and `code` to its successful end; return the lines that it printed."""
    with start(code, *arguments, covered=covered) as process:
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return output.splitlines()
