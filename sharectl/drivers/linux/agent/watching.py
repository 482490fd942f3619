"""What watches over the servers of a backend on the storage host: a unit of systemd, or a process of its own where there is none."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sharectl.drivers.linux.agent.contract import Hindrance, Problem, ProblemKind
from sharectl.drivers.linux.agent.host import commands, daemons

if TYPE_CHECKING:
    from collections.abc import Mapping

_SYSTEMD: Final = "/run/systemd/system"
_UNITS: Final = "/etc/systemd/system"
_COMMAND_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 20.0
_PYTHON_OPTIONS: Final = ("-I", "-S", "-X", "utf8")


class Watch:
    """Sees to it that somebody watches over the servers of a backend, by the present settings and with the present code."""

    def __init__(self, settings: Mapping[str, Any], archive: str | None) -> None:
        """Touch nothing. `archive` is the file of the agent's code; without one, as in a process of sharectl itself, nothing is set up."""
        kind = settings.get("supervisor", "none")
        if kind == "auto":
            kind = "systemd" if os.path.isdir(_SYSTEMD) else "process"  # noqa: PTH112 - paths are text everywhere in the agent
        self._kind = kind
        self._archive = archive or ""
        self._settings = settings
        self._place = Place(settings["root"])
        self._lock = threading.Lock()
        self._is_ensured = False

    def is_awake(self) -> bool:
        """Tell whether somebody watches."""
        return daemons.is_locked(self._place.lock)

    def hindrances(self) -> list[Hindrance]:
        """Return what to say where nobody watches although somebody should, or by other settings or code than were left there last."""
        if self._kind == "none" or not self._archive or not os.path.isdir(self._place.folder):  # noqa: PTH112 - as above
            return []
        by_apply = "the next apply that changes something starts it"
        if not self.is_awake():
            start = f"systemctl start {self._place.unit}" if self._kind == "systemd" else by_apply
            return [Hindrance("nobody watches over its servers on the storage host: one that ends stays down", start)]
        if not self._is_current():
            summary = (
                "what watches over its servers on the storage host goes by earlier settings, or is an earlier version"
            )
            return [Hindrance(summary, f"{by_apply} anew")]
        return []

    def ensure(self) -> None:
        """Start who watches, once in a process; anew where its settings or its code are others. That it cannot be is a hindrance."""
        with self._lock:
            if self._is_ensured or not self._archive:
                return
            self._is_ensured = True
            if self._kind == "none" and not self.is_awake() and not self._has_unit():
                return
            with suppress(OSError, Problem), daemons.locked(self._made_folder("setting-up.lock")):
                if self._kind == "none":
                    self._end()
                else:
                    self._ensure()

    def _made_folder(self, name: str) -> str:
        os.makedirs(self._place.folder, mode=0o700, exist_ok=True)  # noqa: PTH103 - as above
        return os.path.join(self._place.folder, name)  # noqa: PTH118 - as above

    def _ensure(self) -> None:
        _replace(self._place.archive, Path(self._archive).read_bytes())
        _replace(self._place.settings, json.dumps(self._settings, sort_keys=True).encode())
        if self._kind == "systemd":
            is_other_unit = _replace(self._place.unit_file, unit_text(self._place).encode(), 0o644)
            if is_other_unit or not self._is_current():
                self._stop_process()  # also one of its own, in whose way a unit would be for ever; what fails now is told and tried again
                for words in (("daemon-reload",), ("enable", self._place.unit), ("restart", self._place.unit)):
                    _systemctl(*words)
            return
        self._end_unit()
        if not self._is_current():
            self._stop_process()
            daemons.start(command(self._place), namespace=None, output_path=self._place.log)
            daemons.wait_until(
                lambda: self._is_current() and self._process() is not None,
                "what watches over the servers does not start",
            )

    def _is_current(self) -> bool:
        """Tell whether somebody watches, by the settings and with the code that are there: an update may have been cut short."""
        with suppress(OSError):
            return self.is_awake() and self._said()[1:] == [loaded_digest(self._place)]
        return False

    def _said(self) -> list[str]:
        """Return what the lock says of who watches: its process, and what it has loaded."""
        return Path(self._place.lock).read_text(encoding="ascii", errors="replace").split()

    def _process(self) -> int | None:
        """Return the process that watches, by the lock's file and its arguments."""
        with suppress(OSError, ValueError, IndexError):
            pid = int(self._said()[0])
            if os.fsencode(self._place.archive) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                return pid
        return None

    def _has_unit(self) -> bool:
        return os.path.exists(self._place.unit_file)  # noqa: PTH110 - as above

    def _end(self) -> None:
        self._end_unit()
        self._stop_process()

    def _end_unit(self) -> None:
        if self._has_unit():
            if os.path.isdir(_SYSTEMD):  # noqa: PTH112 - as above; elsewhere nothing runs by it
                _systemctl("disable", "--now", self._place.unit)
            os.unlink(self._place.unit_file)  # noqa: PTH108 - as above

    def _stop_process(self) -> None:
        pid = self._process()
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        daemons.wait_until(lambda: not self.is_awake(), "what watches over the servers does not end", _STOP_SECONDS)


