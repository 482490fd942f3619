"""A program that does harm before each effect that a request to the agent has: it kills the servers, or fills the disk of the records.

The request goes on and meets what it meets. It reads a job as `test_linux_harm` writes it, and prints for each harm what the request
was refused with, what was listed meanwhile, and what after the harm was undone and the request repeated.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sharectl.drivers.linux.agent.contract import Problem
from sharectl.drivers.linux.agent.operations import open_backend
from tests.drivers.linux.crashing import is_effect
from tests.drivers.linux.crashing_operations import announce_changes, filled, in_process, listed, refusal_of
from tests.drivers.linux.lab import kill_processes_of

if TYPE_CHECKING:
    from collections.abc import Callable


def kill_servers(root: str) -> None:
    """Kill Ganesha, its bus and smbd with SIGKILL."""
    kill_processes_of(f"{root}/servers")


def fill_disk(root: str) -> None:
    """Take all the space that there is."""
    descriptor = os.open(f"{root}/filler", os.O_WRONLY | os.O_CREAT, 0o600)
    for size_bytes in (1 << 20, 1 << 12):
        with suppress(OSError):
            while os.write(descriptor, bytes(size_bytes)):
                pass
    os.close(descriptor)


def free_disk(root: str) -> None:
    """Give the space back."""
    Path(root, "filler").unlink(missing_ok=True)


HARMS: dict[str, tuple[Callable[[str], None], Callable[[str], None]]] = {
    "kill servers": (kill_servers, lambda _: None),
    "fill disk": (fill_disk, free_disk),
}


def harm_after(effects: int, harm: Callable[[], None]) -> list[bool]:
    """Do harm once before the effect that comes after so many; return a list that tells whether it was done."""
    left, done = effects, [False]

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if not done[0] and is_effect(event, arguments):
            if left == 0:
                done[0] = True
                harm()
            left -= 1

    sys.addaudithook(count)
    return done


def harmed(job: dict[str, Any], number: int) -> dict[str, Any]:
    """Make the request with harm in a process of its own; return whether there was any, and what the request was refused with."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        harm, _ = HARMS[job["harm"]]
        root = job["settings"]["root"]
        done = harm_after(number, lambda: harm(root))
        answer: dict[str, Any] = {"refusal": None}
        try:
            ((method, params),) = filled([job["request"]], number)
            open_backend(job["settings"]).call(method, params)
        except Problem as problem:
            answer["refusal"] = str(problem)
        except OSError as error:
            answer["refusal"] = f"untold {errno.errorcode[error.errno or 0]}: {error}"
        except BaseException as error:  # noqa: BLE001 - the test says what is wrong
            answer["refusal"] = f"untold {error!r}"
        os.write(writer, json.dumps({**answer, "is_harmed": done[0]}).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    os.waitpid(child, 0)
    found: dict[str, Any] = json.loads(text)
    return found


def main() -> None:
    """Do the job on standard input."""
    job = json.load(sys.stdin)
    announce_changes()
    _, undo = HARMS[job["harm"]]
    answers = []
    number, is_harmed = 0, True
    while is_harmed:
        in_process(job, job["before"], number, survived=None)
        answer = harmed(job, number)
        is_harmed = answer["is_harmed"]
        answer["meanwhile"] = listed(job, number)
        undo(job["settings"]["root"])
        answer["undone"] = listed(job, number)
        answer["again"] = refusal_of(job, job["request"], number)
        answer["after"] = listed(job, number)
        answers.append(answer)
        in_process(job, job["after"], number, survived=None)
        number += 1
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
