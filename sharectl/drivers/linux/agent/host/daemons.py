"""Daemons of a server instance: started so that they outlive the agent, found again by their pid file, stopped."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.host import system_calls
from sharectl.drivers.linux.agent.host.system_errors import told_as

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_POLL_SECONDS: Final = 0.005
_START_SECONDS: Final = 20.0
_COMMAND_SECONDS: Final = 30.0
_EXECVE_SECONDS: Final = 5.0
_HOST_NAME: Final = "localhost"  # in every /etc/hosts; a name with dots would be searched for in a domain
_RESOLVER: Final = {"RES_OPTIONS": "timeout:1 attempts:1"}
_ROOT: Final = "0"
_DAEMONS: Final = frozenset(
    {
        *{"smbd", "ganesha.nfsd", "dbus-daemon"},
        # What smbd starts to tell of shares, and does not end with it.
        *{
            "samba-dcerpcd",
            "rpcd_classic",
            "rpcd_epmapper",
            "rpcd_fsrvp",
            "rpcd_lsad",
            "rpcd_mdssvc",
            "rpcd_spoolss",
            "rpcd_winreg",
        },
    }
)
_STARTERS: Final = frozenset({"nsenter", "setsid", "env"})
"""What a daemon's process is before it is the daemon."""


def start(
    argv: Sequence[str],
    *,
    namespace: str | None,
    output_path: str,
    environment: Mapping[str, str] | None = None,
    enter_mounts: Callable[[], None] | None = None,
) -> None:
    """Start a daemon in a session of its own, with its output in a file; its parent is init, so it leaves no zombie here.

    `namespace` is the path of a network namespace. `nsenter` enters that alone: `ip netns exec` would also make a mount
    namespace, in which later bind mounts are not seen. `enter_mounts` puts a thread into mounts of the daemon's own, where the file of
    the network namespace may not be seen any more. Raises TRANSIENT where the daemon cannot be started.

    The daemon's host is called localhost. Servers look their host's name up as they start, Ganesha twice, and where the host does not
    know it and the name service is out of order, as it may be after a power failure, they would wait for 20 s.
    """

    def start_there() -> None:
        with suppress(OSError):  # in a container that forbids it, the start may take longer
            system_calls.take_host_name(_HOST_NAME)
        if enter_mounts is None:
            _start(argv, namespace, output_path, environment or {})
            return
        with told_as(f"{argv[0]} cannot be given mounts of its own"):
            if namespace is not None:
                system_calls.enter_network(namespace)
            enter_mounts()
        _start(argv, None, output_path, environment or {})

    with ThreadPoolExecutor(1, "start") as own_thread:  # the new host name and mounts end with it
        own_thread.submit(start_there).result()


