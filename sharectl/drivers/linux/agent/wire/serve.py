"""The agent's loop: reads requests, runs them side by side, and answers each as it is done.

A request is `{id, method, params}`, its answer `{id, result}` or `{id, error: {kind, message}}`; answers come in the order in
which the work ends. The first request is `hello`, with `{protocol, width, settings}`; its result tells of the host.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.wire.framing import READY, FramingError, encode, read_frame

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import FileIO

PROTOCOL: Final = 1
HELLO: Final = "hello"


class Operations(Protocol):
    """What the agent can do; called from many threads at once."""

    def call(self, method: str, params: dict[str, Any]) -> Any:  # noqa: ANN401 - any JSON value
        """Return the result, as JSON has it; raises Problem."""
        ...

    def close(self) -> None:
        """Let go of files, after the last call."""
        ...


def serve(requests: BinaryIO, answers: FileIO, open_operations: Callable[[dict[str, Any]], Operations]) -> None:
    """Answer requests until they end; then what runs is finished, and nothing that waits is begun.

    `answers` has no buffer, since what cannot be written is not to be tried again.
    `open_operations` gets the settings of the hello. What it raises is the answer to the hello, and ends the agent.
    """
    answering = _Answers(answers)
    answering.send(READY)
    try:
        hello = read_frame(requests)
        if hello is None:
            return
        operations = _greet(hello, answering, open_operations)
        if operations is not None:
            _serve_calls(requests, answering, operations, hello["params"]["width"])
    except FramingError as cause:
        print(f"sharectl agent: the requests cannot be read: {cause}", file=sys.stderr)  # noqa: T201 - for people, on standard error


class _Answers:
    """The way back, one frame at a time."""

    def __init__(self, stream: FileIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, data: bytes) -> None:
        rest = memoryview(data)
        # Where nobody waits any more, the work is done all the same, and the next agent finds it done.
        with self._lock, suppress(BrokenPipeError):
            while rest:
                rest = rest[self._stream.write(rest) :]

    def result(self, number: object, value: object) -> None:
        self.send(encode({"id": number, "result": value}))

    def failure(self, number: object, cause: BaseException) -> None:
        if isinstance(cause, Problem):
            kind, message = cause.kind, str(cause)
        else:
            traceback.print_exception(cause)
            kind, message = ProblemKind.REFUSED, f"the agent failed: {_in_one_line(cause)}"
        self.send(encode({"id": number, "error": {"kind": kind.value, "message": message}}))


def _in_one_line(cause: BaseException) -> str:
    text = " ".join(str(cause).split())
    return f"{type(cause).__name__}: {text}" if text else type(cause).__name__


def _greet(
    hello: dict[str, Any], answering: _Answers, open_operations: Callable[[dict[str, Any]], Operations]
) -> Operations | None:
    """Answer the hello and return the operations; None where the answer is a refusal."""
    number = hello.get("id")
    try:
        _check(hello)
        operations = open_operations(hello["params"]["settings"])
    except BaseException as cause:  # noqa: BLE001 - whatever it was, the driver waits for an answer
        answering.failure(number, cause)
        return None
    answering.result(
        number,
        {
            "protocol": PROTOCOL,
            "python": sys.version.split()[0],
            "uid": os.geteuid(),
            "host": os.uname().nodename,
            "pid": os.getpid(),
        },
    )
    return operations


def _check(hello: dict[str, Any]) -> None:
    protocol = hello.get("params", {}).get("protocol")
    if hello.get("method") != HELLO or protocol != PROTOCOL:
        message = f"the agent speaks protocol {PROTOCOL} but was addressed in {protocol!r}"
        raise Problem(ProblemKind.REFUSED, message)
    if os.geteuid() != 0:
        message = (
            f"the agent on {os.uname().nodename} runs as the user with uid {os.geteuid()} and has to be root, to mount and to export: "
            "set host.become to sudo, or log in as root"
        )
        raise Problem(ProblemKind.REFUSED, message)


def _serve_calls(requests: BinaryIO, answering: _Answers, operations: Operations, width: int) -> None:
    workers = ThreadPoolExecutor(width, "call")
    try:
        while (request := read_frame(requests)) is not None:
            workers.submit(_answer, request, answering, operations)
    finally:
        workers.shutdown(wait=True, cancel_futures=True)
        operations.close()


def _answer(request: dict[str, Any], answering: _Answers, operations: Operations) -> None:
    number = request.get("id")
    try:
        answering.result(number, operations.call(request["method"], request["params"]))
    except BaseException as cause:  # noqa: BLE001 - whatever it was, the caller waits for an answer
        answering.failure(number, cause)
