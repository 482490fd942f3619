"""Which processes count as a server's own, and what is said of daemons and commands that end early or not at all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.linux.agent.contract import Instance, Problem, ProblemKind
from sharectl.drivers.linux.agent.host import daemons, links, sockets
from sharectl.drivers.linux.agent.nfs.ganesha import process as ganesha_process
from sharectl.drivers.linux.agent.nfs.ganesha.process import GaneshaProcess
from sharectl.drivers.linux.agent.smb.host import is_of_session
from tests.drivers.linux.lab import need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.drivers.linux.samba_lab import Lab

_NOBODY = 65534


@contextmanager
def process(folder: str, name: str, argument: str, user: int = 0) -> Iterator[int]:
    """Run a program of this name, which leads a session of its own and waits, with the argument among others; give its process."""
    program = Path(folder, name)
    shutil.copy(os.path.realpath(shutil.which("sh") or "/bin/sh"), program)
    argv = [str(program), "-c", "read line", argument]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, user=user, cwd="/", start_new_session=True) as running:
        try:
            yield running.pid
        finally:
            running.kill()


@pytest.mark.parametrize(("name", "is_counted"), [("smbd", True), ("setsid", True), ("editor", False)])
def test_only_servers_and_what_starts_them_count(lab_directory: str, name: str, *, is_counted: bool) -> None:
    """An administrator's program on the same file is no server."""
    with process(lab_directory, name, "--configfile=/own/smb.conf") as pid:
        assert daemons.is_process(pid, "--configfile=/own/smb.conf") is is_counted
        assert not daemons.is_process(pid, "--configfile=/other/smb.conf")


def test_a_server_whose_program_was_upgraded_meanwhile_counts(lab_directory: str) -> None:
    """The file that it was started from is gone."""
    with process(lab_directory, "smbd", "--configfile=/own/smb.conf") as pid:
        Path(lab_directory, "smbd").unlink()
        assert daemons.is_process(pid, "--configfile=/own/smb.conf")
        assert is_of_session(pid, pid)
    assert not daemons.is_process(pid, "--configfile=/own/smb.conf")


def test_an_smbd_at_work_for_a_client_counts(lab_directory: str) -> None:
    """Meanwhile it is the client's user, and root only in what it may become again."""
    program = Path(lab_directory, "smbd")
    shutil.copy(os.path.realpath(sys.executable), program)
    work = f"import os, sys; os.setresuid({_NOBODY}, {_NOBODY}, 0); print(flush=True); sys.stdin.read()"
    argv = [str(program), "-I", "-S", "-c", work, "--configfile=/own/smb.conf"]
    environment = {"PYTHONHOME": sys.base_prefix}
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline()
        assert daemons.is_process(running.pid, "/own/smb.conf")
        assert is_of_session(running.pid, running.pid)
        running.kill()


def test_what_a_local_user_runs_is_never_a_server(lab_directory: str) -> None:
    """Whatever its name, its arguments, its session, and the number that a server had before."""
    with process(lab_directory, "smbd", "--configfile=/own/smb.conf", _NOBODY) as pid:
        pid_file = Path(lab_directory, "pid")
        pid_file.write_text(f"{pid}\n", encoding="ascii")
        assert daemons.running_pid(str(pid_file), "/own/smb.conf") is None
        assert not daemons.is_process(pid, "/own/smb.conf")
        assert not is_of_session(pid, pid)
        daemons.stop(str(pid_file), "/own/smb.conf")
        assert Path(f"/proc/{pid}/exe").readlink() == Path(lab_directory, "smbd"), "it is let live"


def test_a_local_user_cannot_keep_an_smb_server_from_stopping(own_lab: Lab, lab_directory: str) -> None:
    """By a process that has the server's own argument."""
    argument = f"--configfile={own_lab.path('smb.conf')}"
    with process(lab_directory, "smbd", argument, _NOBODY) as pid:
        own_lab.server.stop()
        assert not own_lab.server.is_running()
        assert Path(f"/proc/{pid}/exe").readlink() == Path(lab_directory, "smbd"), "it is let live"


def _start_daemon(folder: str) -> None:
    daemons.start(["smbd"], namespace=None, output_path=f"{folder}/output")


def _look_at_ports(_: str) -> None:
    sockets.is_taken(None, (), 445)


def _look_at_links(_: str) -> None:
    links.Namespace().has("lo")


@pytest.mark.parametrize(
    ("program", "call"),
    [("setsid", _start_daemon), ("cat", _look_at_ports), ("ip", _look_at_links)],
)
def test_a_command_that_does_not_end_is_named(
    lab_directory: str, monkeypatch: pytest.MonkeyPatch, program: str, call: Callable[[str], None]
) -> None:
    """It is not waited for forever, and may do better the next time."""
    path = Path(lab_directory, program)
    path.write_text("#!/bin/sh\nexec sleep 60\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{lab_directory}:{os.environ['PATH']}")
    monkeypatch.setattr(daemons, "_COMMAND_SECONDS", 0.2)
    monkeypatch.setattr(sockets, "_COMMAND_SECONDS", 0.2)
    monkeypatch.setattr(links, "_TIMEOUT_SECONDS", 0.2)
    with pytest.raises(Problem, match=rf"`{program}\b.*did not end within 0\.2 s") as caught:
        call(lab_directory)
    assert caught.value.kind is ProblemKind.TRANSIENT


def test_a_bus_that_does_not_start_is_said_at_once(lab_directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its own last words; what an earlier start wrote is gone. Who waited for it would only say that it does not answer."""
    need("ganesha.nfsd", "dbus-daemon")
    monkeypatch.setattr(ganesha_process, "bus_text", lambda **_: "<busconfig><nonsense/></busconfig>")
    server = GaneshaProcess(Instance("main", f"{lab_directory}/main"), 2049)
    server.layout.make()
    Path(server.layout.output).write_text("words of an earlier start\n", encoding="utf-8")
    with pytest.raises(Problem, match=r"does not start: its D-Bus daemon ended: .*nonsense") as caught:
        server.start(0)
    assert caught.value.kind is ProblemKind.UNAVAILABLE
    assert "earlier start" not in Path(server.layout.output).read_text(encoding="utf-8")


def test_a_bus_that_ends_before_the_server_answers_is_said_at_once(
    lab_directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server cannot be spoken to without it, however long it is waited for: who did so would only say that it does not answer."""
    need("ganesha.nfsd", "dbus-daemon")
    server = GaneshaProcess(Instance("main", f"{lab_directory}/main"), 2049)
    server.layout.make()
    program = Path(lab_directory, "ganesha.nfsd")
    program.write_text(f"#!/bin/sh\necho 'the last words'\nexec kill -9 $(cat {server.layout.bus_pid})\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{lab_directory}:{os.environ['PATH']}")
    with pytest.raises(Problem, match="does not start: its D-Bus daemon ended: the last words") as caught:
        server.start(0)
    assert caught.value.kind is ProblemKind.UNAVAILABLE
