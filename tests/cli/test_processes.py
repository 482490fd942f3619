"""The command as a process: exit codes, terminals, signals, pipes, the lock, and how fast it starts."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import orjson
import pytest

from tests.cli.conftest import SIMULATED
from tests.cli.console import COMMAND, GATED, PATIENCE_SECONDS, Terminal, environment, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.console import Console

HEAVY = {
    "rich",
    "ruamel",
    "yaml",
    "sqlite3",
    "networkx",
    "jsonschema",
    "jsonschema_rs",
    "orjson",
    "sharectl.workspace.survey",
}


def repository(root: Path, **config: str) -> Path:
    """Write a repository whose simulated backend has more settings (as YAML)."""
    more = "".join(f"    {name}: {value}\n" for name, value in config.items())
    (root / "sharectl.yaml").write_text("apiVersion: sharectl/v1\nkind: Project\n", encoding="utf-8")
    (root / "all.yaml").write_text(SIMULATED.replace("---\n", f"{more}---\n", 1), encoding="utf-8")
    return root


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.02)


def calls(root: Path, call: str, *, are_done: bool = False) -> int:
    """Return how many calls of a kind the simulated backend has seen begin, or end well."""
    if not (root / "sim.db").exists():
        return 0
    with closing(sqlite3.connect(root / "sim.db")) as connection:
        try:
            ended = " AND outcome = 'done'" if are_done else ""
            found = connection.execute(f"SELECT count(*) FROM calls WHERE call = ?{ended}", (call,))  # noqa: S608 - ours
            return int(found.fetchone()[0])
        except sqlite3.OperationalError:  # not prepared yet
            return 0


def test_the_exit_codes_of_the_main_way(tmp_path: Path) -> None:
    """0 done, 2 changes found, 1 failed, 64 wrong usage, as the shell sees them."""
    assert run("init", "repo", cwd=tmp_path).code == 0
    root = tmp_path / "repo"
    assert run("plan", cwd=root).code == 0
    assert run("plan", "--detailed-exitcode", cwd=root).code == 2
    assert run("apply", cwd=root).code == 64
    assert run("apply", "--yes", cwd=root).code == 0
    assert run("plan", "--detailed-exitcode", cwd=root).code == 0
    (root / "storage" / "projects").rename(root / "aside")
    assert run("refresh", "--detailed-exitcode", cwd=root).code == 2
    (root / "aside").rename(root / "storage" / "projects")
    assert run("refresh", "--detailed-exitcode", cwd=root).code == 0
    (root / "shares" / "projects.yaml").write_text("kind: [", encoding="utf-8")
    assert run("validate", cwd=root).code == 1
    assert run("nonsense", cwd=root).code == 64


def test_a_step_that_fails_exits_1_and_says_what_to_do(tmp_path: Path) -> None:
    """The rest is done; the failure is named, and so is what was left out because of it."""
    faults = '[{call: create_share, effect: error, name: two, message: "the array says no"}]'
    root = repository(tmp_path, faults=faults)
    ended = run("apply", "--yes", cwd=root)
    assert ended.code == 1
    assert "the array says no" in ended.out
    assert "because share/two failed" in ended.out
    listed = orjson.loads(run("state", "list", "-o", "json", cwd=root).out)
    assert [resource["address"] for resource in listed["resources"]] == ["backend/sim", "share/one"]


def test_help_starts_at_once_and_imports_nothing_heavy(tmp_path: Path) -> None:
    """`--help` is the first thing that anybody waits for. How many modules other commands load is in `test_start`."""
    code = (
        "import sys\nfrom sharectl.cli import main\ncode = main(['--help'])\n"
        f"print('heavy:', sorted({HEAVY!r} & set(sys.modules)), code)"
    )
    # What measures coverage has its own needs.
    env = {name: value for name, value in environment().items() if not name.startswith("COVERAGE")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert "heavy: [] 0" in done.stdout
    assert "Exit codes: 0 done" in done.stdout


def test_standard_input_is_a_source(tmp_path: Path) -> None:
    """`-f -` reads manifests from a pipe, and then nobody can be asked."""
    stdin = SIMULATED.encode()
    assert "Plan: 4 to create" in run("plan", "-f", "-", cwd=tmp_path, stdin=stdin).out
    refused = run("apply", "-f", "-", cwd=tmp_path, stdin=stdin)
    assert refused.code == 64
    assert "pass --yes" in refused.err
    assert run("apply", "-f", "-", "--yes", cwd=tmp_path, stdin=stdin).code == 0
    assert run("plan", "-f", "-", "--detailed-exitcode", cwd=tmp_path, stdin=stdin).code == 0


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_a_stream_that_is_closed_is_no_traceback(tmp_path: Path, closed: str) -> None:
    """Daemons close standard streams; the command works, or fails, without falling over."""
    root = repository(tmp_path)
    for command, code in (("apply", 64), ("validate", 0), ("--version", 0)):
        line = f"{' '.join(COMMAND)} {command} {closed}"
        done = subprocess.run(["/bin/sh", "-c", line], cwd=root, env=environment(), capture_output=True, check=False)
        assert done.returncode == code, done.stderr
        assert b"Traceback" not in done.stderr


def test_a_pipe_that_is_closed_early_ends_quietly(tmp_path: Path) -> None:
    """`sharectl … | head -1` is no failure, however much there was to say."""
    shares = "".join(
        f"---\napiVersion: sharectl/v1\nkind: Share\nmetadata: {{name: s{number}}}\nspec: {{size: 1GiB, protocol: NFS}}\n"
        for number in range(3000)
    )
    (tmp_path / "many.yaml").write_text(SIMULATED + shares, encoding="utf-8")
    for command in ("plan", "plan -o json", "graph", "graph --steps"):
        line = f"set -o pipefail; {' '.join(COMMAND)} {command} | head -1"
        done = subprocess.run(
            ["/bin/bash", "-c", line], cwd=tmp_path, env=environment(), capture_output=True, check=False
        )
        assert done.returncode == 0, command
        assert done.stdout.count(b"\n") == 1
        assert done.stderr == b""


def test_colours_are_for_terminals_that_want_them(tmp_path: Path) -> None:
    """A pipe gets none, a terminal some, and NO_COLOR none."""
    root = repository(tmp_path)
    assert "\x1b[" not in run("plan", cwd=root).out
    coloured = Terminal("plan", cwd=root)
    assert coloured.end() == 0
    assert "\x1b[" in coloured.raw
    plain = Terminal("plan", cwd=root, env={"NO_COLOR": "1"})
    assert plain.end() == 0
    assert "\x1b[" not in plain.raw


def test_only_yes_is_consent(tmp_path: Path) -> None:
    """The plan is shown, without telling to do what is being done; `y` is not enough, `yes` is."""
    root = repository(tmp_path)
    hesitant = Terminal("apply", cwd=root)
    hesitant.wait_for("Type `yes` to agree.")
    hesitant.type("y")
    assert hesitant.end() == 1
    assert "Nothing was changed." in hesitant.text
    assert "`sharectl apply` does this" not in hesitant.text
    assert calls(root, "create_share") == 0
    sure = Terminal("apply", cwd=root)
    sure.wait_for("to agree.")
    sure.type("yes")
    assert sure.end() == 0
    assert "Applied in" in sure.text


def test_ctrl_c_at_the_question_cancels(tmp_path: Path) -> None:
    """130, nothing changed, and the lock is given back."""
    root = repository(tmp_path)
    asked = Terminal("apply", cwd=root)
    asked.wait_for("to agree.")
    asked.interrupt()
    assert asked.end() == 130
    assert "Cancelled." in asked.text
    assert "Traceback" not in asked.text
    assert run("lock", "status", cwd=root).out == "Nobody holds the lock.\n"


def test_ctrl_c_once_lets_running_steps_finish(tmp_path: Path) -> None:
    """130; what ran is recorded, nothing is unresolved, and the next apply does the rest."""
    root = repository(tmp_path, log="true")
    busy = Terminal("simulated", "apply", "--yes", cwd=root, command=[sys.executable, "-c", GATED])
    eventually(lambda: any(root.glob("at-*")))
    busy.interrupt()
    busy.wait_for("Ctrl-C again stops at once")
    (root / "go").touch()
    assert busy.end() == 130
    assert "What is done is recorded" in busy.text
    state = orjson.loads(run("state", "list", "-o", "json", cwd=root).out)
    assert state["operations"] == []
    assert any(resource["address"].startswith("share/") for resource in state["resources"])
    assert run("apply", "--yes", cwd=root).code == 0
    assert run("plan", "--detailed-exitcode", cwd=root).code == 0


def test_ctrl_c_twice_stops_at_once_and_safely(tmp_path: Path) -> None:
    """130 although a call hangs; its intent stays open, and the next apply finds out and converges."""
    root = repository(tmp_path, faults="[{call: create_share, effect: hang, first: 2}]", log="true")
    stuck = Terminal("apply", "--yes", cwd=root)
    eventually(lambda: calls(root, "create_share") == 2)
    stuck.interrupt()
    stuck.wait_for("Ctrl-C again stops at once")
    stuck.interrupt()
    assert stuck.end() == 130
    assert "Traceback" not in stuck.text
    assert orjson.loads(run("state", "list", "-o", "json", cwd=root).out)["operations"] != []
    assert run("apply", "--yes", cwd=root).code == 0
    assert run("plan", "--detailed-exitcode", cwd=root).code == 0


def test_sigterm_is_a_ctrl_c(tmp_path: Path) -> None:
    """CI ends a job with SIGTERM."""
    root = repository(tmp_path, log="true")
    process = subprocess.Popen(
        [sys.executable, "-c", GATED, "simulated", "apply", "--yes"],
        cwd=root,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    eventually(lambda: any(root.glob("at-*")))
    process.send_signal(signal.SIGTERM)
    while b"running steps finish" not in (line := process.stdout.readline()):
        assert line, "it was not cancelled"
    (root / "go").touch()
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130


def test_two_applies_at_once(tmp_path: Path) -> None:
    """The second is refused with the name of the holder (75), or waits for it with --lock-timeout."""
    root = repository(tmp_path)
    first = Terminal("apply", cwd=root)
    first.wait_for("to agree.")
    refused = run("apply", "--yes", cwd=root)
    assert refused.code == 75
    assert f"process {first.process.pid}" in refused.err
    assert "--lock-timeout 5m" in refused.err
    assert "running      apply" in run("lock", "status", cwd=root).out
    assert run("state", "rm", "share/one", cwd=root).code == 75
    assert run("plan", "--detailed-exitcode", cwd=root).code == 2  # reading never waits
    waiting = subprocess.Popen(
        [*COMMAND, "apply", "--yes", "--lock-timeout", "1m"],
        cwd=root,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    first.type("yes")
    assert first.end() == 0
    out, _ = waiting.communicate(timeout=PATIENCE_SECONDS)
    assert waiting.returncode == 0
    assert b"No changes" in out


def test_the_lock_of_a_dead_holder_is_no_obstacle(tmp_path: Path) -> None:
    """`kill -9` at the question: the next apply takes over."""
    root = repository(tmp_path)
    dead = Terminal("apply", cwd=root)
    dead.wait_for("to agree.")
    dead.process.kill()
    assert dead.end() == -signal.SIGKILL
    assert "can be taken over" in run("lock", "status", cwd=root).out
    assert run("apply", "--yes", cwd=root).code == 0


def test_unlock_takes_the_lock_away(tmp_path: Path) -> None:
    """It shows the holder and asks; whoever had the lock cannot write any more."""
    root = repository(tmp_path)
    holder = Terminal("apply", cwd=root)
    holder.wait_for("to agree.")
    assert run("unlock", cwd=root).code == 64
    hesitant = Terminal("unlock", cwd=root)
    hesitant.wait_for("Remove this lock?")
    hesitant.type("no")
    assert hesitant.end() == 1
    assert "The lock stays." in hesitant.text
    assert run("unlock", "--yes", cwd=root).code == 0
    holder.type("yes")
    assert holder.end() == 1
    assert "lock" in holder.text.partition("to agree.")[2]
    assert calls(root, "create_share") == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    """`plan` reads all the same; `apply` says what cannot be written."""
    root = repository(tmp_path)
    root.chmod(0o500)
    try:
        assert run("plan", cwd=root).code == 0
        ended = run("apply", "--yes", cwd=root)
    finally:
        root.chmod(0o700)
    assert ended.code == 1
    assert "Traceback" not in ended.err


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    """A result that could not be written is an error, not half an answer."""
    root = repository(tmp_path)
    for command, code in (("plan", "output.failed"), ("--help", "system.failed")):
        line = f"{' '.join(COMMAND)} {command} > /dev/full"
        done = subprocess.run(["/bin/sh", "-c", line], cwd=root, env=environment(), capture_output=True, check=False)
        assert done.returncode == 1
        assert f"error[{code}]".encode() in done.stderr
        assert b"Exception ignored" not in done.stderr


def test_a_failure_inside_is_reported_without_a_traceback(tmp_path: Path) -> None:
    """Even then there is a diagnostic; SHARECTL_DEBUG adds the traceback for whoever mends it."""
    code = (
        "import sys\nfrom sharectl.workspace import validation\nfrom sharectl.cli import main\n"
        "def broken(*a, **k):\n    raise RuntimeError('a surprise')\n"
        "validation.load_manifests = broken\nsys.exit(main(['plan']))"
    )
    for debug in ("", "1"):
        env = environment(SHARECTL_DEBUG=debug)
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=repository(tmp_path), env=env, capture_output=True, check=False
        )
        assert done.returncode == 1
        assert b"error[internal]" in done.stderr
        assert b"a surprise" in done.stderr
        assert (b"Traceback" in done.stderr) is bool(debug)


def test_version(console: Console) -> None:
    """The version, and nothing else."""
    ended = console("--version")
    assert ended.code == 0
    assert ended.out.startswith("sharectl ")
