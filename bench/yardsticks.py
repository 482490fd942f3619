"""What figures are compared with: work of the same size that does nothing but the unavoidable."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

COMMITS = 2_000

_WRITE_JSON = """
import sys, pathlib, yaml, orjson
resources = []
for path in sorted(pathlib.Path(sys.argv[1], "manifests").glob("*.yaml")):
    for document in yaml.load_all(path.read_bytes(), Loader=yaml.CSafeLoader):
        rules = document["spec"].pop("access", [])
        resources.append(document)
        share = document["metadata"]["name"]
        for number, rule in enumerate(rules):
            resources.append({"apiVersion": "sharectl/v1", "kind": "AccessRule", "metadata": {"name": f"{share}-{number}"},
                              "spec": {"share": share, **rule}})
pathlib.Path(sys.argv[2]).write_bytes(orjson.dumps(resources))
print(0)
"""
_LOADS = """
import sys, time, orjson
data = open(sys.argv[1], "rb").read()
started = time.process_time()
value = orjson.loads(data)
print(time.process_time() - started)
"""
_YAML = """
import sys, time, pathlib, yaml
files = [path.read_bytes() for path in sorted(pathlib.Path(sys.argv[1], "manifests").glob("*.yaml"))]
started = time.process_time()
for data in files:
    for document in yaml.load_all(data, Loader=yaml.CSafeLoader):
        pass
print(time.process_time() - started)
"""


def json_seconds(root: Path) -> float:
    """Return the CPU time of `orjson.loads` of the resources in the manifests under `root`."""
    document = root / "resources.json"
    if not document.exists():
        _printed(_WRITE_JSON, root, document)
    return _printed(_LOADS, document)


def yaml_seconds(root: Path) -> float:
    """Return the CPU time of bare PyYAML over the manifests under `root`."""
    return _printed(_YAML, root)


def _printed(code: str, *arguments: Path) -> float:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def commit_seconds(folder: Path) -> float:
    """Return the wall time of one fsynced SQLite commit of one small row."""
    path = folder / "yardstick.db"
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE step (id INTEGER PRIMARY KEY, body TEXT)")
    connection.commit()
    started = perf_counter()
    for number in range(COMMITS):
        connection.execute("INSERT INTO step VALUES (?, ?)", (number, "x" * 400))
        connection.commit()
    seconds = (perf_counter() - started) / COMMITS
    connection.close()
    return seconds
