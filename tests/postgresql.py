"""PostgreSQL for tests: one server that all tests of a run share, a schema for each, and servers of their own for tests that stop them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest

from tests import servers
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

USER: Final = "sharectl"
DATABASE: Final = "postgres"
_START_SECONDS: Final = 300
_TRIES: Final = 5
_SETTINGS: Final = """
listen_addresses = ''
port = {port}
unix_socket_directories = '{folder}'
shared_buffers = 32MB
max_connections = 200
"""


def binaries() -> Path | None:
    """Return the folder of the newest server's programs, or None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return found[-1].parent if found else None


def as_its_user() -> list[str]:
    """Return the beginning of a command that the server's user is to run: it refuses to work for root."""
    if os.geteuid():
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


class Server:
    """A PostgreSQL server that listens on a socket in a folder of its own."""

    def __init__(self, folder: Path, port: int = 5432) -> None:
        """Use the server whose data is in `folder`; its socket is named after the port."""
        self.folder = folder
        self.port = port

    @classmethod
    def create(cls, settings: str = "", port: int = 5432, parent: str | None = None) -> Server:
        """Make a server in a new folder of `parent`, not started yet; `settings` are lines of its configuration. Skips where there is none to be had."""
        found = binaries()
        servers.require(found is not None, "PostgreSQL (apt-get install postgresql)")
        folder = Path(tempfile.mkdtemp(prefix="sharectl-pg-", dir=parent))
        if not os.geteuid():
            shutil.chown(folder, "postgres")
        server = cls(folder, port)
        servers.keep(folder, server.command(*server.stopping("immediate")))
        options = ["-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        server.run("initdb", "-D", str(server.data), "-U", USER, *options)
        with (server.data / "postgresql.conf").open("a") as file:
            file.write(_SETTINGS.format(folder=folder, port=port) + settings + "\n")
        return server

    def standby(self) -> Server:
        """Return a standby that follows this server, not started yet."""
        folder = Path(tempfile.mkdtemp(prefix="sharectl-pg-"))
        standby = Server(folder, self.port)
        servers.keep(folder, standby.command(*standby.stopping("immediate")))
        self.give(folder)
        self.run(
            "pg_basebackup",
            "-h",
            str(self.folder),
            "-p",
            str(self.port),
            "-U",
            USER,
            "-D",
            str(standby.data),
            "-R",
            "-X",
            "stream",
            "-c",
            "fast",
        )
        with (standby.data / "postgresql.conf").open("a") as file:
            file.write(_SETTINGS.format(folder=folder, port=self.port))
        return standby

    @property
    def data(self) -> Path:
        """Its data folder."""
        return self.folder / "data"

    def start(self) -> None:
        """Start it, and return when it answers."""
        self.run(
            "pg_ctl", "-D", str(self.data), "-l", str(self.folder / "log"), "-w", "-t", str(_START_SECONDS), "start"
        )

    def start_on_tcp(self) -> None:
        """Start it so that it listens on a port of 127.0.0.1 as well; on another one where somebody else was quicker to take it."""
        for tries_left in reversed(range(_TRIES)):
            (self.port,) = free_ports(1)
            with (self.data / "postgresql.conf").open("a") as file:
                file.write(f"listen_addresses = '127.0.0.1'\nport = {self.port}\n")
            try:
                return self.start()
            except AssertionError:
                if not tries_left:
                    raise
        return None

    def stop(self, mode: str = "fast") -> None:
        """Stop it; in the mode `immediate` as if its machine had lost power, but for what the disk would lose."""
        self.run(*self.stopping(mode))

    def stopping(self, mode: str = "fast") -> Sequence[str]:
        """Return the command that stops it, without the folder of programs."""
        return "pg_ctl", "-D", str(self.data), "-m", mode, "-w", "-t", str(_START_SECONDS), "stop"

    def remove(self) -> None:
        """Stop it, if it runs, and remove its folder."""
        if (self.data / "postmaster.pid").exists():
            self.stop("immediate")
        servers.forget(self.folder)

    def run(self, program: str, *arguments: str) -> str:
        """Run one of PostgreSQL's programs as the server's user, and return what it printed."""
        command = self.command(program, *arguments)
        done = subprocess.run(
            command,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_START_SECONDS,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}"
        return done.stdout

    def command(self, program: str, *arguments: str) -> list[str]:
        """Return the command that `run` runs."""
        return [*as_its_user(), f"{binaries()}/{program}", *arguments]

    def sql(self, statements: str) -> str:
        """Execute statements as the superuser, and return what they printed."""
        return self.run(
            "psql",
            "-h",
            str(self.folder),
            "-p",
            str(self.port),
            "-U",
            USER,
            "-d",
            DATABASE,
            "-v",
            "ON_ERROR_STOP=1",
            "-Atqc",
            statements,
        )

    def give(self, file: Path) -> None:
        """Let a file belong to the server's user."""
        if not os.geteuid():
            shutil.chown(file, "postgres")

    def url(self, name: str = "") -> str:
        """Return the URL of a state on it; without a name one of a new state."""
        return f"postgresql://{USER}@/{DATABASE}?host={self.folder}&port={self.port}&name={name or new_name()}"


@contextmanager
def traced(folder: Path) -> Iterator[Callable[[], list[str]]]:
    """Yield what lists the messages that clients have sent since it was last called, over connections that are opened in the block."""
    connect = vars(psycopg.Connection)["connect"].__func__

    def traced_connect(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - as psycopg has it
        connection = connect(*arguments, **named)
        connection.pgconn.trace(written.fileno())
        connection.pgconn.set_trace_flags(psycopg.pq.Trace.SUPPRESS_TIMESTAMPS)
        return connection

    def sent() -> list[str]:
        lines = [line.split(b"\t") for line in read.read().splitlines()]
        return [line[2].decode() for line in lines if line[0] == b"F"]

    with (
        (folder / "trace").open("ab") as written,
        (folder / "trace").open("rb") as read,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(psycopg.Connection, "connect", classmethod(traced_connect))
        yield sent


def new_name() -> str:
    """Return the name of a state that nobody else has."""
    worker = re.sub("[^a-z0-9]", "", os.environ.get("PYTEST_XDIST_WORKER", "main"))
    return f"t-{worker}-{uuid.uuid4().hex[:12]}"


def shared_server() -> Server:
    """Return the server that all tests of a run share. It does without durability, which these tests do not look at."""

    def start() -> dict[str, str]:
        server = Server.create("fsync = off")
        server.start()
        return {"folder": str(server.folder)}

    return Server(Path(servers.shared("postgresql", start)["folder"]))