class Place(NamedTuple):
    """Where the files of the watch over a backend are."""

    root: str

    @property
    def folder(self) -> str:
        """The folder, for root alone."""
        return os.path.join(self.root, "watch")  # noqa: PTH118 - as above

    @property
    def archive(self) -> str:
        """The code."""
        return os.path.join(self.folder, "agent.zip")  # noqa: PTH118 - as above

    @property
    def settings(self) -> str:
        """The settings of the backend, without secrets."""
        return os.path.join(self.folder, "settings.json")  # noqa: PTH118 - as above

    @property
    def lock(self) -> str:
        """Held by who watches; it names the process, and what that has loaded (see `loaded_digest`)."""
        return os.path.join(self.folder, "lock")  # noqa: PTH118 - as above

    @property
    def log(self) -> str:
        """What a process of its own says; that of a unit is in the journal."""
        return os.path.join(self.folder, "log")  # noqa: PTH118 - as above

    @property
    def unit(self) -> str:
        """The name of the unit: another for each backend of a host."""
        name = os.path.basename(self.root)  # noqa: PTH119 - as above
        plain = "".join(character if character.isascii() and character.isalnum() else "-" for character in name)
        return f"sharectl-{plain}-{hashlib.sha256(os.fsencode(self.root)).hexdigest()[:8]}.service"

    @property
    def unit_file(self) -> str:
        """The file of the unit."""
        return os.path.join(_UNITS, self.unit)  # noqa: PTH118 - as above


def command(place: Place) -> list[str]:
    """Return the command that watches over a backend."""
    return [sys.executable, *_PYTHON_OPTIONS, place.archive, place.root]


def loaded_digest(place: Place) -> str:
    """Return what tells the code and the settings that are there from all others."""
    digest = hashlib.sha256()
    for path in (place.archive, place.settings):
        digest.update(hashlib.sha256(Path(path).read_bytes()).digest())
    return digest.hexdigest()


def unit_text(place: Place) -> str:
    """Return the unit. It waits for local disks and the network, but for no disk alone: one that is missing holds up nothing."""
    words = " ".join(f'"{word}"' for word in (part.replace("%", "%%").replace("$", "$$") for part in command(place)))
    return (
        "# Written by sharectl; a change made here by hand is overwritten.\n"
        "[Unit]\n"
        f"Description=sharectl: file servers of {place.root.replace('%', '%%')}\n"
        "After=local-fs.target remote-fs.target network-online.target\n"
        "Wants=network-online.target\n"
        "StartLimitIntervalSec=0\n"
        "\n"
        "[Service]\n"
        f"ExecStart={words}\n"
        "# The servers go on when this is stopped, or started anew by another version.\n"
        "KillMode=process\n"
        "Restart=always\n"
        "RestartSec=2\n"
        "\n"
        "[Install]\n"
        "WantedBy=multi-user.target\n"
    )


def _systemctl(*words: str) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - a list of arguments, no shell
            [commands.find("systemctl") or "systemctl", *words],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_COMMAND_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        message = f"systemctl {words[0]} did not end within {_COMMAND_SECONDS:g} s"
        raise Problem(ProblemKind.TRANSIENT, message) from None
    if done.returncode != 0:
        message = f"systemctl {' '.join(words)} failed: {done.stderr.strip()}"
        raise Problem(ProblemKind.REFUSED, message)


def _replace(path: str, content: bytes, mode: int = 0o600) -> bool:
    """Replace a file where its content is another; tell whether it was."""
    with suppress(FileNotFoundError):
        if Path(path).read_bytes() == content:
            return False
    daemons.write_atomically(path, content, mode)
    return True
