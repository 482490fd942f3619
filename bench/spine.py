"""The spine's figures: empty plan, first plan, apply, targeted plan; each as a ratio to a yardstick measured in the same run.

    python bench/spine.py                    everything, about 15 minutes on two cores
    python bench/spine.py --shares 10000     smaller
    python bench/spine.py --only apply       one of: empty first apply lanes target

A line says what was measured, the yardstick, the ratio, and the limit that it must keep; the exit code is 1 where one is broken.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from waiting_driver import install
from workload import BACKENDS, write_workload

ROUNDS = 3
LANES = 8
LATENCY_SECONDS = 0.05


@dataclass
class Report:
    """What has been measured so far."""

    broken: list[str] = field(default_factory=list)

    def line(self, name: str, value: float, yardstick: float, limit: float, unit: str = "s") -> None:
        """Print one ratio and remember it where it is over its limit."""
        ratio = value / yardstick
        verdict = "ok" if ratio <= limit else "OVER"
        print(
            f"{name:<58} {value:9.3f} {unit}  / {yardstick:8.3f} {unit} = {ratio:6.2f}  (at most {limit:g}) {verdict}",
            flush=True,
        )
        if ratio > limit:
            self.broken.append(name)

    def fact(self, name: str, text: str) -> None:
        """Print something that has no limit."""
        print(f"{name:<58} {text}", flush=True)


def sharectl(root: Path, *arguments: str) -> tuple[float, int]:
    """Run sharectl in `root`; return its wall time in seconds and its peak memory in bytes."""
    command = [sys.executable, "-m", "sharectl", *arguments]
    started = perf_counter()
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        message = f"{' '.join(command)} in {root} ended with {process.returncode}"
        raise SystemExit(message)
    return seconds, usage.ru_maxrss * 1024


def best(root: Path, *arguments: str, rounds: int = ROUNDS) -> tuple[float, int]:
    """Return the best time of some runs, and the highest peak."""
    results = [sharectl(root, *arguments) for _ in range(rounds)]
    return min(seconds for seconds, _ in results), max(peak for _, peak in results)


def python_seconds(code: str, *arguments: str) -> float:
    """Return what a fresh interpreter prints: the best of some rounds, in seconds."""
    results = []
    for _ in range(ROUNDS):
        answer = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
        results.append(float(answer.stdout))
    return min(results)


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
started = time.perf_counter()
value = orjson.loads(data)
print(time.perf_counter() - started)
"""
_LOADS_WITHOUT_GC = _LOADS.replace("import sys", "import gc; gc.disable(); import sys")
_YAML = """
import sys, time, pathlib, yaml
files = [path.read_bytes() for path in sorted(pathlib.Path(sys.argv[1], "manifests").glob("*.yaml"))]
started = time.perf_counter()
for data in files:
    for document in yaml.load_all(data, Loader=yaml.CSafeLoader):
        pass
print(time.perf_counter() - started)
"""


def applied(folder: Path, shares: int) -> Path:
    """Return a repository of so many shares that has been applied."""
    root = folder / f"applied-{shares}"
    if not root.exists():
        write_workload(root, shares)
        sharectl(root, "apply", "--yes")
        sharectl(root, "plan")  # fills the cache of manifests
    return root


def measure_empty(report: Report, folder: Path, shares: int) -> None:
    """Measure empty plans, with and without refresh, against orjson.loads of the same resources; linear in the shares."""
    sizes = sorted({1_000, 10_000, shares})
    per_share: dict[str, list[float]] = {"none": [], "full": []}
    start = best(applied(folder, sizes[0]), "schema")[0]
    report.fact("process start (sharectl schema)", f"{start:.3f} s")
    for size in sizes:
        root = applied(folder, size)
        document = folder / f"resources-{size}.json"
        python_seconds(_WRITE_JSON, str(root), str(document))
        yardstick = python_seconds(_LOADS, str(document))
        frugal = python_seconds(_LOADS_WITHOUT_GC, str(document))
        for refresh, limit in (("none", 5), ("full", 10)):
            seconds, peak = best(root, "plan", "--refresh", refresh)
            per_share[refresh].append((seconds - start) / size)
            name = f"empty plan, {size} shares, --refresh {refresh}"
            if size == shares:
                report.line(name, seconds, yardstick, limit)
                report.fact("  the same against orjson.loads without GC", f"{seconds / frugal:.2f}")
                report.line(f"  memory, {size} shares, --refresh {refresh}", peak / 2**30, 1.5, 1, "GiB")
            else:
                report.fact(name, f"{seconds:.3f} s, {peak / 2**20:.0f} MiB")
    for refresh, values in per_share.items():
        report.line(
            f"time per share, {sizes[-1]} against {sizes[0]}, --refresh {refresh}",
            values[-1] * 1e6,
            values[0] * 1e6,
            1.5,
            "us",
        )


