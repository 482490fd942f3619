"""The linux driver's figures, on a loop pool with a real NFS-Ganesha; each as a ratio to the same work by hand in the same run.

    python bench/linux.py                  everything; as root
    python bench/linux.py --shares 300     smaller
    python bench/linux.py --only one       one of: one many ssh smb restart servers

A line says what was measured, the yardstick, the ratio, and the limit that it must keep; the exit code is 1 where one is broken.
What has no limit is for information.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from secrets import token_urlsafe
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml
from by_hand import ByHand, Seconds
from command import THIS
from linux_lab import ADDRESS, Lab, require, storage_host
from processors import Processors, children
from report import Report
from rows import difference
from share_servers import measure_linux

from sharectl.drivers.base import DriverEnvironment
from sharectl.drivers.linux import FACTORY
from sharectl.drivers.linux.agent import watching
from sharectl.drivers.linux.agent.contract import Instance
from sharectl.drivers.linux.agent.nfs.ganesha.server import GaneshaServer
from sharectl.drivers.linux.agent.smb.host import ServerOptions
from sharectl.drivers.linux.agent.smb.server import SambaServer
from sharectl.model.access import AccessRule
from sharectl.model.backends import BackendSpec
from sharectl.model.requests import ShareRef, ShareRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.drivers.base import Driver

WARM_UP = 10
ROUNDS = 100
LANES = 8
SHARE_BYTES = 4 << 20  # a thousand of them fit in the pool, as the scheduler reserves them
RULES = (
    AccessRule("ip", "10.1.0.0/16", "rw"),
    AccessRule("ip", "172.16.1.0/24", "ro"),
    AccessRule("ip", "192.168.1.7", "rw"),
)
SMB_RULES = (AccessRule("user", "alice", "rw"), AccessRule("user", "bob", "ro"), AccessRule("ip", "10.1.0.0/16", "rw"))
START_SECONDS_PER_THOUSAND_SQUARED = 30  # NFS-Ganesha looks through all mounts for each export
PATIENCE_SECONDS = 300
MOST_GROWTH = 1.5
SHARE_SERVERS = 20


def driver_seconds(driver: Driver, number: int) -> float:
    """Make one share with three rules through the driver and return how long it took, in seconds."""
    name = f"share-{number:06d}"
    started = perf_counter()
    share = driver.create_share(ShareRequest(f"{number:032x}", name, SHARE_BYTES, "NFS", "fast"))
    reference = ShareRef(share.resource_id or "", share.backend_id, name, "fast", "NFS", SHARE_BYTES)
    statuses = driver.update_access(reference, RULES, RULES, ())
    seconds = perf_counter() - started
    if {status.status for status in statuses.values()} != {"active"}:
        message = f"the rules were not put in force: {statuses}"
        raise SystemExit(message)
    return seconds


class Pairs(NamedTuple):
    """One share through the driver and by hand, in seconds; processor times are those of all processes that take part."""

    mine: float
    bare: Seconds
    mine_processor: float
    bare_processor: float


def measure_pairs(lab: Lab, *, ssh: bool) -> Pairs:
    """Make shares through the driver and by hand in turns; return the medians, and the means of processor times."""
    spec = BackendSpec("nas", "linux", lab.config("driver", ssh=ssh), lanes=LANES)
    hand = ByHand(lab, "hand")
    driver = FACTORY.open(spec, DriverEnvironment(str(lab.folder), lambda _reference: ""))
    with closing(hand), closing(driver):
        driver.prepare()
        for number in range(WARM_UP):
            driver_seconds(driver, number)
            hand.share(number)
        theirs = [*children(), *lab.daemons("driver/root/servers/main")]
        processors = Processors(theirs), Processors(lab.daemons("hand/server"))
        pairs = []
        for number in range(WARM_UP, WARM_UP + ROUNDS):
            with processors[0]:
                mine = driver_seconds(driver, number)
            with processors[1]:
                pairs.append((mine, hand.share(number)))
    for name in ("driver", "hand"):
        lab.clear(name)
    bare = Seconds(median(bare.durable for _, bare in pairs), median(bare.quick for _, bare in pairs))
    return Pairs(median(mine for mine, _ in pairs), bare, *(each.seconds / ROUNDS for each in processors))


def measure_one(report: Report, lab: Lab, _shares: int) -> None:
    """Measure create, limit, export and three rules against the bare calls, one share after the other."""
    found = measure_pairs(lab, ssh=False)
    report.line("create + limit + export + 3 rules", found.mine * 1e3, found.bare.durable * 1e3, 1.5, "ms")
    quick, mine, bare = found.bare.quick, found.mine_processor, found.bare_processor
    report.fact("  the same against calls without fsync", f"{quick * 1e3:.2f} ms: {found.mine / quick:.2f}")
    report.fact("  processor time of all that take part", f"{mine * 1e3:.2f} / {bare * 1e3:.2f} ms = {mine / bare:.2f}")


def measure_ssh(report: Report, lab: Lab, shares: int) -> None:
    """Measure the same over SSH, and an empty plan of many shares."""
    with lab.ssh_server():
        found = measure_pairs(lab, ssh=True)
        report.fact(
            "create + limit + export + 3 rules over SSH",
            f"{found.mine * 1e3:.2f} ms, {found.mine / found.bare.durable:.2f} of the bare calls",
        )
        root = write_repository(lab, "remote", shares, ssh=True)
        applied = THIS.measured(root, "apply", "--yes").seconds
        report.fact(f"apply of {shares} shares over SSH", f"{applied:.2f} s, {applied / shares * 1e3:.1f} ms a share")
        report.fact(
            f"empty plan of {shares} shares over SSH, full refresh",
            f"{THIS.least_seconds(root, 'plan', '--refresh', 'full'):.2f} s",
        )
        lab.clear("remote-host")


def measure_many(report: Report, lab: Lab, shares: int) -> None:
    """Measure applies from nothing against the bare calls for as many shares, empty plans and destroys."""
    hand = ByHand(lab, "hand")
    with closing(hand):
        bare = [hand.share(number).durable for number in range(shares)]
    lab.clear("hand")
    listing = []
    sizes = sorted({max(1, shares // 10), max(1, shares * 3 // 10), shares})
    start = THIS.least_seconds(lab.folder, "schema")
    for size in sizes:
        root = write_repository(lab, f"nfs-{size}", size)
        by_hand = sum(bare[:size])
        applied = THIS.measured(root, "apply", "--yes").seconds
        report.fact(
            f"apply of {size} shares from nothing",
            f"{applied:.2f} s, {applied / size * 1e3:.1f} ms a share; by hand {by_hand:.2f} s: {applied / by_hand:.2f}",
        )
        planned = THIS.least_seconds(root, "plan", "--refresh", "full", "--detailed-exitcode")
        listing.append(difference(planned, start) / size)
        if size == shares:
            report.line(f"empty plan of {size} shares, full refresh, against 3 s", planned, 3, 1)
        else:
            report.fact(f"empty plan of {size} shares, full refresh", f"{planned:.2f} s")
        destroyed = THIS.measured(root, "destroy", "--yes").seconds
        report.fact(f"destroy of {size} shares", f"{destroyed:.2f} s, {destroyed / size * 1e3:.1f} ms a share")
        lab.clear(f"nfs-{size}-host")
    report.line(
        f"empty plan, time per share, {sizes[-1]} against {sizes[0]}", listing[-1] * 1e3, listing[0] * 1e3, 1.5, "ms"
    )


def measure_smb(report: Report, lab: Lab, shares: int) -> None:
    """Measure shares over SMB, with three rules each, against as many over NFS: from nothing, as they are, and after the server ended."""
    os.environ.update({"ALICE_PASSWORD": token_urlsafe(), "BOB_PASSWORD": token_urlsafe()})
    milliseconds = {}
    for size in sorted({max(1, shares // 5), shares}):
        seconds = {smb: _life(lab, size, smb=smb) for smb in (False, True)}
        for what, nfs in seconds[False].items():
            report.line(f"SMB against NFS, {size} shares with 3 rules, {what}", seconds[True][what], nfs, 3)
        milliseconds[size] = seconds[True]["apply"] * 1e3 / size
    few, *_, many = milliseconds
    report.line(
        f"SMB, apply, time per share, {many} against {few}", milliseconds[many], milliseconds[few], MOST_GROWTH, "ms"
    )


def _life(lab: Lab, size: int, *, smb: bool) -> dict[str, float]:
    name = f"{'smb' if smb else 'nfs'}-{size}"
    root = write_repository(lab, name, size, smb=smb)
    found = {"apply": THIS.measured(root, "apply", "--yes").seconds}
    found["plan"] = THIS.measured(root, "plan", "--refresh", "full", "--detailed-exitcode").seconds
    pid_file = lab.folder / f"{name}-host/root/servers/main" / ("smb/run/smbd.pid" if smb else "nfs/pid")
    os.kill(int(pid_file.read_text(encoding="ascii")), signal.SIGKILL)
    found["repair"] = THIS.measured(root, "apply", "--yes").seconds
    lab.clear(f"{name}-host")
    return found


def measure_restart(report: Report, lab: Lab, shares: int) -> None:
    """Measure how long shares are out of reach where a server is killed, and where the whole host is started again."""
    os.environ.update({"ALICE_PASSWORD": token_urlsafe(), "BOB_PASSWORD": token_urlsafe()})
    for smb in (False, True):
        _restart(report, lab, shares, smb=smb)


def _restart(report: Report, lab: Lab, shares: int, *, smb: bool) -> None:
    name = f"restart-{'smb' if smb else 'nfs'}"
    place = watching.Place(str(lab.folder / f"{name}-host" / "root"))
    root = write_repository(lab, name, shares, smb=smb, supervisor="process")
    THIS.measured(root, "apply", "--yes")
    instance = Instance("main", f"{place.root}/servers/main", (ADDRESS,), lab.namespace)
    options = ServerOptions(disk_free="share")
    server = SambaServer(instance, options=options) if smb else GaneshaServer(instance)
    pid = Path(instance.root, "smb/run/smbd.pid" if smb else "nfs/pid").read_text(encoding="ascii")
    os.kill(int(pid), signal.SIGKILL)
    limit = 10 if smb else 10 + START_SECONDS_PER_THOUSAND_SQUARED * (shares / 1_000) ** 2
    what = f"{shares} {'sections' if smb else 'exports'}"
    program = "smbd" if smb else "NFS-Ganesha"
    report.line(f"{program} killed, {what}, until they are back", _until(server.is_running), limit, 1)
    lab.restart(f"{name}-host")
    with subprocess.Popen(watching.command(place), stderr=subprocess.DEVNULL) as watcher:
        try:
            seconds = _until(server.is_running)
        finally:
            watcher.terminate()  # or the end of the block waits for it for ever
    report.line(f"the host started again, {what}, until all are back", seconds, limit, 1)
    lab.clear(f"{name}-host")


def measure_servers(report: Report, lab: Lab, _shares: int) -> None:
    """Measure share servers with two shares each, in one lane and in eight."""
    measure_linux(report, lab, SHARE_SERVERS)


def _until(holds: Callable[[], bool]) -> float:
    started = perf_counter()
    while not holds():
        if perf_counter() - started > PATIENCE_SECONDS:
            message = f"nothing came back within {PATIENCE_SECONDS} s"
            raise SystemExit(message)
        time.sleep(0.05)
    return perf_counter() - started


def write_repository(lab: Lab, name: str, shares: int, *, smb: bool = False, **options: Any) -> Path:  # noqa: ANN401 - as of the lab
    """Write manifests of so many shares on a backend of their own, and return their folder; `options` are those of `Lab.config`."""
    root = lab.folder / name
    root.mkdir()
    config = lab.config(f"{name}-host", smb=smb, **options)
    documents = [
        _document("Backend", "nas", {"driver": "linux", "lanes": LANES, "config": config}),
        *(_document("Share", f"share-{number:06d}", _share(smb=smb)) for number in range(shares)),
    ]
    (root / "manifests.yaml").write_text(yaml.dump_all(documents, Dumper=yaml.CSafeDumper), encoding="utf-8")
    project = {
        "apiVersion": "sharectl/v1",
        "kind": "Project",
        "spec": {"manifests": ["manifests.yaml"], "safety": {"maxDeletionPercentage": 100}},
    }
    (root / "sharectl.yaml").write_text(yaml.safe_dump(project), encoding="utf-8")
    return root


def _document(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "sharectl/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def _share(*, smb: bool) -> dict[str, Any]:
    rules = SMB_RULES if smb else RULES
    return {
        "size": f"{SHARE_BYTES >> 20}MiB",
        "protocol": "CIFS" if smb else "NFS",
        "deletionPolicy": "delete",
        "access": [{"type": rule.access_type, "to": rule.access_to, "level": rule.access_level} for rule in rules],
    }


MEASUREMENTS = {
    "one": measure_one,
    "many": measure_many,
    "ssh": measure_ssh,
    "smb": measure_smb,
    "restart": measure_restart,
    "servers": measure_servers,
}


def main() -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shares", type=int, default=1_000)
    parser.add_argument("--only", choices=sorted(MEASUREMENTS), action="append")
    arguments = parser.parse_args()
    chosen = [name for name in MEASUREMENTS if not arguments.only or name in arguments.only]
    require(ssh="ssh" in chosen, smb=not {"smb", "restart"}.isdisjoint(chosen))
    report = Report()
    with storage_host() as lab:
        for name in chosen:
            MEASUREMENTS[name](report, lab, arguments.shares)
    return report.exit_code()


if __name__ == "__main__":
    sys.exit(main())
