"""Measure calls that workers make against those of lanes and the lower bound: wall time, and CPU time of a step by process.

It starts a PostgreSQL (durable, as it is by default), a RabbitMQ and a worker for each of 20 backends on this machine, and ends them.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from command import HERE, THIS
from processors import cpu_seconds, tree
from repositories import fresh
from rows import Site
from spine_rows import waiting_environment
from workload import BACKENDS, LANES, Workload

sys.path.insert(0, str(HERE))  # the servers are those of the tests
from tests import servers
from tests.postgresql import Server
from tests.rabbitmq import Broker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

MODES = ("lanes", "lanes-postgresql", "queue", "celery")
COORDINATOR_LIMIT_MS = 1.2
WORKER_LIMIT_MS = 2.5
_SERVING = "serving backend"
_START_SECONDS = 300
_COUNTED_SECONDS = 2.0
"""After so long a server has counted what its sessions have committed."""

_PROJECT = """\
apiVersion: sharectl/v1
kind: Project
spec:
  manifests: [manifests]
  state: {{url: "{url}"}}
  execution:
    executor: {executor}
{broker}    backends: {{{backends}}}
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """One apply: wall time of the run, the bound of its lanes, the steps, and CPU seconds by process; those of `start` came before the first step."""

    wall_seconds: float
    bound_seconds: float
    steps: int
    start: Mapping[str, float]
    cpu: Mapping[str, float]
    commits: int

    def per_step_ms(self, process: str) -> float:
        """Return the CPU time of a step in the process, start-up left out."""
        return 1e3 * self.cpu[process] / self.steps