def measure_first(report: Report, folder: Path, shares: int) -> None:
    """Measure the first plan of a repository that nobody has read before, against bare PyYAML over the same files."""
    root = folder / "first"
    write_workload(root, min(shares, 10_000))
    results = []
    for _ in range(ROUNDS):
        shutil.rmtree(root / ".sharectl", ignore_errors=True)
        results.append(sharectl(root, "plan")[0])
    report.line(f"first plan, {min(shares, 10_000)} shares", min(results), python_seconds(_YAML, str(root)), 2.5)


def commit_seconds(folder: Path) -> float:
    """Return the time of one fsynced SQLite commit of one small row."""
    connection = sqlite3.connect(folder / "yardstick.db")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE step (id INTEGER PRIMARY KEY, body TEXT)")
    connection.commit()
    commits = 2_000
    started = perf_counter()
    for number in range(commits):
        connection.execute("INSERT INTO step VALUES (?, ?)", (number, "x" * 400))
        connection.commit()
    seconds = (perf_counter() - started) / commits
    connection.close()
    return seconds


def run_seconds(root: Path) -> float:
    """Apply `plan.json` and return how long the run took, as its last event says: planning and process start are not in it."""
    command = [sys.executable, "-m", "sharectl", "apply", "plan.json", "--output", "json"]
    answer = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, check=True)
    events = [json.loads(line) for line in answer.stdout.splitlines()]
    finished = next(event for event in events if event.get("event") == "run-finished")
    if finished["failed"] or finished["skipped"]:
        message = f"the run in {root} failed: {finished}"
        raise SystemExit(message)
    return float(finished["seconds"])


def measure_apply(report: Report, folder: Path, shares: int) -> None:
    """Measure the overhead of the engine for each durable step on instant backends, against one fsynced commit."""
    count = min(shares, 10_000)
    root = folder / "instant"
    write_workload(root, count, lanes=LANES)
    sharectl(root, "plan", "--refresh", "none", "--out", "plan.json")
    seconds = run_seconds(root)
    steps = 2 * count + BACKENDS
    report.fact("  the whole run", f"{seconds:.2f} s, {steps} steps")
    report.line(
        "apply of instant steps, each durable, per step", seconds / steps * 1e3, commit_seconds(folder) * 1e3, 3, "ms"
    )


def measure_lanes(report: Report, folder: Path, shares: int) -> None:
    """Measure the wall time with slow backends, against the lower bound: the most work that one lane has, divided by its width."""
    count = min(shares, 10_000)
    simulated, waiting = folder / "slow", folder / "waiting"
    write_workload(simulated, count, latency=f"{LATENCY_SECONDS * 1e3:g}ms", lanes=LANES)
    write_workload(waiting, count, lanes=LANES, waiting=LATENCY_SECONDS)
    os.environ |= install(folder / "driver")
    for root, name in ((waiting, "calls that only wait"), (simulated, "simulated backends")):
        sharectl(root, "plan", "--refresh", "none", "--out", "plan.json")
        steps = json.loads((root / "plan.json").read_bytes())["plan"]["steps"]
        longest = max(Counter(step["backend"] for step in steps).values())
        report.line(
            f"{count} shares, 50 ms a call, 20 lanes of {LANES}, {name}",
            run_seconds(root),
            longest * LATENCY_SECONDS / LANES,
            1.1,
        )


def measure_target(report: Report, folder: Path, shares: int) -> None:
    """Measure a plan of one share among all, against the plan of all."""
    root = applied(folder, shares)
    target = f"share/share-{shares // 2:06d}"
    for refresh in ("none", "full"):
        whole, _ = best(root, "plan", "--refresh", refresh)
        one, _ = best(root, "plan", "--refresh", refresh, "--target", target)
        report.line(f"plan --target of one among {shares}, --refresh {refresh}", one, whole, 0.25)


MEASUREMENTS = {
    "first": measure_first,
    "apply": measure_apply,
    "lanes": measure_lanes,
    "empty": measure_empty,
    "target": measure_target,
}


def main() -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shares", type=int, default=100_000)
    parser.add_argument("--only", choices=sorted(MEASUREMENTS), action="append")
    parser.add_argument("--folder", type=Path, help="keep the repositories here, and use those that are there")
    arguments = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name, measure in MEASUREMENTS.items():
            if not arguments.only or name in arguments.only:
                measure(report, folder, arguments.shares)
    if report.broken:
        print(f"over the limit: {'; '.join(report.broken)}")
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
