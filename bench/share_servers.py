"""Share servers: applies from nothing on simulated backends and on a Linux host, against the lower bound of lane width and step costs.

    python bench/share_servers.py                    both, about three minutes on two cores; the Linux part as root
    python bench/share_servers.py --only simulated   one of: simulated linux
    python bench/share_servers.py --servers 5        fewer real servers

A line says what was measured, the yardstick, the ratio, and the limit that it must keep; the exit code is 1 where one is broken.
What has no limit is for information.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import yaml
from command import THIS
from linux_lab import ADDRESS, Lab, require, storage_host
from report import Report
from workload import LANES, LATENCY_SECONDS
from yardsticks import commit_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable

BACKENDS = 5
NETWORKS_PER_BACKEND = 20
SHARES_PER_SERVER = 10
REAL_SHARES_PER_SERVER = 2
CREATE_SERVER = "create-share-server"


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply took, in seconds: the run by its own account, and each step by its verb.

    `command_seconds` is from the start of the process to its end, `processor_seconds` the work of all processors of the machine
    meanwhile, divided by their number: no command can be shorter.
    """

    seconds: float
    steps: tuple[tuple[str, float], ...]
    command_seconds: float
    processor_seconds: float

    def of(self, verb: str) -> list[float]:
        """Return what the steps of a verb took."""
        return [seconds for name, seconds in self.steps if name == verb]


def planned_steps(root: Path) -> Counter[str]:
    """Plan into `plan.json`, and return how many steps each backend has."""
    THIS.measured(root, "plan", "--out", "plan.json")
    steps = json.loads((root / "plan.json").read_bytes())["plan"]["steps"]
    return Counter(str(step["backend"]) for step in steps)


def apply(root: Path) -> Applied:
    """Apply `plan.json`; planning and the start of the process are not in the figures."""
    command = [sys.executable, "-m", "sharectl", "apply", "plan.json", "--output", "json"]
    before, started = busy_seconds(), perf_counter()
    answer = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, check=True)
    whole, busy = perf_counter() - started, (busy_seconds() - before) / (os.cpu_count() or 1)
    events = [json.loads(line) for line in answer.stdout.splitlines()]
    finished = next(event for event in events if event.get("event") == "run-finished")
    if finished["failed"] or finished["skipped"]:
        message = f"the run in {root} failed: {finished}"
        raise SystemExit(message)
    steps = tuple((event["verb"], event["seconds"]) for event in events if event.get("event") == "step-finished")
    return Applied(float(finished["seconds"]), steps, whole, busy)


def busy_seconds() -> float:
    """Return how long all processors together have worked since the machine started; proc(5), the first line of /proc/stat."""
    user, nice, system, _, _, interrupts, soft_interrupts = map(
        int, Path("/proc/stat").read_text(encoding="ascii").split(maxsplit=8)[1:8]
    )
    return (user + nice + system + interrupts + soft_interrupts) / os.sysconf("SC_CLK_TCK")


def write(root: Path, documents: Iterable[dict[str, Any]]) -> Path:
    """Write a repository of these documents, and return its folder."""
    root.mkdir()
    text = yaml.dump_all(documents, Dumper=yaml.CSafeDumper)
    (root / "manifests.yaml").write_text(text, encoding="utf-8")
    spec = {"manifests": ["manifests.yaml"], "safety": {"maxDeletionPercentage": 100}}
    project = {"apiVersion": "sharectl/v1", "kind": "Project", "spec": spec}
    (root / "sharectl.yaml").write_text(yaml.safe_dump(project), encoding="utf-8")
    return root


