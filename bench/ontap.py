"""The ontap driver against the emulator at 30 ms a call: calls for each share, and time against what calls and lanes allow.

    python bench/ontap.py                  1,000 shares with 3 rules each, and a plan over 5,000
    python bench/ontap.py --shares 200     fewer

The emulator runs in this process, the command in another: on two cores each has one. A line says what was measured, the yardstick, the
ratio, and the limit that it must keep; the exit code is 1 where one is broken.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from command import THIS
from report import Report
from share_servers import apply, document, planned_steps, write

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.emulators.ontap.server import serving

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.server import Emulator

LATENCY_SECONDS = 0.03
LANES = 4  # as a Backend has without being told
CALLS_PER_SHARE = 4
BARE_CALLS = 400
BARE = """
import os, ssl, sys, time, urllib3
from concurrent.futures import ThreadPoolExecutor
port, ca_file, user, variable, lanes, calls = sys.argv[1:]
context = ssl.create_default_context(cafile=ca_file)
pool = urllib3.HTTPSConnectionPool("127.0.0.1", int(port), maxsize=int(lanes), block=True, ssl_context=context)
headers = urllib3.make_headers(basic_auth=f"{user}:{os.environ[variable]}")
def ask(_):
    assert pool.urlopen("GET", "/api/cluster?fields=version", headers=headers).status == 200
with ThreadPoolExecutor(int(lanes)) as threads:
    list(threads.map(ask, range(int(lanes))))
    started = time.perf_counter()
    list(threads.map(ask, range(int(calls))))
    print((time.perf_counter() - started) * int(lanes) / int(calls))
"""
"""The shortest call, made by nothing but urllib3 in as many threads: what TLS, HTTP and the emulator take besides the latency."""
PASSWORD = "ONTAP_BENCH_PASSWORD"  # noqa: S105 - the name of a variable


def documents(emulator: Emulator, count: int) -> Iterable[dict[str, Any]]:
    """Yield the backend, and shares with three rules each."""
    config = {
        "address": "127.0.0.1",
        "port": emulator.port,
        "caFile": str(emulator.ca_file),
        "user": emulator.login.name,
        "password": {"env": PASSWORD},
        "svm": "vs1",
    }
    yield document("Backend", "filer", driver="ontap", config=config, lanes=LANES)
    yield document(
        "ShareType", "thin", extraSpecs={"driver_handles_share_servers": "false", "thin_provisioning": "<is> True"}
    )
    for number in range(count):
        access = [
            {"type": "ip", "to": f"10.{number // 250}.{number % 250}.0/24", "level": "rw"},
            {"type": "ip", "to": f"10.{number // 250}.{number % 250}.7", "level": "ro"},
            {"type": "ip", "to": f"2001:db8:{number:x}::/48", "level": "rw"},
        ]
        yield document("Share", f"share-{number:05d}", type="thin", protocol="NFS", size="1GiB", access=access)


def slow(emulator: Emulator) -> None:
    """Have each call take its time, and count from now on."""
    emulator.fault("latency", seconds=LATENCY_SECONDS)
    emulator.calls.clear()


def bare_call_seconds(emulator: Emulator) -> float:
    """Return what a call takes that nobody does anything around."""
    words = (str(emulator.port), str(emulator.ca_file), emulator.login.name, PASSWORD, str(LANES), str(BARE_CALLS))
    answer = subprocess.run([sys.executable, "-c", BARE, *words], capture_output=True, text=True, check=True)
    return float(answer.stdout)


def measure_apply(report: Report, folder: Path, count: int) -> None:
    """Make all shares from nothing."""
    (folder / "apply").mkdir()
    with serving(folder / "apply") as emulator:
        os.environ[PASSWORD] = emulator.login.password
        root = write(folder / "shares", documents(emulator, count))
        planned_steps(root)
        slow(emulator)
        run = apply(root)
        calls, counted = len(emulator.calls), emulator.calls.counted()
        bare_seconds = bare_call_seconds(emulator)
    for name, number in counted.most_common(6):
        report.fact(f"  {name}", str(number))
    of_shares = sum(number // count * count for number in counted.values())
    report.line(f"calls for each of {count} shares with 3 rules", of_shares / count, 1, CALLS_PER_SHARE, "")
    report.fact("calls of the run as a whole", str(calls - of_shares))
    bound = calls * LATENCY_SECONDS / LANES
    report.line(f"apply, against {calls} calls of 30 ms in {LANES} lanes", run.seconds, bound, 1.2)
    bare = f"  the same against bare calls, of {bare_seconds * 1e3:.1f} ms with TLS and HTTP"
    report.line(bare, run.seconds, calls * bare_seconds / LANES, 1.2)


def measure_plan(report: Report, folder: Path, count: int) -> None:
    """Plan over shares that are as they should be."""
    (folder / "plan").mkdir()
    with serving(folder / "plan") as emulator:
        os.environ[PASSWORD] = emulator.login.password
        root = write(folder / "many", documents(emulator, count))
        planned_steps(root)
        apply(root)
        slow(emulator)
        seconds, _ = timed_plan(root)
        report.line(f"calls of an empty plan over {count} shares", len(emulator.calls), 70, 1, "")
        report.fact(f"empty plan over {count} shares", f"{seconds:.2f} s")


def timed_plan(root: Path) -> tuple[float, dict[str, Any]]:
    """Plan with a full refresh; return the wall seconds and the plan, which must be empty."""
    from time import perf_counter  # noqa: PLC0415 - beside what it measures

    started = perf_counter()
    THIS.measured(root, "plan", "--out", "empty.json")
    seconds = perf_counter() - started
    plan: dict[str, Any] = json.loads((root / "empty.json").read_bytes())["plan"]
    if plan["steps"]:
        message = f"the plan of {root} is not empty: {plan['steps'][:3]}"
        raise SystemExit(message)
    return seconds, plan


def main() -> int:
    """Run all, or what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shares", type=int, default=1000, help="shares to make")
    parser.add_argument("--planned", type=int, default=5000, help="shares of the empty plan")
    parser.add_argument("--only", choices=["apply", "plan"])
    asked = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="sharectl-ontap-") as folder:
        if asked.only != "plan":
            measure_apply(report, Path(folder), asked.shares)
        if asked.only != "apply":
            measure_plan(report, Path(folder), asked.planned)
    return report.exit_code()


if __name__ == "__main__":
    sys.exit(main())
