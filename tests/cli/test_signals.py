"""Signals at any instant: 130, one short message, no traceback, and a state that is sound."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest

from tests.cli.console import COMMAND, PATIENCE_SECONDS, environment, run
from tests.cli.test_processes import repository

if TYPE_CHECKING:
    from collections.abc import Sequence

SCRIPT = Path(sys.executable).parent / "sharectl"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AT_A_CALL = """
import os, signal, sys
from sharectl.cli import main

wanted, number, times = int(sys.argv.pop(1)), int(sys.argv.pop(1)), int(sys.argv.pop(1))
calls = 0

def count(frame, event, argument):
    global calls
    if event in ("call", "c_call") and signal.getsignal(signal.SIGHUP) is not signal.SIG_DFL:
        calls += 1
        if wanted <= calls < wanted + times:
            os.kill(os.getpid(), number)

sys.argv[0] = "sharectl"
sys.setprofile(count)
code = main()
sys.setprofile(None)
if not wanted:
    print("calls:", calls, file=sys.stderr)
sys.exit(code)
"""
"""A program that sends itself a signal at a given call of a function, counted from where signals are taken, which is the first thing that it does."""

UNNOTICED = """
import _thread, os, sys, threading
from pathlib import Path
from sharectl.cli import interrupts

reader, writer = os.pipe()
watch = interrupts.prepare(to_the_end=True)
watch.begin()
main = threading.main_thread()
stat = Path(f"/proc/self/task/{main.native_id}/stat")

def interrupt():
    while sys._current_frames()[main.ident].f_code.co_name != "wait_for_input" or ") S " not in stat.read_text():
        pass
    _thread.interrupt_main()

threading.Thread(target=interrupt, daemon=True).start()
try:
    interrupts.wait_for_input(reader)
except interrupts.Interrupted:
    os._exit(130)
"""
"""A program whose handler is due, while the wait it came before was not interrupted: as if a signal came just before a wait blocks."""

AT_AN_IMPORT = """
import os, signal, sys
from sharectl.cli import main

wanted = sys.argv.pop(1)
number = int(sys.argv.pop(1))

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            os.kill(os.getpid(), number)
        return None