def document(kind: str, name: str, **spec: object) -> dict[str, Any]:
    """Return a manifest."""
    return {"apiVersion": "sharectl/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def network(number: int, network_type: str) -> dict[str, Any]:
    """Return a share network of its own segment; all have the same addresses."""
    subnet = {
        "cidr": "10.20.0.0/24",
        "gateway": "10.20.0.1",
        "networkType": network_type,
        "segmentationId": 1000 + number,
        "mtu": 1450,
    }
    return document("ShareNetwork", f"net-{number:03d}", subnets=[subnet])


def shares(number: int, count: int, **spec: object) -> Iterable[dict[str, Any]]:
    """Return the shares of a share network."""
    access = [{"type": "ip", "to": "10.20.0.0/24", "level": "rw"}]
    for share in range(count):
        more = {"size": "1GiB", "protocol": "NFS", "deletionPolicy": "delete", "access": access, **spec}
        yield document("Share", f"share-{number:03d}-{share:02d}", shareNetwork=f"net-{number:03d}", **more)


def measure_simulated(report: Report, folder: Path) -> None:
    """Measure 100 share servers with 10 shares each: on instant backends per step, on slow ones against the bound of lane width."""
    instant = write(folder / "instant", simulated_documents("0ms"))
    steps = sum(planned_steps(instant).values())
    run = apply(instant)
    servers = len(run.of(CREATE_SERVER))
    name = f"{servers} share servers, {servers * SHARES_PER_SERVER} shares"
    report.fact(f"{name}, instant backends", f"{run.seconds:.2f} s, {steps} steps")
    per_step = run.seconds / steps
    report.line("  per step, against one fsynced commit", per_step * 1e3, commit_seconds(folder) * 1e3, 4, "ms")
    slow = write(folder / "slow", simulated_documents(f"{LATENCY_SECONDS * 1e3:g}ms"))
    longest = max(planned_steps(slow).values())
    bound = longest * LATENCY_SECONDS / LANES
    seconds = apply(slow).seconds
    report.line(f"{name}, 50 ms a call, {BACKENDS} lanes of {LANES}", seconds, bound, 1.25)
    report.line("  the same against that bound and the cost of the steps", seconds, bound + per_step * steps, 1.1)
    for words in (("plan", "--refresh", "full", "--detailed-exitcode"), ("destroy", "--yes")):
        report.fact(f"{name}, instant backends: {words[0]}", f"{THIS.measured(instant, *words).seconds:.2f} s")


def simulated_documents(latency: str) -> Iterable[dict[str, Any]]:
    """Yield backends, each in a zone of its own with as many networks, so that each network has one server."""
    for backend in range(BACKENDS):
        config = {"stateFile": f"filer-{backend}.db", "latency": {"default": latency}, "pools": [{"total": "1PiB"}]}
        yield document(
            "Backend",
            f"filer-{backend}",
            driver="simulated",
            lanes=LANES,
            availabilityZone=f"zone-{backend}",
            shareServers=True,
            network={"plugin": "standalone"},
            config=config,
        )
        for place in range(NETWORKS_PER_BACKEND):
            number = backend * NETWORKS_PER_BACKEND + place
            yield network(number, "vlan")
            yield from shares(number, SHARES_PER_SERVER, availabilityZone=f"zone-{backend}")


def measure_linux(report: Report, lab: Lab, servers: int) -> None:
    """Measure real share servers with two shares each in lanes, against the same one step after the other."""
    name = f"{servers} real share servers, {servers * REAL_SHARES_PER_SERVER} shares, {LANES} lanes"
    alone = _linux_run(report, lab, servers, lanes=1)
    side_by_side = _linux_run(report, lab, servers, lanes=LANES)
    one, many = median(alone.of(CREATE_SERVER)), median(side_by_side.of(CREATE_SERVER))
    report.fact(f"  a share server alone, and in {LANES} lanes", f"{one * 1e3:.0f} ms, {many * 1e3:.0f} ms")
    ratio = side_by_side.seconds / (alone.seconds / LANES)
    report.fact(f"{name}, against one lane / {LANES}", f"{ratio:.2f}; the processors are what it waits for:")
    busy = side_by_side.processor_seconds
    report.line("  the whole command, against the processors' work", side_by_side.command_seconds, busy, 1.75)


def _linux_run(report: Report, lab: Lab, servers: int, *, lanes: int) -> Applied:
    """Apply, plan and destroy with so many lanes; return what the apply took."""
    host = f"host-{lanes}"
    config = {key: value for key, value in lab.config(host).items() if key != "addresses"}
    config["tenantNetworks"] = {"vxlan": {"local": ADDRESS}}
    backend = document(
        "Backend",
        "nas",
        driver="linux",
        lanes=lanes,
        shareServers=True,
        network={"plugin": "standalone"},
        config=config,
    )
    tenants = [
        found
        for number in range(servers)
        for found in (network(number, "vxlan"), *shares(number, REAL_SHARES_PER_SERVER, size="100MiB"))
    ]
    root = write(lab.folder / f"lanes-{lanes}", [backend, *tenants])
    planned_steps(root)
    started = perf_counter()
    try:
        applied = apply(root)
        name = f"{servers} real share servers, {lanes} lane{'s' if lanes > 1 else ''}"
        report.fact(f"{name}, apply", f"{applied.seconds:.2f} s")
        planned = THIS.measured(root, "plan", "--refresh", "full", "--detailed-exitcode").seconds
        report.fact(f"{name}, empty plan, full refresh", f"{planned:.2f} s")
    finally:
        destroyed = THIS.measured(root, "destroy", "--yes").seconds
    report.fact(f"{name}, destroy", f"{destroyed:.2f} s; all of it {perf_counter() - started:.1f} s")
    lab.clear(host)
    return applied


def main() -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", type=int, default=20, help="real share servers")
    parser.add_argument("--only", choices=("simulated", "linux"))
    arguments = parser.parse_args()
    report = Report()
    report.fact("load of the machine before the run", f"{os.getloadavg()[0]:.1f}")
    if arguments.only != "linux":
        with tempfile.TemporaryDirectory() as temporary:
            measure_simulated(report, Path(temporary))
    if arguments.only != "simulated":
        require(ssh=False, smb=False)
        with storage_host() as lab:
            measure_linux(report, lab, arguments.servers)
    return report.exit_code()


if __name__ == "__main__":
    sys.exit(main())
