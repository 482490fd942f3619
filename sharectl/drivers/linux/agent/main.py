"""The agent's process: makes itself at home on the host, and serves until its requests end."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from sharectl.drivers.linux.agent.wire.serve import serve

if TYPE_CHECKING:
    from io import FileIO

    from sharectl.drivers.linux.agent.wire.serve import Operations

# A command over SSH gets the PATH of a plain user, and the programs that mount and export are in these.
_SYSTEM_PROGRAMS: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin")


def main() -> None:
    """Serve on the standard input and output that the process was started with."""
    settle()
    requests, answers = take_streams()
    with requests, answers:
        serve(requests, answers, _open_operations)


def settle() -> None:
    """Depend on nothing of how the process was started: its folder, file mode mask, language and search path."""
    os.chdir("/")
    os.umask(0o022)
    os.environ["LC_ALL"] = "C.UTF-8"
    path = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if folder.startswith("/")]
    os.environ["PATH"] = os.pathsep.join(dict.fromkeys((*path, *_SYSTEM_PROGRAMS)))


def take_streams() -> tuple[BinaryIO, FileIO]:
    """Return the streams of requests and answers, out of reach of everything that reads standard input or prints.

    Descriptor 0 becomes /dev/null and descriptor 1 standard error, for this process and its children.
    """
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb", 0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, answers


def _open_operations(settings: dict[str, Any]) -> Operations:
    from sharectl.drivers.linux.agent.operations import open_backend  # noqa: PLC0415 - what it raises is an answer

    return open_backend(settings, sys.path[0])
