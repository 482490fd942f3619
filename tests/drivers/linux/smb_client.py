"""SMB clients: smbclient in a network namespace, once for a few commands or as a session that stays open."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import tempfile
import termios
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.drivers.linux.lab import Host

_PROMPT = b"smb: \\"
_DEADLINE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What smbclient said; it often fails with exit code 0, so the text counts."""

    text: str

    @property
    def is_ok(self) -> bool:
        """Whether nothing was refused."""
        return "NT_STATUS_" not in self.text and "failed" not in self.text


@contextmanager
def _command(host: Host, address: str, share: str, user: str, password: str) -> Iterator[tuple[list[str], str]]:
    """Give the command line and the client's own folder, with the credentials in a file."""
    with tempfile.TemporaryDirectory(prefix="smb-client-") as folder:
        places = ("lock directory", "private dir", "state directory", "cache directory")
        lines = ["[global]", *(f"{place} = {folder}" for place in places)]
        (Path(folder) / "client.conf").write_text("\n".join([*lines, ""]), encoding="utf-8")
        (Path(folder) / "credentials").write_text(f"username = {user}\npassword = {password}\n", encoding="utf-8")
        enter = ["nsenter", f"--net={host.namespace_path}", "--"]
        files = ["-s", f"{folder}/client.conf", "-A", f"{folder}/credentials"]
        yield [*enter, "smbclient", *files, f"//{address}/{share}"], folder


def smb(  # noqa: PLR0913, PLR0917 - a case has as many parts
    host: Host, address: str, share: str, user: str, password: str, commands: str, *options: str
) -> Answer:
    """Run commands of smbclient, with `;` between them; `put` and `get` take local paths. `options` are those of smbclient."""
    with _command(host, address, share, user, password) as (argv, folder):
        result = subprocess.run(
            [*argv, *options, "-c", commands],
            check=False,
            capture_output=True,
            text=True,
            timeout=_DEADLINE_SECONDS,
            cwd=folder,
        )
        return Answer(f"{result.stdout}\n{result.stderr}".strip())


def write(  # noqa: PLR0913, PLR0917 - a case has as many parts
    host: Host, address: str, share: str, user: str, password: str, name: str = "written"
) -> Answer:
    """Write a small file into the share."""
    with tempfile.NamedTemporaryFile("w", prefix="smb-put-") as file:
        file.write("content\n")
        file.flush()
        return smb(host, address, share, user, password, f'put {file.name} "{name}"')


def listed(host: Host, address: str, user: str, password: str, *options: str) -> set[str] | None:
    """Return the shares that a user is listed (`smbclient -L`); None where the server lists none to it. `options` as of `smb`."""
    with _command(host, address, "", user, password) as (argv, folder):
        asked = [*argv[:-1], *options, "--grepable", "-L", address]
        result = subprocess.run(
            asked, check=False, capture_output=True, text=True, timeout=_DEADLINE_SECONDS, cwd=folder
        )
    rows = [line.split("|") for line in result.stdout.splitlines()]
    if not any(row[0] == "IPC" for row in rows):
        return None
    return {row[1] for row in rows if row[0] == "Disk"}


_NEGOTIATE = """
import os, socket, struct, sys
header = b"\\xfeSMB" + struct.pack("<HHIHHIIQIIQ16x", 64, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0)
body = struct.pack("<HHHHI16sQHH", 36, 2, 1, 0, 0, os.urandom(16), 0, 0x0210, 0x0302)
with socket.create_connection((sys.argv[1], 445), 300) as connection, connection.makefile("rb") as answer:
    connection.sendall(struct.pack(">I", len(header + body)) + header + body)
    print(struct.unpack("<H", answer.read(72)[70:72])[0] & 2)
"""


def has_to_sign(host: Host, address: str) -> bool:
    """Tell whether the server says that clients have to sign: the security mode of its answer to NEGOTIATE (MS-SMB2, 2.2.4)."""
    argv = ["nsenter", f"--net={host.namespace_path}", "--", sys.executable, "-c", _NEGOTIATE, address]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=_DEADLINE_SECONDS)
    return done.stdout.strip() == "2"


class Session:
    """A client that stays connected. It works at a terminal, since smbclient reads a pipe only when more has come."""

    def __init__(self, host: Host, address: str, share: str, user: str, password: str) -> None:
        """Connect."""
        self._manager = _command(host, address, share, user, password)
        argv, folder = self._manager.__enter__()
        (Path(folder) / "content").write_text("content\n", encoding="utf-8")
        self._terminal, terminal = pty.openpty()
        settings = termios.tcgetattr(terminal)
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(terminal, termios.TCSANOW, settings)
        self._process = subprocess.Popen(
            argv,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            cwd=folder,
            env={**os.environ, "TERM": "dumb"},
            start_new_session=True,
        )
        os.close(terminal)
        self.first = self._read()

    def do(self, command: str) -> Answer:
        """Run one command."""
        os.write(self._terminal, f"{command}\n".encode())
        return self._read()

    def write(self, name: str) -> Answer:
        """Write a small file into the share."""
        return self.do(f"put content {name}")

    def close(self) -> None:
        """End the client."""
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)
        self._manager.__exit__(None, None, None)

    def __enter__(self) -> Self:
        """Stay connected within the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the client."""
        self.close()

    def _read(self) -> Answer:
        """Read up to the next prompt, or to the end of a client that gave up."""
        text = b""
        end = time.monotonic() + _DEADLINE_SECONDS
        while _PROMPT not in text:
            readable, _, _ = select.select([self._terminal], [], [], max(0.0, end - time.monotonic()))
            if not readable:
                message = f"smbclient said nothing more than {text!r}"
                raise TimeoutError(message)
            try:
                text += os.read(self._terminal, 65536)
            except OSError:  # the terminal's other end is closed: smbclient has ended
                break
        return Answer(text.decode("utf-8", "replace"))
