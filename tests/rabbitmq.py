"""RabbitMQ for tests: one broker that all tests of a run share, with names of queues that nobody else has."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Final

from tests import servers
from tests.ports import free_ports

PROGRAMS: Final = Path("/usr/lib/rabbitmq/bin")
"""Those in /usr/sbin insist on the folders of the package."""
_START_SECONDS: Final = 300
"""Less than a test may take, so that what it said is told."""
_TRIES: Final = 5
_ABSENCES: Final = 10
"""How often it is not seen before it is taken to have ended: a process has no environment while it becomes another program."""
_SETTINGS: Final = """loopback_users = none
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 50MB
raft.wal_max_size_bytes = 16777216
log.file.level = warning
"""
_ERLANG: Final = "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none"


class PortTakenError(Exception):
    """The broker has ended by itself: somebody else was quicker to take one of its ports."""


class Broker:
    """A RabbitMQ server with its data in a folder of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        """Use the broker of `folder`, which listens on this port of 127.0.0.1."""
        self.folder = folder
        self.port = port

    @classmethod
    def create(cls, parent: str | None = None) -> Broker:
        """Make a broker in a new folder of `parent`, not started yet. Skips where there is none to be had."""
        servers.require((PROGRAMS / "rabbitmq-server").exists(), "RabbitMQ (apt-get install rabbitmq-server)")
        folder = Path(tempfile.mkdtemp(prefix="sharectl-mq-", dir=parent))
        servers.keep(folder, _stopping(folder))
        port, distribution, epmd = free_ports(3)
        (folder / "log").mkdir()
        (folder / "enabled_plugins").write_text("[].\n")
        (folder / "rabbitmq.conf").write_text(_SETTINGS)
        variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "RABBITMQ_NODENAME": f"sharectl{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(distribution),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(epmd),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERLANG,
        }
        (folder / "environment").write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
        if not os.geteuid():
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, "rabbitmq", "rabbitmq")
        return cls(folder, port)

    @property
    def url(self) -> str:
        """The URL for the user who may do everything."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def start(self) -> None:
        """Start it, and return when it answers. Raises PortTakenError."""
        command = ["setsid", "--fork", *self._as_its_user(), str(PROGRAMS / "rabbitmq-server")]
        with (self.folder / "out").open("ab") as out:
            subprocess.run(
                command,
                env=self._environment(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                check=True,
            )
        deadline = monotonic() + _START_SECONDS
        absences = 0
        while not self._answers():
            said = (self.folder / "out").read_text()
            assert monotonic() < deadline, said
            absences = 0 if self._is_running() else absences + 1
            if absences > _ABSENCES:
                raise PortTakenError(said)
            sleep(0.1)

    def kill(self) -> None:
        """End it as abruptly as its machine would, and return when it is gone."""
        for process_id in self.process_ids():
            with suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGKILL)
        deadline = monotonic() + _START_SECONDS
        while any(_is_alive(process_id) for process_id in self.process_ids()):
            assert monotonic() < deadline
            sleep(0.02)

    def remove(self) -> None:
        """End it, with the daemon that its node is registered with, and remove its folder."""
        self.kill()
        servers.forget(self.folder)

    def process_ids(self) -> list[int]:
        """Return the processes that were started with the environment of this broker."""
        mark = f"HOME={self.folder}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    if mark in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
        return found

    def control(self, *arguments: str) -> str:
        """Run rabbitmqctl, and return what it printed; it takes a second."""
        status, printed = self._run_control(*arguments)
        assert status == 0, printed
        return printed

    def close_connections(self, user: str) -> None:
        """End each connection of a user.

        rabbitmqctl stops at one that its client has ended since it was listed, so it is asked again about the others.
        """
        deadline = monotonic() + _START_SECONDS
        while (ended := self._run_control("close_all_user_connections", user, "test"))[0] != 0:
            assert "noproc" in ended[1], ended[1]
            assert monotonic() < deadline, ended[1]

    def _run_control(self, *arguments: str) -> tuple[int, str]:
        command = [*self._as_its_user(), str(PROGRAMS / "rabbitmqctl"), *arguments]
        done = subprocess.run(
            command,
            env=self._environment(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_START_SECONDS,
        )
        return done.returncode, done.stdout

    def _is_running(self) -> bool:
        """Tell whether the server itself is there; the daemon that it is registered with outlives it."""
        names = [_name_of(process_id) for process_id in self.process_ids() if _is_alive(process_id)]
        return any(name not in {"", "epmd"} for name in names)

    def _environment(self) -> dict[str, str]:
        lines = (self.folder / "environment").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    @staticmethod
    def _as_its_user() -> list[str]:
        if os.geteuid():
            return []
        return ["setpriv", "--reuid=rabbitmq", "--regid=rabbitmq", "--clear-groups"]

    def _answers(self) -> bool:
        """Tell whether it speaks AMQP by now: an open port alone is too early."""
        try:
            with closing(socket.create_connection(("127.0.0.1", self.port), timeout=5)) as connection:
                connection.sendall(b"AMQP\0\0\x09\x01")
                return connection.recv(1) == b"\x01"
        except OSError:
            return False


def _is_alive(process_id: int) -> bool:
    """Tell whether the process is there, and not only its entry, where nobody has reaped it."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _name_of(process_id: int) -> str:
    """Return the name of the program, or nothing where the process is gone."""
    try:
        return Path(f"/proc/{process_id}/comm").read_text().strip()
    except OSError:
        return ""


def _stopping(folder: Path) -> list[str]:
    """Return a command that ends the broker when nothing of it is known but its folder."""
    script = (
        'for entry in /proc/[0-9]*; do if tr "\\0" "\\n" <"$entry/environ" 2>/dev/null | grep -qx "HOME=$1"; '
        'then kill -KILL "${entry#/proc/}"; fi; done'
    )
    return ["sh", "-c", script, "sh", str(folder)]


def shared_broker() -> Broker:
    """Return the broker that all tests of a run share."""

    def start() -> dict[str, str]:
        for tries_left in reversed(range(_TRIES)):
            broker = Broker.create()
            try:
                broker.start()
                break
            except PortTakenError:
                broker.remove()
                if not tries_left:
                    raise
        return {"folder": str(broker.folder), "port": str(broker.port)}

    told = servers.shared("rabbitmq", start)
    return Broker(Path(told["folder"]), int(told["port"]))
