"""One process of the agent: started, asked by many threads at once, and ended; it is never started again."""

from __future__ import annotations

import os
import select
import subprocess
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, Final, cast

from sharectl.drivers.base import (
    BackendUnavailableError,
    ConflictError,
    DriverError,
    FencedError,
    NotFoundError,
    PoolError,
    ShareInUseError,
    TransientError,
)
from sharectl.drivers.linux.agent.contract import ProblemKind
from sharectl.drivers.linux.agent.wire.framing import FrameBuffer, FramingError, encode
from sharectl.drivers.linux.agent.wire.serve import HELLO, PROTOCOL
from sharectl.drivers.linux.complaints import explain_end, place_of
from sharectl.drivers.linux.launch import agent_command, agent_environment
from sharectl.drivers.linux.shipping import bootstrap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.drivers.linux.settings import HostSettings

CLOSE_SECONDS: Final = 3.0
"""How long the agent may finish what it is doing when it is let go, before it is killed."""

RETRY_SECONDS: Final = 2.0
"""When to come again where nothing was begun: by this, the contract knows that even a revert may be repeated."""

_HELLO_SECONDS: Final = 60.0
"""A sound host that is busy with other things may take half of that to start Python and read the agent; a listing is waited for twice as long."""
_END_SECONDS: Final = 2.0
_READ_BYTES: Final = 256 * 1024
_KEPT_LINES: Final = 50
_KEPT_BYTES: Final = 64 * 1024
_ERRORS: Final[Mapping[str, type[DriverError]]] = {
    ProblemKind.REFUSED: DriverError,
    ProblemKind.TRANSIENT: TransientError,
    ProblemKind.UNAVAILABLE: BackendUnavailableError,
    ProblemKind.POOL: PoolError,
    ProblemKind.NOT_FOUND: NotFoundError,
    ProblemKind.CONFLICT: ConflictError,
    ProblemKind.IN_USE: ShareInUseError,
    ProblemKind.FENCED: FencedError,
}


