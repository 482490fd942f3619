"""The process that watches over a backend on the storage host: brings back what has ended, and takes the snapshots that are due."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sharectl.drivers.linux.agent.host import daemons
from sharectl.drivers.linux.agent.main import settle
from sharectl.drivers.linux.agent.operations import open_backend
from sharectl.drivers.linux.agent.watching import Place, loaded_digest

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOOK_SECONDS: Final = 10.0
"""Who looks whether somebody watches holds the lock for an instant, which may be long on a machine that stands still meanwhile."""
_POLL_SECONDS: Final = 1.0
_ROUND_SECONDS: Final = 10.0
"""Between two rounds where no process ended: a disk may have come, or an address."""
_SHORT_ROUND_SECONDS: Final = 3.0
"""The same where something could not be done."""


def main() -> None:
    """Watch over the servers of the backend whose root is the one argument, until asked to end."""
    settle()
    place = Place(sys.argv[1])
    with daemons.locked_within(place.lock, _LOOK_SECONDS) as is_mine:
        if not is_mine:
            sys.exit("somebody watches already")
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        digest = loaded_digest(
            place
        )  # first: files that are exchanged meanwhile then count as others, and it is started anew
        settings = json.loads(Path(place.settings).read_text(encoding="utf-8"))
        Path(place.lock).write_text(f"{os.getpid()} {digest}\n", encoding="ascii")
        watch(settings)


def watch(settings: Mapping[str, Any]) -> None:
    """Bring back what should be in force, again and again: at once where a process ends, and at times whatever else is missing."""
    said: list[str] = []
    while True:
        problems = _round(settings)
        if problems != said:
            print("\n".join(problems or ["everything is in force"]), file=sys.stderr, flush=True)  # noqa: T201 - for the log
        said = problems


def _round(settings: Mapping[str, Any]) -> list[str]:
    """Restore once, see to snapshots, and return after a while, or once a process has ended; the backend is opened anew, since share servers come and go."""
    began = time.monotonic()
    backend = open_backend(settings)
    try:
        problems = backend.restore()
        untaken = backend.keep_snapshots(datetime.now(tz=UTC))
        end = began + (_SHORT_ROUND_SECONDS if problems else _ROUND_SECONDS)
        while time.monotonic() < end and (problems or not backend.has_ended()):
            time.sleep(_POLL_SECONDS)
    except Exception as error:  # noqa: BLE001 - whatever it is, the next round may do better, and nobody else would begin one
        time.sleep(_SHORT_ROUND_SECONDS)
        return [f"{type(error).__name__}: {error}"]
    finally:
        backend.close()
    return [*problems, *untaken]