def _start(argv: Sequence[str], namespace: str | None, output_path: str, environment: Mapping[str, str]) -> None:
    enter = ["nsenter", f"--net={namespace}", "--"] if namespace is not None else []
    command = [*enter, "setsid", "--fork", "--", *argv]
    own = {
        name: os.environ[name] for name in ("PATH", "LC_ALL") if name in os.environ
    }  # none of the login that started it
    with Path(output_path).open("ab") as output:
        try:
            result = subprocess.run(  # noqa: S603 - a list of arguments, no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**own, **_RESOLVER, **environment},
                cwd="/",
                timeout=_COMMAND_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            message = f"{argv[0]} cannot be started: `{command[0]}` did not end within {_COMMAND_SECONDS:g} s"
            raise Problem(ProblemKind.TRANSIENT, message) from None
    if result.returncode != 0:
        message = f"{argv[0]} cannot be started (exit code {result.returncode}); its output is in {output_path}"
        raise Problem(ProblemKind.TRANSIENT, message)


def running_pid(pid_file: str, marker: str) -> int | None:
    """Return the process that the pid file names, if it is that daemon (see is_process); None otherwise.

    The marker (the path of the instance's own configuration) keeps a pid that another process got since from being taken
    for the daemon.
    """
    try:
        pid = int(Path(pid_file).read_text(encoding="ascii").split()[0])
    except (FileNotFoundError, ValueError, IndexError):
        return None
    return pid if is_process(pid, marker) else None


def is_process(pid: int, marker: str) -> bool:
    """Tell whether the process is a living daemon of root's (see is_daemon) and has `marker` among its arguments."""
    arguments = _arguments(pid)
    if not arguments and is_daemon(pid):
        # For an instant within execve(2) a process has no arguments, and is still the daemon that was just started.
        holds_within(lambda: _arguments(pid) != b"" or not is_daemon(pid), _EXECVE_SECONDS)
        arguments = _arguments(pid)
    return os.fsencode(marker) in arguments and is_daemon(pid)


def _arguments(pid: int) -> bytes:
    """Return the arguments of a process, each with a zero behind it; empty where there is no such process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def is_daemon(pid: int) -> bool:
    """Tell whether the process lives (a zombie does not), was started by root, and runs a server's program or is about to.

    Any local user can give a process of its own any arguments and any name, and may not be taken for a server by them. The
    saved user counts: an smbd at work for a client has only that of root. Programs that are set-user-ID root have it too
    when a user runs them, but are none of the servers' programs; what has only the name of a starter must be root's alone.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
        program = os.path.basename(os.readlink(f"/proc/{pid}/exe"))  # noqa: PTH115, PTH119 - paths are text everywhere in the agent
    except (FileNotFoundError, ProcessLookupError):
        return False
    fields = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    real, _, saved, _ = fields["Uid"]
    is_server = saved == _ROOT and program.removesuffix(" (deleted)") in _DAEMONS  # deleted: upgraded meanwhile
    is_starter = real == _ROOT and " ".join(fields["Name"]) in _STARTERS
    return fields["State"][0] not in {"Z", "X"} and (is_server or is_starter)


def started_at(pid: int) -> str:
    """Return when a process was started, which with its number tells it from all others of this boot; empty where it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def stop(pid_file: str, marker: str, grace_seconds: float = 10.0) -> None:
    """Ask the daemon to end, and kill it if it has not after `grace_seconds`; one that does not run is not an error."""
    pid = running_pid(pid_file, marker)
    if pid is None:
        return
    for number, seconds in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, grace_seconds)):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        if holds_within(lambda: not is_process(pid, marker), seconds):
            return
    message = f"the process {pid} does not end"
    raise Problem(ProblemKind.TRANSIENT, message)


def holds_within(condition: Callable[[], bool], seconds: float) -> bool:
    """Return whether the condition comes to hold before the time is over."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def wait_until(condition: Callable[[], bool], what: str, seconds: float = _START_SECONDS) -> None:
    """Wait for the condition; raises TRANSIENT, saying `what` did not come about."""
    if not holds_within(condition, seconds):
        message = f"{what} (waited {seconds:g} s)"
        raise Problem(ProblemKind.TRANSIENT, message)


@contextmanager
def locked(path: str, *, shared: bool = False) -> Iterator[None]:
    """Hold a lock among all threads and processes of the host, alone or with others that share it; the file is made where it is missing."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def locked_within(path: str, seconds: float) -> Iterator[bool]:
    """Hold the lock of a file where it can be had in that time; give whether it is held."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield holds_within(lambda: _could_lock(descriptor), seconds)
    finally:
        os.close(descriptor)


def is_locked(path: str) -> bool:
    """Tell whether somebody holds the lock of a file alone. Those who look do not see each other."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _could_lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _could_lock(descriptor: int, how: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write_atomically(
    path: str, content: str | bytes, mode: int = 0o600, *, staging: str | None = None, is_durable: bool = True
) -> None:
    """Replace the file's content at one instant, durably; `staging` is the folder of the temporary file (the file's own by default).

    One that is not durable may be missing, empty or the one before after a power failure, never after the end of a process.
    """
    folder = os.path.dirname(path)  # noqa: PTH120 - as above
    temporary = os.path.join(staging or folder, f".{os.path.basename(path)}.{os.getpid()}.{time.monotonic_ns()}")  # noqa: PTH118, PTH119 - as above
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            if is_durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105 - as above
    except BaseException:
        os.unlink(temporary)  # noqa: PTH108 - as above
        raise
    if is_durable:
        sync_directory(folder)


def sync_directory(path: str) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