class Session:
    """The process, a thread that reads its answers, and the calls that wait for them."""

    def __init__(self, host: HostSettings, archive: bytes) -> None:
        """Start the process; raises BackendUnavailableError where that cannot be done."""
        self._host = host
        self._archive = archive
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._waiting: dict[int, Future[dict[str, Any]]] = {}
        self._at_work: set[int] = set()
        self._last_number = 0
        self._error_text = b""
        self._over: str | None = None
        self._is_ending = False
        self._is_explained = threading.Event()
        self._process = _start(host, archive)
        self._requests = cast("IO[bytes]", self._process.stdin)  # these three are pipes
        self._answers = cast("IO[bytes]", self._process.stdout)
        self._errors = cast("IO[bytes]", self._process.stderr)
        os.set_blocking(self._requests.fileno(), False)
        self._reader = threading.Thread(target=self._read, name="agent answers", daemon=True)
        self._reader.start()

    @property
    def is_over(self) -> bool:
        """Tell whether the process has ended, is being let go, or has closed its answers."""
        return self._is_ending or self._over is not None

    def greet(self, settings: Mapping[str, Any], width: int) -> dict[str, Any]:
        """Send the agent itself and the hello; return what it says of its host. Raises DriverError where it refuses."""
        seconds = _HELLO_SECONDS + (self._host.ssh.connect_timeout_seconds if self._host.ssh is not None else 0)
        params = {"protocol": PROTOCOL, "width": width, "settings": settings}
        return dict(self.ask(HELLO, params, seconds, before=self._archive))

    def ask(self, method: str, params: Mapping[str, Any], timeout_seconds: float, *, before: bytes = b"") -> Any:  # noqa: ANN401 - any JSON value
        """Return the result of the call; raises the driver's errors, BackendUnavailableError when there is no answer in time."""
        deadline = time.monotonic() + timeout_seconds
        number, future = self._register(deadline)
        is_written = True
        try:
            frame = encode({"id": number, "method": method, "params": params})
            is_written = self._write(before + frame, deadline, number if method != HELLO else None)
            answer = future.result(max(0.0, deadline - time.monotonic()))
        except BackendUnavailableError as cause:
            if is_written:
                raise
            raise BackendUnavailableError(
                str(cause), RETRY_SECONDS
            ) from cause  # an agent that has half a call begins nothing
        except FramingError as cause:
            message = f"the call {method} cannot be sent to {place_of(self._host)}: {cause}"
            raise DriverError(message) from cause
        except TimeoutError:
            message = f"{place_of(self._host)} did not answer {method} within {timeout_seconds:g} s; it may still be at work on it"
            raise BackendUnavailableError(message) from None
        finally:
            with self._lock:
                self._waiting.pop(number, None)
        return answer

    def close(self) -> None:
        """Hang up, wait for CLOSE_SECONDS, and kill the process if it has not ended by then and nothing is under way on the host.

        An agent on this machine that is at work on a call, also on one that nobody waits for any more, is left alone: half done
        work would be left behind otherwise. It ends by itself, as one at the other end of SSH does, where killing the client
        stops nothing.
        """
        self._hang_up()
        self._reader.join(CLOSE_SECONDS)
        if self._reader.is_alive() and self._is_at_work():
            self._tell_those_who_wait()
        elif self._reader.is_alive():
            self._kill()
            self._reader.join(CLOSE_SECONDS)

    def _is_at_work(self) -> bool:
        with self._lock:
            return self._host.ssh is None and bool(self._at_work)

    def _note_work(self, number: int | None, *, is_begun: bool) -> None:
        """Note whether the agent may have the call, which holds until it answers, however long its caller waits."""
        if number is not None:
            with self._lock:
                (self._at_work.add if is_begun else self._at_work.discard)(number)

    def _register(self, deadline: float) -> tuple[int, Future[dict[str, Any]]]:
        with self._lock:
            if not self.is_over:
                self._last_number += 1
                future = self._waiting[self._last_number] = Future[dict[str, Any]]()
                return self._last_number, future
        if self._over is None:
            self._is_explained.wait(max(0.0, deadline - time.monotonic()))
        raise BackendUnavailableError(self._over or f"{place_of(self._host)} has ended", RETRY_SECONDS)

    def _write(self, data: bytes, deadline: float, number: int | None) -> bool:
        """Write all of it, and tell whether that was possible; raises TimeoutError at the deadline, and a frame that is half written then is the last.

        What may be the rest of the call with this number is noted before it is written: the agent may begin before this thread goes on.
        """
        if not self._writing.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise TimeoutError
        try:
            rest = memoryview(data)
            while rest and not self._requests.closed:
                if not _is_writable(self._requests.fileno(), deadline):
                    if len(rest) < len(data):
                        self._kill()
                    raise TimeoutError
                self._note_work(number, is_begun=True)
                with suppress(BlockingIOError):
                    rest = rest[os.write(self._requests.fileno(), rest) :]
                if rest:
                    self._note_work(number, is_begun=False)
        except BrokenPipeError:
            return False  # the process is ending: the thread that reads finds out why, and tells whoever waits
        else:
            return not rest
        finally:
            if self._over is not None:
                self._requests.close()  # hung up meanwhile
            self._writing.release()

    def _read(self) -> None:
        buffer = FrameBuffer()
        broken: FramingError | None = None
        try:
            self._pump(buffer)
        except FramingError as cause:
            broken = cause
            self._kill()
        finally:
            self._finish(buffer, broken)

    def _pump(self, buffer: FrameBuffer) -> None:
        """Hand out the answers until they end, and keep what is said on standard error meanwhile."""
        answers, errors = self._answers.fileno(), self._errors.fileno()
        poll = select.poll()
        poll.register(answers, select.POLLIN)
        poll.register(errors, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                data = os.read(descriptor, _READ_BYTES)
                if descriptor == answers:
                    if not data:
                        return
                    for message in buffer.add(data):
                        self._deliver(message)
                elif data:
                    self._error_text = (self._error_text + data)[-_KEPT_BYTES:]
                else:
                    poll.unregister(errors)

    def _deliver(self, message: dict[str, Any]) -> None:
        number, failure = message.get("id"), message.get("error")
        if not isinstance(number, int) or not isinstance(failure, dict | None):
            reason = "an answer without a number, or with an error that is none"
            raise FramingError(reason)
        with self._lock:
            future = self._waiting.pop(number, None)
            self._at_work.discard(number)
        if future is None:
            return  # the caller waited no longer
        if failure is None:
            future.set_result(message.get("result", {}))
        else:
            future.set_exception(error_of(str(failure.get("kind")), str(failure.get("message"))))

    def _finish(self, buffer: FrameBuffer, broken: FramingError | None) -> None:
        with self._lock:
            self._is_ending = True  # before its process is gone: whoever sees that needs another session
        exit_code = self._reap()
        self._drain_errors()
        said = f"{buffer.greeting()}\n{self._error_text.decode(errors='replace')}".splitlines()[-_KEPT_LINES:]
        if broken is not None:
            reason = f"{place_of(self._host)} sent what is not an answer: {broken}"
        else:
            reason = explain_end(self._host, said, exit_code, was_ready=buffer.is_ready)
        with self._lock:
            if self._over is None:
                self._over = reason
        self._is_explained.set()
        self._tell_those_who_wait()
        with self._writing:
            for stream in (self._requests, self._answers, self._errors):
                stream.close()

    def _tell_those_who_wait(self) -> None:
        with self._lock:
            reason = self._over
            waiting = list(self._waiting.values())
            self._waiting.clear()
        for future in waiting:
            future.set_exception(BackendUnavailableError(str(reason)))

    def _reap(self) -> int | None:
        """Return the exit code of the process; None where it has closed its answers and does not end, and is killed."""
        try:
            return self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        return None

    def _drain_errors(self) -> None:
        """Read what has been said; a child of the agent may hold the stream open, so its end is not waited for."""
        errors = self._errors.fileno()
        os.set_blocking(errors, False)
        with suppress(BlockingIOError):
            while data := os.read(errors, _READ_BYTES):
                self._error_text = (self._error_text + data)[-_KEPT_BYTES:]

    def _hang_up(self) -> None:
        with self._lock:
            if self._over is None:
                self._over = f"the connection to {place_of(self._host)} was closed"
        if self._writing.acquire(timeout=CLOSE_SECONDS):
            self._requests.close()
            self._writing.release()

    def _kill(self) -> None:
        with suppress(PermissionError):  # sudo belongs to root; it ends when its streams do
            self._process.kill()


def _start(host: HostSettings, archive: bytes) -> subprocess.Popen[bytes]:
    try:
        process = subprocess.Popen(  # noqa: S603 - a list of arguments, made from validated settings
            agent_command(host, bootstrap(archive)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd="/",
            env=agent_environment(host),
            start_new_session=True,  # Ctrl-C in the terminal is for sharectl, which lets running steps finish
        )
    except OSError as cause:
        raise BackendUnavailableError(explain_end(host, [str(cause)], None, was_ready=False), RETRY_SECONDS) from cause
    return process


def _is_writable(descriptor: int, deadline: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))


def error_of(kind: str, message: str) -> DriverError:
    """Return the driver's error for a problem of the agent."""
    return _ERRORS.get(kind, DriverError)(message)
