"""An apply whose calls are made in further processes: what it does, and that none of them outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.console import COMMAND, PATIENCE_SECONDS, Console, environment, run
from tests.cli.test_processes import eventually, repository

if TYPE_CHECKING:
    from collections.abc import Iterator


def write(root: Path, latency: str = "0ms", processes: int = 1) -> None:
    """Write a project with two shares and a snapshot."""
    repository(root, latency=f"{{create_share: {latency}}}")
    project = f"apiVersion: sharectl/v1\nkind: Project\nspec: {{execution: {{processes: {processes}}}}}\n"
    (root / "sharectl.yaml").write_text(project, encoding="utf-8")


def stat(process_id: int) -> list[str]:
    """Return what proc(5) says of a process after its name: its state, its parent and so on; nothing of one that is gone."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8").rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def makers_of(process_id: int) -> list[int]:
    """Return the processes that make calls for a process, and have not ended."""
    found = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal()]
    of_it = [each for each in found if (seen := stat(each)) and seen[1] == str(process_id) and seen[0] != "Z"]
    return [each for each in of_it if b"sharectl.workspace.processes" in Path(f"/proc/{each}/cmdline").read_bytes()]


@pytest.fixture
def at_work(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Yield an apply whose calls last for ever, and the process that makes two of them."""
    write(tmp_path, latency="3600s")
    process = subprocess.Popen(
        [*COMMAND, "apply", "--yes"], cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    found: list[int] = []

    def has_begun() -> bool:
        assert process.poll() is None
        found[:] = [each for each in makers_of(process.pid) if len(list(Path(f"/proc/{each}/task").iterdir())) > 3]
        return bool(found)

    eventually(has_begun)
    yield process, found[0]
    process.kill()
    process.communicate(timeout=PATIENCE_SECONDS)


def test_it_does_what_an_apply_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And no process is left."""
    write(tmp_path)
    console = Console(tmp_path, capsys)
    applied = console("apply", "--yes")
    assert applied.code == 0, applied.err
    assert "4 created" in applied.out
    assert console("plan", "--detailed-exitcode").code == 0
    assert makers_of(os.getpid()) == []


def test_whoever_kills_the_run_kills_its_processes(at_work: tuple[subprocess.Popen[bytes], int]) -> None:
    """Even one that stands still just then: when it goes on, the lock may be somebody else's. What asks it to end alone does not: that is for the run."""
    process, child = at_work
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGSTOP):
        os.kill(child, number)
    eventually(lambda: stat(child)[:1] == ["T"])
    process.kill()
    process.wait(PATIENCE_SECONDS)
    eventually(lambda: stat(child)[:1] in ([], ["Z"]))


def test_ctrl_c_twice_ends_them_all(at_work: tuple[subprocess.Popen[bytes], int], tmp_path: Path) -> None:
    """What became of their calls is for the next apply to find out."""
    process, child = at_work
    assert process.stdout is not None
    process.send_signal(signal.SIGINT)
    while b"running steps finish" not in (line := process.stdout.readline()):
        assert line, "it was not cancelled"
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    assert b"outcome of 2 steps is unknown" in out
    assert stat(child)[:1] in ([], ["Z"])
    write(tmp_path)
    again = run("apply", "--yes", cwd=tmp_path)
    assert again.code == 0, again.err


@pytest.mark.parametrize("processes", ["-1", "65", "two"])
def test_a_number_that_makes_no_sense_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], processes: str
) -> None:
    """At its place."""
    write(tmp_path, processes=processes)  # type: ignore[arg-type] # as somebody may write it
    refused = Console(tmp_path, capsys)("validate")
    assert refused.code == 1
    assert "execution.processes" in refused.err
    assert "sharectl.yaml:3:" in refused.err
