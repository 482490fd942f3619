"""An SMB client (version 2.1, NTLMv2, signed) that keeps a file open or locked, run as a program in a client's network namespace.

smbclient opens a file for one command alone, and locks bytes over SMB 1 alone.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
import struct
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.drivers.linux.lab import Host
    from tests.drivers.linux.nfs_client import HeldFile

_SECONDS: Final = 300
_HEADER: Final = struct.Struct("<4sHHIHHIIQIIQ16s")
_NEGOTIATE, _SESSION_SETUP, _TREE_CONNECT, _CREATE, _WRITE, _LOCK = 0, 1, 3, 5, 9, 10
_ASYNCHRONOUS, _SIGNED = 2, 8
_DIALECT: Final = 0x0210
_PENDING, _MORE_PROCESSING = 0x00000103, 0xC0000016
_NTLM_FLAGS: Final = 0x20888215
"""Unicode, request target, sign, NTLM, always sign, extended session security, target information, 128 bits; no exchange of keys."""

_OPEN_IF, _READ_AND_WRITE, _SHARE_ALL, _NORMAL = 3, 0x0012019F, 7, 0x80
_EXCLUSIVE_AT_ONCE: Final = 0x12


@contextmanager
def held(host: Host, address: str, share: str, login: tuple[str, str], name: str) -> Iterator[HeldFile]:
    """Hold a file open for writing while the block runs; `login` is a user and the password."""
    from tests.drivers.linux.nfs_client import HeldFile, doing  # noqa: PLC0415 - the program has the standard library alone

    with doing(_argv(host, address, share, login, "hold", name)) as process:
        yield HeldFile(process)


@contextmanager
def locked(host: Host, address: str, share: str, login: tuple[str, str], name: str) -> Iterator[None]:
    """Hold a lock of the first bytes of a file while the block runs. Raises RuntimeError with the status where it is refused."""
    from tests.drivers.linux.nfs_client import doing  # noqa: PLC0415 - as above

    with doing(_argv(host, address, share, login, "lock", name)):
        yield


def _argv(host: Host, address: str, share: str, login: tuple[str, str], *words: str) -> list[str]:
    from sharectl.drivers.linux.agent.smb.nt_hash import nt_hash  # noqa: PLC0415 - as above

    user, password = login
    enter = ["nsenter", f"--net={host.namespace_path}", "--", sys.executable, "-S", "-E", str(Path(__file__))]
    return [*enter, address, share, user, nt_hash(password), *words]


class RefusedError(Exception):
    """What the server refused, with its status."""


class _Connection:
    """A session on one share."""

    def __init__(self, address: str, share: str, user: str, hashed: bytes) -> None:
        self._socket = socket.create_connection((address, 445), _SECONDS)
        self._input = self._socket.makefile("rb")
        self._message = self._session = self._tree = 0
        self._key: bytes | None = None
        self._ask(_NEGOTIATE, struct.pack("<HHHHI16sQH", 36, 1, 1, 0, 0, os.urandom(16), 0, _DIALECT))
        challenge = self._set_up(b"NTLMSSP\0" + struct.pack("<II16x", 1, _NTLM_FLAGS), _MORE_PROCESSING)
        token, key = _authenticated(challenge[challenge.index(b"NTLMSSP\0") :], user, hashed)
        self._set_up(token, 0)
        self._key = key
        path = rf"\\{address}\{share}".encode("utf-16-le")
        self._ask(_TREE_CONNECT, struct.pack("<HHHH", 9, 0, _HEADER.size + 8, len(path)) + path)

    def open(self, name: str) -> bytes:
        """Open or make a file, and return its handle."""
        encoded = name.encode("utf-16-le")
        access = (_READ_AND_WRITE, _NORMAL, _SHARE_ALL, _OPEN_IF, 0)
        fixed = struct.pack("<HBBIQQIIIIIHHII", 57, 0, 0, 2, 0, 0, *access, _HEADER.size + 56, len(encoded), 0, 0)
        return self._ask(_CREATE, fixed + encoded)[64:80]

    def write(self, handle: bytes) -> None:
        """Write a byte."""
        self._ask(_WRITE, struct.pack("<HHIQ16sIIHHI", 49, _HEADER.size + 48, 1, 0, handle, 0, 0, 0, 0, 0) + b"x")

    def lock(self, handle: bytes) -> None:
        """Lock the first bytes of the file, or be refused at once."""
        self._ask(_LOCK, struct.pack("<HHI16sQQII", 48, 1, 0, handle, 0, 2048, _EXCLUSIVE_AT_ONCE, 0))

    def _set_up(self, token: bytes, expected: int) -> bytes:
        body = struct.pack("<HBBIIHHQ", 25, 0, 1, 0, 0, _HEADER.size + 24, len(token), 0) + token
        return self._ask(_SESSION_SETUP, body, expected)

    def _ask(self, command: int, body: bytes, expected: int = 0) -> bytes:
        flags = _SIGNED if self._key else 0
        numbers = (1, 0, command, 1, flags, 0, self._message, 0, self._tree, self._session)
        message = _HEADER.pack(b"\xfeSMB", 64, *numbers, bytes(16)) + body
        if self._key:
            signature = hmac.new(self._key, message, hashlib.sha256).digest()[:16]
            message = message[:48] + signature + message[64:]
        self._message += 1
        self._socket.sendall(struct.pack(">I", len(message)) + message)
        status, answer = self._answer()
        while status == _PENDING:
            status, answer = self._answer()
        if status != expected:
            status_text = f"status {status:#010x}"
            raise RefusedError(status_text)
        return answer

    def _answer(self) -> tuple[int, bytes]:
        """Return a status, and what came with it."""
        length = self._input.read(4)
        if len(length) < 4:
            message_of_end = "the server ended the connection"
            raise RefusedError(message_of_end)
        answer = self._input.read(struct.unpack(">I", length)[0])
        _, _, _, status, _, _, flags, _, _, _, tree, self._session, _ = _HEADER.unpack(answer[: _HEADER.size])
        if not flags & _ASYNCHRONOUS:  # where the tree would be, such an answer has something else
            self._tree = tree
        return status, answer[_HEADER.size :]


def _authenticated(challenge: bytes, user: str, hashed: bytes) -> tuple[bytes, bytes]:
    """Return the AUTHENTICATE message of NTLM (MS-NLMP, 3.3.2), and the key of the session."""
    length, _, offset = struct.unpack_from("<HHI", challenge, 40)
    target = challenge[offset : offset + length]
    key = _hmac(hashed, user.upper().encode("utf-16-le"))
    blob = b"\x01\x01" + bytes(6) + struct.pack("<Q", 116444736000000000) + os.urandom(8) + bytes(4) + target + bytes(4)
    proof = _hmac(key, challenge[24:32] + blob)
    name = user.encode("utf-16-le")
    parts = (bytes(24), proof + blob, b"", name, b"", b"")
    fields, payload, start = b"", b"", 64
    for part in parts:
        fields += struct.pack("<HHI", len(part), len(part), start + len(payload))
        payload += part
    head = b"NTLMSSP\0" + struct.pack("<I", 3) + fields + struct.pack("<I", _NTLM_FLAGS)
    return head + payload, _hmac(key, proof)


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.md5).digest()


def main(address: str, share: str, user: str, hashed: str, *words: str) -> int:
    """Open the file, lock it or not, say so, and write a byte for each line of the standard input."""
    word, name = words
    try:
        connection = _Connection(address, share, user, bytes.fromhex(hashed))
        handle = connection.open(name)
        if word == "lock":
            connection.lock(handle)
    except (OSError, RefusedError) as error:
        print(error, flush=True)  # noqa: T201 - a program prints
        return 1
    print("open", flush=True)  # noqa: T201 - as above
    for _line in sys.stdin:
        try:
            connection.write(handle)
            answer = "done"
        except (OSError, RefusedError) as error:
            answer = str(error)
        print(answer, flush=True)  # noqa: T201 - as above
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