sys.argv[0] = "sharectl"
sys.meta_path.insert(0, Finder())
sys.exit(main())
"""
"""A program that sends itself a signal when a given module is looked for."""


def unmeasured() -> dict[str, str]:
    """Return an environment without the measuring of coverage, which takes SIGTERM, traces calls and imports modules by itself."""
    return {name: value for name, value in environment().items() if not name.startswith("COV")}


def start(*arguments: str, cwd: Path, command: Sequence[str] = COMMAND) -> subprocess.Popen[bytes]:
    """Start the program with its output in pipes."""
    return subprocess.Popen(
        [*command, *arguments],
        cwd=cwd,
        env=unmeasured(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def takes_signals(process: subprocess.Popen[bytes]) -> bool:
    """Tell whether the process has a handler for each signal, as it has from the first instruction of the entry point on, or has ended.

    SIGHUP may be switched off; a handler for one of them alone would be too early to send another.
    """
    try:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    except OSError:
        return True
    if "\nState:\tZ" in status:
        return True
    ignored, caught = (int(found, 16) for found in re.findall(r"^Sig(?:Ign|Cgt):\s*([0-9a-f]+)$", status, re.MULTILINE))
    taken = caught | ignored & 1 << (signal.SIGHUP - 1)
    return all(taken >> (number - 1) & 1 for number in SIGNALS)


def at_call(wanted: int, number: int, *arguments: str, cwd: Path, times: int = 1) -> subprocess.CompletedProcess[bytes]:
    """Run a command that gets the signal at that call, and at the following ones; without a cache, so that calls are always as many."""
    shutil.rmtree(cwd / ".sharectl" / "cache", ignore_errors=True)
    return subprocess.run(
        [sys.executable, "-c", AT_A_CALL, str(wanted), str(number), str(times), *arguments],
        cwd=cwd,
        env=unmeasured(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def calls_of(*arguments: str, cwd: Path) -> int:
    """Return how many calls the command makes in all."""
    counted = at_call(0, 0, *arguments, cwd=cwd)
    return int(re.findall(rb"calls: (\d+)", counted.stderr)[-1])


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: signal.Signals(number).name)
def test_a_signal_at_any_call_cancels_a_plan(tmp_path: Path, number: int) -> None:
    """From the first calls, which import, to the last, which closes: 130 and one line."""
    root = repository(tmp_path)
    total = calls_of("plan", cwd=root)
    parts = (1, 2, 4, 6, 8, 9) if number == signal.SIGINT else (3, 7)
    for wanted in (1, 2, 5, 100, *(total * part // 10 for part in parts)):
        ended = at_call(wanted, number, "plan", cwd=root)
        assert (wanted, ended.returncode, ended.stderr) == (wanted, 130, b"Cancelled.\n")


@pytest.mark.parametrize("module", ["orjson", "orjson.orjson", "uuid", "json.decoder", "sharectl.model", "sqlite3"])
def test_a_signal_while_modules_are_imported(tmp_path: Path, module: str) -> None:
    """Extension modules import others, and crash where that raises: 130 and one line all the same."""
    ended = subprocess.run(
        [sys.executable, "-c", AT_AN_IMPORT, module, str(int(signal.SIGTERM)), "plan"],
        cwd=repository(tmp_path),
        env=unmeasured(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (130, b"Cancelled.\n")


def test_many_signals_in_a_row_cancel_as_one_does(tmp_path: Path) -> None:
    """Whoever leans on the keys gets the same answer."""
    root = repository(tmp_path)
    total = calls_of("plan", cwd=root)
    for wanted in (1, 50, total // 4, total * 3 // 4):
        ended = at_call(wanted, signal.SIGINT, "plan", cwd=root, times=300)
        assert (wanted, ended.returncode, ended.stderr) == (wanted, 130, b"Cancelled.\n")


@pytest.mark.parametrize(("part", "times"), [(2, 1), (5, 40), (6, 1), (7, 2), (9, 1)])
def test_a_signal_at_any_call_of_an_apply_leaves_a_sound_state(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, part: int, times: int
) -> None:
    """One or several: 130 or, where all was done before it came, 0; and the next apply converges."""
    total = calls_of("apply", "--yes", cwd=repository(tmp_path_factory.mktemp("first")))
    root = repository(tmp_path)
    ended = at_call(total * part // 10, signal.SIGTERM, "apply", "--yes", cwd=root, times=times)
    assert ended.returncode in {0, 130}, ended
    assert b"Traceback" not in ended.stderr
    assert ended.stderr.count(b"Cancelled.") <= 1
    assert run("apply", "--yes", cwd=root).code == 0
    assert run("plan", "--detailed-exitcode", cwd=root).code == 0


def test_a_signal_at_the_very_end_changes_nothing_or_cancels(tmp_path: Path) -> None:
    """Once the plan has been written, the code says what was done; either way there is no traceback."""
    root = repository(tmp_path)
    total = calls_of("plan", cwd=root)
    for wanted in (total - 300, total - 60, total - 20):
        ended = at_call(wanted, signal.SIGTERM, "plan", cwd=root, times=500)
        assert (ended.returncode, ended.stderr) in {(130, b"Cancelled.\n"), (0, b"")}


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: signal.Signals(number).name)
@pytest.mark.parametrize("command", [COMMAND, [str(SCRIPT)]], ids=["module", "script"])
def test_a_signal_in_the_first_moments(tmp_path: Path, number: int, command: list[str]) -> None:
    """Swept over what is imported and read: 130 and one line, or the plan was there before it came."""
    root = repository(tmp_path)
    cancelled = 0
    for delay_milliseconds in (0, 5, 15, 30, 60, 100, 150, 200, 300):
        process = start("plan", cwd=root, command=command)
        while not takes_signals(process):
            pass
        time.sleep(delay_milliseconds / 1000)
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode in {0, 130}
        assert (process.returncode, err) in {(130, b"Cancelled.\n"), (0, b"")}
        assert process.returncode == 130 or b"Plan: " in out
        cancelled += process.returncode == 130
    assert cancelled


def test_a_flood_of_signals_until_the_process_is_gone(tmp_path: Path) -> None:
    """Also while it closes and the interpreter ends. One that has ended before the first of them has done what it was asked."""
    root = repository(tmp_path, latency="{list_shares: 60s}")
    for command, code in ((("plan",), 130), (("apply", "--yes"), 130), (("--help",), 0)):
        process = start(*command, cwd=root)
        while not takes_signals(process):
            pass
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode in {130, code}
        assert b"Traceback" not in err
        assert b"Exception ignored" not in err


def test_a_reader_that_has_stopped_reading_holds_nothing_up(tmp_path: Path) -> None:
    """The pipes of both streams are full and stay so: one signal ends the command all the same."""
    shares = "".join(
        f"---\napiVersion: sharectl/v1\nkind: Share\nmetadata: {{name: s{number}}}\nspec: {{size: 1GiB, protocol: NFS}}\n"
        for number in range(3000)
    )
    root = repository(tmp_path)
    (root / "many.yaml").write_text(shares, encoding="utf-8")
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [*COMMAND, "plan", "--verbose"],
        cwd=root,
        env=unmeasured(),
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=writing,
    )
    os.close(writing)
    try:
        while "pipe_write" not in _waits_in(process.pid):
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 130
    finally:
        process.kill()
        os.close(reading)


def _waits_in(pid: int) -> str:
    """Return `pipe_write` where the process has been stopped by a full pipe."""
    status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    called = Path(f"/proc/{pid}/syscall").read_text(encoding="utf-8").split()[:2]
    return "pipe_write" if status == "S" and called in (["1", "0x1"], ["1", "0x2"]) else ""


def test_a_signal_where_nobody_reads_any_more(tmp_path: Path) -> None:
    """`| head` has gone: a signal still says 130, and nothing else is said."""
    root = repository(tmp_path)
    total = calls_of("plan", cwd=root)
    for part in (3, 6, 9):
        shutil.rmtree(root / ".sharectl" / "cache", ignore_errors=True)  # as in at_call
        done = subprocess.run(
            [
                *("/bin/bash", "-c", 'exec "$@" > >(exec true)', "bash", sys.executable, "-c", AT_A_CALL),
                *(str(total * part // 10), str(int(signal.SIGTERM)), "1", "plan"),
            ],
            cwd=root,
            env=unmeasured(),
            capture_output=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert (done.returncode, done.stderr) == (130, b"Cancelled.\n")


def test_a_signal_just_before_a_question_waits_is_not_lost() -> None:
    """It is answered although nobody types."""
    done = subprocess.run([sys.executable, "-c", UNNOTICED], timeout=PATIENCE_SECONDS, check=False)
    assert done.returncode == 130


def test_nohup_is_respected(tmp_path: Path) -> None:
    """A SIGHUP that was switched off before the program began changes nothing."""
    root = repository(tmp_path, latency="{create_share: 500ms}")
    process = start("nohup", *COMMAND, "apply", "--yes", cwd=root, command=["/usr/bin/env"])
    while not takes_signals(process):
        pass
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0


def test_a_signal_gives_the_lock_back(tmp_path: Path) -> None:
    """During the plan of an apply, before anything has begun."""
    root = repository(tmp_path, latency="{list_shares: 30s}")
    process = start("apply", "--yes", cwd=root)
    while b"running" not in run("lock", "status", cwd=root).out.encode():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, err) == (130, b"Cancelled.\n")
    assert run("lock", "status", cwd=root).out == "Nobody holds the lock.\n"
    assert orjson.loads(run("state", "list", "-o", "json", cwd=root).out)["operations"] == []
