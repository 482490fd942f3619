"""One process serves all threads of the driver; what becomes of it, each caller gets an answer, and the next call works."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.base import (
    BackendUnavailableError,
    ConflictError,
    DriverError,
    NotFoundError,
    PoolError,
    ShareInUseError,
    TransientError,
)
from sharectl.drivers.linux import session as session_module
from sharectl.drivers.linux.agent.wire import framing
from sharectl.drivers.linux.agent.wire.framing import READY
from sharectl.drivers.linux.session import Session
from sharectl.drivers.linux.settings import HostSettings
from tests.drivers.linux.agents import SECONDS, connect, lives, state_of, wait_for
from tests.drivers.linux.lab import need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sharectl.drivers.linux.connection import AgentConnection


@pytest.fixture
def connection() -> Iterator[AgentConnection]:
    """Give a connection to an agent on this machine."""
    need()
    connection = connect()
    yield connection
    connection.close()


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], HostSettings]:
    """Give the settings of a host whose Python is this shell script."""
    need()

    def write(text: str) -> HostSettings:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return HostSettings(python=str(path))

    return write


def agent_pid(connection: AgentConnection) -> int:
    """Return the process of the agent."""
    return int(connection.call("facts")["pid"])


def test_nothing_is_started_before_the_first_call(script: Callable[[str], HostSettings], tmp_path: Path) -> None:
    """Neither when the connection is made nor when it is closed."""
    connect(script(f"touch {tmp_path}/started")).close()
    assert not (tmp_path / "started").exists()


def test_one_process_answers_all_calls(connection: AgentConnection) -> None:
    """It was opened with the settings of the backend."""
    assert connection.call("echo", {"value": {"a": [1, "é", None, "\udcff"]}}) == {"a": [1, "é", None, "\udcff"]}
    assert agent_pid(connection) == agent_pid(connection)


def test_the_agent_gets_the_settings() -> None:
    """As they are."""
    need()
    connection = connect(settings={"root": "/srv/ä"})
    assert connection.call("facts")["settings"] == {"root": "/srv/ä"}
    connection.close()


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("refused", DriverError),
        ("transient", TransientError),
        ("unavailable", BackendUnavailableError),
        ("pool", PoolError),
        ("not-found", NotFoundError),
        ("conflict", ConflictError),
        ("in-use", ShareInUseError),
    ],
)
def test_a_problem_is_the_driver_error_of_its_kind(
    connection: AgentConnection, kind: str, error: type[DriverError]
) -> None:
    """With the agent's words and nothing else."""
    with pytest.raises(DriverError) as caught:
        connection.call("fail", {"kind": kind, "message": "what, why, how"})
    assert type(caught.value) is error
    assert str(caught.value) == "what, why, how"


def test_a_kind_that_nobody_knows_is_a_plain_refusal() -> None:
    """It is not lost."""
    assert type(session_module.error_of("new", "words")) is DriverError


def test_many_threads_share_the_process() -> None:
    """64 at once, each with its own answers, from one agent."""
    need()
    connection = connect(width=64)

    def work(number: int) -> set[int]:
        for turn in range(20):
            value = f"{number}/{turn}" * (number + 1)
            assert connection.call("echo", {"value": value}) == value
        return {agent_pid(connection)}

    with ThreadPoolExecutor(64) as threads:
        pids = set().union(*threads.map(work, range(64)))
    assert len(pids) == 1
    connection.close()


def test_a_slow_call_holds_no_other_back(connection: AgentConnection, tmp_path: Path) -> None:
    """Answers come in whatever order."""
    with waiting(connection, tmp_path) as slow:
        assert connection.call("echo", {"value": 1}) == 1
        slow.go()
        assert slow.result() == "waited"


class Slow:
    """A call that is under way in a thread."""

    def __init__(self, connection: AgentConnection, folder: Path, threads: ThreadPoolExecutor) -> None:
        """Make the call."""
        self._go = folder / "go"
        started = folder / "started"
        self._future = threads.submit(connection.call, "wait", {"started": str(started), "until": str(self._go)})
        wait_for(lambda: started.exists() or self._future.done(), "the call")

    def go(self) -> None:
        """Let it end."""
        self._go.touch()

    def result(self) -> Any:  # noqa: ANN401 - parts of documents have many types
        """Return what it returned, or raise what it raised."""
        return self._future.result(SECONDS)


