"""The programs that smbd runs, on the storage host: copies of modules of the agent that need nothing else of it."""

from __future__ import annotations

import os
import pkgutil
import sys
from functools import cache
from typing import Final

from sharectl.drivers.linux.agent.host.daemons import write_atomically

_PYTHON: Final = "/usr/bin/python3"


@cache
def disk_free() -> str:
    """Return the text of the program that tells the size of a share."""
    source = pkgutil.get_data(__package__, "disk_free.py") or b""
    # The agent's own Python may be in somebody's home, into which the account that works on files does not get.
    python = _PYTHON if os.access(_PYTHON, os.X_OK) else sys.executable
    return f"#!{python} -IS\n{source.decode('utf-8')}"


def install(text: str, path: str) -> None:
    """Put the program there, for every user to read and run."""
    write_atomically(path, text, 0o755)
    os.chmod(path, 0o755)  # noqa: PTH101, S103 - it has no secrets; paths are text everywhere in the agent