class Bench:
    """The servers of a measurement, and what it runs in."""

    def __init__(self, folder: Path, exits: ExitStack, modes: Sequence[str]) -> None:
        """Start what these modes need."""
        self.folder = folder
        self.environment = {**os.environ, **waiting_environment(Site(THIS, folder, 0))}
        self.server: Server | None = None
        self.broker: Broker | None = None
        if set(modes) - {"lanes"}:
            self.server = Server.create()
            exits.callback(self.server.remove)
            self.server.start()
        if "celery" in modes:
            self.broker = Broker.create()
            exits.callback(self.broker.remove)
            self.broker.start()

    def measure(self, mode: str, shares: int, seconds: float) -> Measured:
        """Apply so many new shares with calls of so many seconds."""
        root = fresh(self.folder / "repository", Workload(shares, waiting=seconds))
        if mode != "lanes":
            self._write_project(root, mode)
        with workers(root, self.environment) if mode in {"queue", "celery"} else no_workers() as serving:
            self._run(root, "plan", "--out", "plan.json")
            steps = json.loads((root / "plan.json").read_bytes())["plan"]["steps"]
            longest = max(Counter(step["backend"] for step in steps).values())
            before = self._commits()
            found = self._apply(root, serving)
            commits = self._commits() - before
        return Measured(found[0], longest * seconds / LANES, len(steps), *found[1:], commits)

    def _commits(self) -> int:
        if self.server is None:
            return 0
        time.sleep(_COUNTED_SECONDS)
        return int(self.server.sql("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"))

    def _write_project(self, root: Path, mode: str) -> None:
        if self.server is None:
            raise AssertionError
        executor = "local" if mode == "lanes-postgresql" else mode
        remote = ", ".join(f"filer-{number:02d}: remote" for number in range(BACKENDS))
        broker = ""
        if self.broker is not None and mode == "celery":
            url = f"amqp://guest@127.0.0.1:{self.broker.port}//"
            broker = f"    broker: {{url: '{url}', passwordFrom: {{env: BENCH_BROKER}}}}\n"
            self.environment["BENCH_BROKER"] = "guest"
        url = self.server.url()
        text = _PROJECT.format(
            url=url, executor=executor, broker=broker, backends="" if executor == "local" else remote
        )
        (root / "sharectl.yaml").write_text(text, encoding="utf-8")

    def _run(self, root: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "sharectl", *arguments]
        subprocess.run(
            command, cwd=root, env=self.environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def _apply(self, root: Path, serving: Sequence[int]) -> tuple[float, Mapping[str, float], Mapping[str, float]]:
        """Apply the saved plan; return the seconds of the run, and the CPU seconds by process before and within it."""
        command = [sys.executable, "-m", "sharectl", "apply", "plan.json", "--output", "json"]
        with subprocess.Popen(
            command, cwd=root, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            groups: dict[str, Callable[[], float]] = {
                "coordinator": lambda: cpu_seconds([process.pid]),
                "workers": lambda: cpu_seconds(serving),
                "database": lambda: 0.0 if self.server is None else tree(postmaster(self.server)),
                "broker": lambda: 0.0 if self.broker is None else cpu_seconds(self.broker.process_ids()),
            }
            before = {name: used() for name, used in groups.items()}
            at_start = before
            for line in process.stdout or ():
                event = json.loads(line)
                if event.get("event") == "run-started":
                    at_start = {name: used() for name, used in groups.items()}
                elif event.get("event") == "run-finished":
                    at_end = {name: used() for name, used in groups.items()}
                    finished = event
        if finished["failed"] or finished["skipped"]:
            message = f"the run failed: {finished}"
            raise SystemExit(message)
        start = {name: at_start[name] - before[name] for name in groups} | {"coordinator": at_start["coordinator"]}
        return float(finished["seconds"]), start, {name: at_end[name] - at_start[name] for name in groups}


def postmaster(server: Server) -> int:
    """Return the process that all others of a PostgreSQL server come from."""
    return int((server.data / "postmaster.pid").read_text(encoding="ascii").split()[0])


@contextmanager
def no_workers() -> Iterator[list[int]]:
    """Yield no processes."""
    yield []


@contextmanager
def workers(root: Path, environment: Mapping[str, str]) -> Iterator[list[int]]:
    """Yield the process ids of a worker for each backend, which all serve by then."""
    processes = {}
    try:
        for number in range(BACKENDS):
            name = f"filer-{number:02d}"
            command = [sys.executable, "-m", "sharectl", "worker", "--backend", name]
            with (root / f"{name}.log").open("wb") as log:
                processes[name] = subprocess.Popen(command, cwd=root, env=dict(environment), stdout=log, stderr=log)
            if number == 0:
                _prepare(root, environment)
        for name, process in processes.items():
            _await(root / f"{name}.log", process)
        yield [process.pid for process in processes.values()]
    finally:
        for process in processes.values():
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        for process in processes.values():
            process.wait()


def _prepare(root: Path, environment: Mapping[str, str]) -> None:
    """Make the tables; the first backend is planned, whose worker comes meanwhile."""
    command = [sys.executable, "-m", "sharectl", "plan", "--refresh", "none", "--target", "backend/filer-00"]
    subprocess.run(
        command, cwd=root, env=dict(environment), check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _await(log: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while _SERVING not in log.read_text(encoding="utf-8"):
        if process.poll() is not None or time.monotonic() > deadline:
            message = f"a worker does not serve: {log.read_text(encoding='utf-8')}"
            raise SystemExit(message)
        time.sleep(0.05)


def told(mode: str, seconds: float, found: Measured, lanes: Measured | None) -> list[str]:
    """Print what was measured; return what is over its limit."""
    ratio = found.wall_seconds / found.bound_seconds
    beside = "" if lanes is None else f", {found.wall_seconds / lanes.wall_seconds:.2f} of lanes"
    print(
        f"{mode}, {found.steps} steps of {seconds:g} s: wall {found.wall_seconds:.1f} s, "
        f"bound {found.bound_seconds:.1f} s ({ratio:.2f}){beside}; load {os.getloadavg()[0]:.1f}"
    )
    for process, cpu in found.cpu.items():
        if cpu:
            print(
                f"    {process:<12} {found.per_step_ms(process):6.2f} ms a step; before the first {found.start[process]:.2f} s"
            )
    if found.commits:
        print(f"    {'commits':<12} {found.commits / found.steps:6.2f} a step, those that only read among them")
    print(f"    {'together':<12} {sum(map(found.per_step_ms, found.cpu)):6.2f} ms a step", flush=True)
    if mode != "celery":
        return []
    limits = {"coordinator": COORDINATOR_LIMIT_MS, "workers": WORKER_LIMIT_MS}
    broken = [
        f"{process}, {seconds:g} s a call" for process, limit in limits.items() if found.per_step_ms(process) > limit
    ]
    for name in broken:
        print(f"    OVER: {name}")
    return broken


def main() -> int:
    """Measure, print, and return 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--seconds", type=float, nargs="+", default=[0.05, 1.0], help="how long a call takes")
    parser.add_argument("--only", nargs="+", choices=MODES, default=MODES)
    chosen = parser.parse_args()
    shares = (chosen.steps - BACKENDS) // 2
    broken = []
    keeper = servers.begin()
    try:
        with tempfile.TemporaryDirectory(prefix="sharectl-bench-") as folder, ExitStack() as exits:
            bench = Bench(Path(folder), exits, chosen.only)
            for seconds in chosen.seconds:
                lanes = None
                for mode in chosen.only:
                    found = bench.measure(mode, shares, seconds)
                    broken += told(mode, seconds, found, lanes)
                    lanes = found if mode == "lanes" else lanes
    finally:
        servers.end(keeper)
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