class waiting:  # noqa: N801 - reads as a function
    """A slow call, and the thread that makes it."""

    def __init__(self, connection: AgentConnection, folder: Path) -> None:
        """Remember."""
        self._connection = connection
        self._folder = folder
        self._threads = ThreadPoolExecutor(1)

    def __enter__(self) -> Slow:
        """Start it."""
        return Slow(self._connection, self._folder, self._threads)

    def __exit__(self, *_: object) -> None:
        """Let it end, whatever happened."""
        (self._folder / "go").touch()
        self._threads.shutdown()


def test_large_values_go_both_ways(connection: AgentConnection) -> None:
    """More than pipes hold at once."""
    text = "é" * 1_000_000
    assert connection.call("echo", {"value": text}) == text
    assert len(connection.call("text", {"size": 20_000_000})) == 20_000_000


def test_a_call_that_is_too_large_is_refused_and_harms_no_other(
    connection: AgentConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is sent."""
    pid = agent_pid(connection)
    monkeypatch.setattr(framing, "MAX_FRAME_BYTES", 1000)
    with pytest.raises(DriverError, match=r"the call echo cannot be sent to the agent on this machine: .* more than"):
        connection.call("echo", {"value": "x" * 1000})
    monkeypatch.undo()
    assert agent_pid(connection) == pid


def test_an_answer_that_is_too_large_is_refused_and_harms_no_other(connection: AgentConnection) -> None:
    """By the agent."""
    with pytest.raises(DriverError, match=r"FramingError: .* are more than a frame holds"):
        connection.call("text", {"size": 65 * 1024 * 1024})
    assert connection.call("echo", {"value": 1}) == 1


def test_whoever_waits_when_the_agent_is_killed_is_told(connection: AgentConnection, tmp_path: Path) -> None:
    """With the signal, and the last words; the next call finds a new agent, and nothing is left of the old one."""
    pid = agent_pid(connection)
    with waiting(connection, tmp_path) as slow:
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(
            BackendUnavailableError, match="the agent on this machine is gone: it was killed by signal 9"
        ):
            slow.result()
    assert state_of(pid) == ""
    assert agent_pid(connection) != pid


def test_all_who_wait_are_told_each_by_its_own_error(tmp_path: Path) -> None:
    """64 threads."""
    need()
    connection = connect(width=64)
    pid = agent_pid(connection)

    def work(number: int) -> DriverError | None:
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            connection.call("wait", {"started": str(folder / "started"), "until": str(tmp_path / "never")})
        except BackendUnavailableError as error:
            return error
        return None

    with ThreadPoolExecutor(64) as threads:
        calls = threads.map(work, range(64))
        wait_for(lambda: len(list(tmp_path.glob("*/started"))) == 64, "all calls")
        os.kill(pid, signal.SIGKILL)
        errors = list(calls)
    assert None not in errors
    assert len({id(error) for error in errors}) == 64
    connection.close()


def test_a_call_is_waited_for_no_longer_than_it_says(connection: AgentConnection, tmp_path: Path) -> None:
    """Its answer, when it comes, is nobody's; the agent goes on."""
    pid = agent_pid(connection)
    go = tmp_path / "go"
    with pytest.raises(BackendUnavailableError, match=r"did not answer wait within 0.1 s; it may still be at work"):
        connection.call("wait", {"started": str(tmp_path / "started"), "until": str(go)}, timeout_seconds=0.1)
    go.touch()
    wait_for(Path(f"{go}.done").exists, "the end of the call")
    assert agent_pid(connection) == pid


def test_an_agent_that_reads_no_more_is_given_up(connection: AgentConnection) -> None:
    """A frame that is half written can have no other after it."""
    pid = agent_pid(connection)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(BackendUnavailableError, match=r"did not answer echo within 0.2 s"):
        connection.call("echo", {"value": "x" * 1_000_000}, timeout_seconds=0.2)
    wait_for(lambda: state_of(pid) == "", "the end of the stopped agent")
    assert agent_pid(connection) != pid


def test_a_call_made_while_an_agent_ends_goes_to_a_new_one(
    connection: AgentConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answers are at their end, and why is not known yet."""
    pid = agent_pid(connection)
    ending = connection._session()
    may_be_reaped = threading.Event()
    reap = Session._reap

    def reap_when_told(session: Session) -> int | None:
        assert session is not ending or may_be_reaped.wait(SECONDS)
        return reap(session)

    monkeypatch.setattr(Session, "_reap", reap_when_told)
    os.kill(pid, signal.SIGKILL)
    try:
        wait_for(lambda: ending.is_over, "the end of its answers")
        assert agent_pid(connection) != pid
        with pytest.raises(BackendUnavailableError, match="the agent on this machine has ended") as raised:
            ending.ask("facts", {}, 0.1)
        assert raised.value.retry_after_seconds is not None
    finally:
        may_be_reaped.set()


def test_a_call_that_an_agent_had_no_whole_of_may_be_made_again(connection: AgentConnection) -> None:
    """An agent that dies while a call is being written has begun nothing of it."""
    pid = agent_pid(connection)
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(connection.call, "echo", {"value": "x" * 1_000_000}, 60.0)
        wait_for(lambda: _pipe_is_full(pid), "a full pipe")
        os.kill(pid, signal.SIGKILL)
        failure = call.exception(SECONDS)
    assert isinstance(failure, BackendUnavailableError)
    assert failure.retry_after_seconds is not None


def test_a_call_that_waits_for_its_turn_to_write_waits_no_longer_than_it_says(connection: AgentConnection) -> None:
    """Another one is writing to an agent that does not read."""
    pid = agent_pid(connection)
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(connection.call, "echo", {"value": "x" * 1_000_000}, 60.0)
        wait_for(lambda: _pipe_is_full(pid), "a full pipe")
        with pytest.raises(BackendUnavailableError):
            connection.call("echo", {"value": 1}, timeout_seconds=0.1)
        assert not first.done()
        os.kill(pid, signal.SIGKILL)
        assert isinstance(first.exception(SECONDS), BackendUnavailableError)


def _pipe_is_full(pid: int) -> bool:
    import fcntl  # noqa: PLC0415 - needed here alone
    import termios  # noqa: PLC0415 - needed here alone

    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        target = descriptor.readlink()
        if str(target).startswith("pipe:") and descriptor.name not in {"1", "2"}:
            opened = os.open(descriptor, os.O_RDONLY | os.O_NONBLOCK)
            try:
                waiting_bytes = int.from_bytes(fcntl.ioctl(opened, termios.FIONREAD, b"\0" * 4), sys.byteorder)
            finally:
                os.close(opened)
            if waiting_bytes >= 65536:
                return True
    return False


def test_closing_leaves_nothing() -> None:
    """No process, no zombie, no thread, no open file; and closing again is not an error."""
    need()
    open_files = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a descriptor, or text as in the agent
    threads = set(threading.enumerate())
    connection = connect()
    pid = agent_pid(connection)
    connection.close()
    assert state_of(pid) == ""
    assert set(threading.enumerate()) <= threads, "one of an earlier test may end meanwhile"
    assert set(os.listdir("/proc/self/fd")) <= open_files  # noqa: PTH208 - a descriptor, or text as in the agent
    connection.close()
    with pytest.raises(DriverError, match="is closed"):
        connection.call("facts")


def test_closing_lets_a_call_end(connection: AgentConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its caller gets the answer; a new call is refused meanwhile."""
    monkeypatch.setattr(session_module, "CLOSE_SECONDS", SECONDS)
    connection.call("echo", {"value": 1})
    with waiting(connection, tmp_path) as slow, ThreadPoolExecutor(1) as threads:
        closing = threads.submit(connection.close)
        wait_for(lambda: _is_refused(connection), "the closing")
        slow.go()
        assert slow.result() == "waited"
        closing.result(SECONDS)


def _is_refused(connection: AgentConnection) -> bool:
    try:
        connection.call("echo", {"value": 1})
    except DriverError:
        return True
    return False


def test_closing_waits_for_a_call_that_does_not_end_only_so_long(
    connection: AgentConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the caller is told; the agent finishes the call, and ends by itself."""
    monkeypatch.setattr(session_module, "CLOSE_SECONDS", 0.2)
    pid = agent_pid(connection)
    with waiting(connection, tmp_path) as slow:
        connection.close()
        with pytest.raises(BackendUnavailableError, match="the connection to the agent on this machine was closed"):
            slow.result()
        assert lives(pid)
        assert not (tmp_path / "go.done").exists()
        slow.go()
        wait_for(lambda: state_of(pid) == "", "the end of the agent")
    assert (tmp_path / "go.done").exists()


def test_closing_leaves_an_agent_at_work_whose_caller_has_not_gone_on(
    connection: AgentConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call is written, and the thread that wrote it has not run since."""
    monkeypatch.setattr(session_module, "CLOSE_SECONDS", 0.2)
    pid = agent_pid(connection)
    requests, write, may_go_on = connection._session()._requests.fileno(), os.write, threading.Event()

    def write_and_wait(descriptor: int, data: bytes) -> int:
        count = write(descriptor, data)
        assert descriptor != requests or may_go_on.wait(SECONDS)
        return count

    monkeypatch.setattr(os, "write", write_and_wait)
    try:
        with waiting(connection, tmp_path) as slow:
            connection.close()
            assert lives(pid)
            may_go_on.set()
            with pytest.raises(BackendUnavailableError, match="was closed"):
                slow.result()
            slow.go()
            wait_for(lambda: state_of(pid) == "", "the end of the agent")
    finally:
        may_go_on.set()
    assert (tmp_path / "go.done").exists()


def test_closing_leaves_an_agent_at_work_on_what_nobody_waits_for(
    connection: AgentConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call took longer than its caller had time; killed halfway, it would leave half done work."""
    monkeypatch.setattr(session_module, "CLOSE_SECONDS", 0.2)
    pid = agent_pid(connection)
    started, go = tmp_path / "started", tmp_path / "go"
    with pytest.raises(BackendUnavailableError, match="it may still be at work on it"):
        connection.call("wait", {"started": str(started), "until": str(go)}, timeout_seconds=0.1)
    wait_for(started.exists, "the call")
    connection.close()
    assert lives(pid)
    go.touch()
    wait_for(lambda: state_of(pid) == "", "the end of the agent")
    assert Path(f"{go}.done").exists()


def test_closing_kills_an_idle_agent_that_does_not_end(
    connection: AgentConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All calls are answered, so nothing is lost."""
    monkeypatch.setattr(session_module, "CLOSE_SECONDS", 0.2)
    pid = agent_pid(connection)
    os.kill(pid, signal.SIGSTOP)
    connection.close()
    wait_for(lambda: state_of(pid) == "", "the end of the agent")


def test_closing_waits_for_a_call_that_cannot_be_sent_only_so_long(
    connection: AgentConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent reads no more."""
    monkeypatch.setattr(session_module, "CLOSE_SECONDS", 0.2)
    pid = agent_pid(connection)
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(connection.call, "echo", {"value": "x" * 1_000_000})
        wait_for(lambda: _pipe_is_full(pid), "a full pipe")
        connection.close()
        assert isinstance(call.exception(SECONDS), BackendUnavailableError)
    assert state_of(pid) == ""


def test_an_agent_finishes_and_ends_when_sharectl_is_killed(tmp_path: Path) -> None:
    """Its requests end with the process that wrote them."""
    need()
    program = (
        "import sys, threading\n"
        "from tests.drivers.linux.agents import connect\n"
        "connection = connect()\n"
        "params = {'started': sys.argv[1], 'until': sys.argv[2]}\n"
        "threading.Thread(target=connection.call, args=('wait', params)).start()\n"
        "print(connection.call('facts')['pid'], flush=True)\n"
    )
    started, go = tmp_path / "started", tmp_path / "go"
    argv = [sys.executable, "-c", program, str(started), str(go)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=Path(__file__).resolve().parents[3]) as sharectl:
        assert sharectl.stdout is not None
        pid = int(sharectl.stdout.readline())
        wait_for(started.exists, "the call")
        sharectl.kill()
    assert lives(pid)
    go.touch()
    wait_for(lambda: not lives(pid), "the end of the agent")
    assert Path(f"{go}.done").exists()


def test_the_agent_is_out_of_reach_of_the_terminal(connection: AgentConnection) -> None:
    """Ctrl-C goes to the session of sharectl."""
    facts = connection.call("facts")
    assert facts["session"] == facts["pid"]


def test_the_agent_knows_nothing_of_the_environment(
    connection: AgentConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret in it would live on in the servers that the agent starts."""
    monkeypatch.setenv("FILER_PASSWORD", "hunter2")
    facts = connection.call("facts")
    assert set(facts["environment"]) <= {"PATH", "HOME", "LC_ALL", "LC_CTYPE"}
    assert facts["folder"] == "/"
    assert facts["path"].startswith("/proc/self/fd/")


def test_one_failed_start_is_the_answer_to_all_who_waited_for_it(
    script: Callable[[str], HostSettings], tmp_path: Path
) -> None:
    """A host that is down is tried once, not once for each thread; the next call tries again."""
    attempts, go = tmp_path / "attempts", tmp_path / "go"
    host = script(f"echo x >> {attempts}; while [ ! -e {go} ]; do :; done; echo 'it is broken' >&2; exit 7")
    connection = connect(host)

    def work(_: int) -> str:
        with pytest.raises(BackendUnavailableError) as caught:
            connection.call("facts")
        assert caught.value.retry_after_seconds is not None, "nothing was begun"
        return str(caught.value)

    with ThreadPoolExecutor(16) as threads:
        calls = [threads.submit(work, number) for number in range(16)]
        wait_for(lambda: all(call.running() for call in calls) and attempts.exists(), "all calls")
        go.touch()
        texts = {call.result(SECONDS) for call in calls}
    assert texts == {"the agent on this machine cannot be started: it is broken"}
    assert len(attempts.read_text().splitlines()) < 16
    before = len(attempts.read_text().splitlines())
    work(0)
    assert len(attempts.read_text().splitlines()) == before + 1
    connection.close()


@pytest.mark.parametrize(
    ("python", "expected"),
    [
        (
            "/nonexistent/python3",
            "No such file or directory: '/nonexistent/python3'; install Python 3.11 or newer there",
        ),
        ("no-such-python", "No such file or directory: 'no-such-python'; install Python 3.11 or newer there"),
    ],
)
def test_python_that_is_missing_is_named(python: str, expected: str) -> None:
    """With what to do."""
    need()
    with pytest.raises(BackendUnavailableError, match="cannot be started") as caught:
        connect(HostSettings(python=python)).call("facts")
    assert caught.value.retry_after_seconds is not None
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "echo 'Python 3.11 or newer is needed, and this is 3.9.2' >&2; exit 1",
            "install Python 3.11 or newer there, and name it",
        ),
        ("echo 'This account is currently not available.'; exit 1", "log in as a user with a shell"),
        ("echo 'sudo: a password is required' >&2; exit 1", "NOPASSWD in sudoers"),
        ("echo 'first' >&2; printf 'last \\033[31m words\\n\\n' >&2; exit 1", "cannot be started: last  [31m words"),
        (f"printf '{'y' * 1000}' >&2; exit 1", f"cannot be started: {'y' * 300}…"),
        ("exit 9", "cannot be started: it ended with exit code 9"),
        ("exec >&- 2>&-; while :; do sleep 1; done", "cannot be started: it closed its answers and does not end"),
    ],
)
def test_the_end_of_a_process_is_explained(script: Callable[[str], HostSettings], said: str, expected: str) -> None:
    """By what it said last, without what a terminal would obey."""
    connection = connect(script(said))
    with pytest.raises(BackendUnavailableError) as caught:
        connection.call("facts")
    assert expected in str(caught.value)
    connection.close()


@pytest.mark.parametrize(
    "answers",
    [
        b"Traceback (most recent call last):\n",
        b"\0\0\0\2[]",
        b'\0\0\0\x0b{"id": "1"}',
        b'\0\0\0\x15{"id": 1, "error": 7}',
        b'\0\0\0\x02{"',
    ],
)
def test_answers_that_are_none_end_the_connection(
    script: Callable[[str], HostSettings], tmp_path: Path, answers: bytes
) -> None:
    """The process is killed: nothing that it says can be believed."""
    (tmp_path / "answers").write_bytes(READY + answers)
    connection = connect(script(f"cat {tmp_path}/answers; exec sleep 60"))
    with pytest.raises(BackendUnavailableError, match="the agent on this machine sent what is not an answer: "):
        connection.call("facts")
    connection.close()


def test_a_greeting_before_the_agent_is_passed_over(script: Callable[[str], HostSettings]) -> None:
    """A shell's start-up file that prints breaks nothing."""
    connection = connect(script(f'echo Welcome; exec {sys.executable} "$@"'))
    assert connection.call("echo", {"value": 1}) == 1
    connection.close()


def test_a_backend_that_cannot_be_opened_says_so_at_each_call() -> None:
    """The agent that said so is gone."""
    need()
    connection = connect(settings={"refusal": "conflict"})

    def work(_: int) -> None:
        with pytest.raises(ConflictError, match="the backend cannot be opened"):
            connection.call("facts")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(16)))
    connection.close()


