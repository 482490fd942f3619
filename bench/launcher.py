"""Run one command and write down what it used: a process of its own, so that the memory of whoever measures is not in the figures.

    python -I -S launcher.py RESULT COMMAND [ARGUMENT...]

The kernel's `ru_maxrss` starts at the size of the process that forked, and this one is small. It also knows only the largest
single process, so that children are added up here while they live. RESULT becomes a JSON object: exit code, seconds, CPU
seconds and peak bytes, the last two with those of all children.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

SAMPLE_SECONDS = 0.02
NO_PROGRAM_YET = 0x40
"""The kernel's flag PF_FORKNOEXEC."""


def descendants(pid: int) -> list[int]:
    """Return the process ids of all children of `pid`, and theirs; none once it is gone."""
    found = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text(encoding="ascii").split()):
                found += [child, *descendants(child)]
    return found


def has_own_program(pid: int) -> bool:
    """Tell whether a child has gone on to a program of its own: until then it may run in the memory of its parent (vfork), which would be counted twice."""
    with suppress(OSError):
        _, _, fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")
        return not int(fields.split()[6]) & NO_PROGRAM_YET
    return False


def proportional_bytes(pid: int) -> int:
    """Return the memory of a process with its part of what it shares with others; 0 once it is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def watch(pid: int, ended: threading.Event, peak_bytes: list[int]) -> None:
    """Keep the highest sum of the process and its children; nothing is read while it is alone, when the kernel's figure is exact."""
    while not ended.wait(SAMPLE_SECONDS):
        if children := [child for child in descendants(pid) if has_own_program(child)]:
            peak_bytes[0] = max(peak_bytes[0], sum(map(proportional_bytes, (pid, *children))))


def main() -> None:
    """Run it."""
    result, *command = sys.argv[1:]
    peak_bytes, ended = [0], threading.Event()
    started = time.perf_counter()
    process = subprocess.Popen(command)
    watcher = threading.Thread(target=watch, args=(process.pid, ended, peak_bytes))
    watcher.start()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    ended.set()
    watcher.join()
    cost = {
        "exit_code": process.returncode,
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_bytes": max(usage.ru_maxrss * 1024, peak_bytes[0]),
    }
    Path(result).write_text(json.dumps(cost), encoding="utf-8")


if __name__ == "__main__":
    main()