def test_a_child_that_holds_standard_error_open_holds_nothing_up(script: Callable[[str], HostSettings]) -> None:
    """A daemon may have inherited it."""
    connection = connect(script("echo gone >&2; sleep 60 >/dev/null </dev/null & exit 1"))
    with pytest.raises(BackendUnavailableError, match="cannot be started: gone"):
        connection.call("facts", timeout_seconds=30.0)
    connection.close()


@pytest.mark.parametrize("is_root", [True, False])
def test_sudo_is_asked_only_by_those_who_are_not_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_root: bool
) -> None:
    """It is told to ask for no password."""
    need()
    sudo = tmp_path / "sudo"
    sudo.write_text(f'#!/bin/sh\necho "$1 $2" > {tmp_path}/asked\nshift 2\nexec "$@"\n')
    sudo.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    if not is_root:
        monkeypatch.setattr("sharectl.drivers.linux.launch.os.geteuid", lambda: 1000)
    connection = connect(HostSettings(become="sudo"))
    assert connection.call("echo", {"value": 1}) == 1
    assert (tmp_path / "asked").exists() is not is_root
    assert is_root or (tmp_path / "asked").read_text() == "-n --\n"
    connection.close()


def test_a_call_that_comes_when_the_answers_have_ended_waits_for_the_reason(
    script: Callable[[str], HostSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first call does, where a process ends as soon as it is started."""
    may_be_reaped, reap = threading.Event(), Session._reap

    def reap_when_told(session: Session) -> int | None:
        assert may_be_reaped.wait(SECONDS)
        return reap(session)

    monkeypatch.setattr(Session, "_reap", reap_when_told)
    session = Session(script("echo gone >&2; exit 1"), b"")
    wait_for(lambda: session.is_over, "the end of its answers")
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(session.ask, "facts", {}, SECONDS)
        wait_for(lambda: call.running() or call.done(), "the call")
        may_be_reaped.set()
        assert "cannot be started: gone" in str(call.exception(SECONDS))
    session.close()


def test_a_session_that_is_over_takes_no_call(script: Callable[[str], HostSettings]) -> None:
    """It says again why it ended; its successor is the connection's business."""
    session = Session(script("echo gone >&2; exit 1"), b"")
    wait_for(lambda: session._over, "the reason of the end")
    for _ in range(2):
        with pytest.raises(BackendUnavailableError, match="cannot be started: gone"):
            session.ask("facts", {}, 1.0)
    session.close()
