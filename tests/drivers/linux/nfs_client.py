"""An NFS client (version 4.0 or 3) over libnfs, run as a program in a client's network namespace; and the functions with which tests run it."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import socket
import struct
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.drivers.linux.lab import Host

_SECONDS = 300
_CHUNK_BYTES = 2048
"""libnfs 4.0 cannot send an NFSv4 WRITE of more than 3,932 bytes."""

_READ_BYTES = 65536

V3 = 111
"""The port of a server that speaks NFSv3: of rpcbind, which tells the client the others."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a client's operation ended: exit code 0 and what it printed, or another and the server's error (`NFS4ERR_…`)."""

    code: int
    text: str

    @property
    def is_done(self) -> bool:
        """Tell whether the operation succeeded."""
        return self.code == 0


def nfs(
    host: Host,
    address: str,
    path: str,
    *words: str,
    port: int = 2049,
    user: tuple[int, int] = (0, 0),
) -> Answer:
    """Mount `path` of the server at `address` from `host`, and do one thing there; with `port=V3` by NFSv3.

    `user` is who runs the client (whoever is not root has no port below 1024), and who it says that it is. `words`: `ls`; `cat NAME`; `write NAME BYTES`; `put NAME TEXT`; `rm NAME`; `mkdir NAME`; `rmdir NAME`; `stat NAME` (prints `UID GID MODE SIZE`);
    `free` (prints the bytes that are free); `chmod NAME MODE`; `mv NAME NEW`; `ln TARGET NAME`; `link NAME NEW`; `truncate NAME BYTES`.
    """
    runs_as, claims = user
    become = ("setpriv", f"--reuid={runs_as}", f"--regid={runs_as}", "--clear-groups", "--") if runs_as else ()
    argv = [*_argv(host, *become), f"{_url(address, path, port)}&uid={claims}&gid={claims}", *words]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=_SECONDS)
    return Answer(done.returncode, (done.stdout + done.stderr).strip())


def status_of_minor_version(host: Host, address: str, minor: int, *, port: int = 2049) -> int:
    """Return the NFS status with which the server answers a request of NFSv4.`minor` from `host` outside of a session."""
    argv = [*_argv(host), address, str(port), str(minor)]
    return int(subprocess.run(argv, check=True, capture_output=True, text=True, timeout=_SECONDS).stdout)


class HeldFile:
    """A file that a client holds open."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Take over the client."""
        self._process = process

    def write(self) -> Answer:
        """Write a byte through the open handle; a client that dies of the answer counts as refused."""
        if self._process.stdin is None or self._process.stdout is None:
            message = "the client has no pipes"
            raise RuntimeError(message)
        try:
            self._process.stdin.write("write\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return Answer(1, "the client ended")
        line = self._process.stdout.readline().strip()
        return Answer(0 if line == "done" else 1, line or "the client ended")


@contextmanager
def held(host: Host, address: str, path: str, name: str, *, port: int = 2049) -> Iterator[HeldFile]:
    """Hold a new file open for writing while the block runs."""
    with doing([*_argv(host), _url(address, path, port), "hold", name]) as process:
        yield HeldFile(process)


@contextmanager
def locked(host: Host, address: str, path: str, name: str) -> Iterator[None]:
    """Hold a lock of a small file while the block runs."""
    with doing([*_argv(host), _url(address, path, 2049), "lock", name]):
        yield


@contextmanager
def doing(argv: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Run a client that says when it has the file open."""
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            said = process.stdout.readline().strip() if process.stdout is not None else ""
            if said != "open":
                message = f"the client cannot open the file: {said}"
                raise RuntimeError(message)
            yield process
        finally:
            process.kill()


def _argv(host: Host, *become: str) -> list[str]:
    return ["nsenter", f"--net={host.namespace_path}", "--", *become, sys.executable, "-S", "-E", str(Path(__file__))]


def _url(address: str, path: str, port: int) -> str:
    return f"nfs://{address}{path}?" + ("version=3" if port == V3 else f"version=4&nfsport={port}")


class _Url(ctypes.Structure):
    _fields_ = (("server", ctypes.c_char_p), ("path", ctypes.c_char_p), ("file", ctypes.c_char_p))


class _Entry(ctypes.Structure):
    """The beginning of a `struct nfsdirent`."""

    _fields_ = (("next", ctypes.c_void_p), ("name", ctypes.c_char_p))


_STAT_FIELDS = (
    *("dev", "ino", "mode", "nlink", "uid", "gid", "rdev", "size", "blksize", "blocks"),
    *("atime", "mtime", "ctime", "atime_nsec", "mtime_nsec", "ctime_nsec", "used"),
)
_STATVFS_FIELDS = (
    *("bsize", "frsize", "blocks", "bfree", "bavail", "files", "ffree", "favail", "fsid", "flag", "namemax"),
)


class _Stat(ctypes.Structure):
    """A `struct nfs_stat_64`."""

    _fields_ = tuple((name, ctypes.c_uint64) for name in _STAT_FIELDS)


class _StatVfs(ctypes.Structure):
    """The C library's `struct statvfs` on 64-bit Linux."""

    _fields_ = (*((name, ctypes.c_ulong) for name in _STATVFS_FIELDS), ("spare", ctypes.c_int * 8))


_POINTER, _TEXT, _INT, _LONG = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint64
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "nfs_init_context": (_POINTER,),
    "nfs_parse_url_dir": (ctypes.POINTER(_Url), _POINTER, _TEXT),
    "nfs_mount": (_INT, _POINTER, _TEXT, _TEXT),
    "nfs_get_error": (_TEXT, _POINTER),
    "nfs_opendir": (_INT, _POINTER, _TEXT, ctypes.POINTER(_POINTER)),
    "nfs_readdir": (ctypes.POINTER(_Entry), _POINTER, _POINTER),
    "nfs_open2": (_INT, _POINTER, _TEXT, _INT, _INT, ctypes.POINTER(_POINTER)),
    "nfs_pread": (_INT, _POINTER, _POINTER, _LONG, _LONG, _POINTER),
    "nfs_pwrite": (_INT, _POINTER, _POINTER, _LONG, _LONG, _TEXT),
    "nfs_fsync": (_INT, _POINTER, _POINTER),
    "nfs_close": (_INT, _POINTER, _POINTER),
    "nfs_unlink": (_INT, _POINTER, _TEXT),
    "nfs_mkdir": (_INT, _POINTER, _TEXT),
    "nfs_lockf": (_INT, _POINTER, _POINTER, _INT, _LONG),
    "nfs_chmod": (_INT, _POINTER, _TEXT, _INT),
    "nfs_rename": (_INT, _POINTER, _TEXT, _TEXT),
    "nfs_symlink": (_INT, _POINTER, _TEXT, _TEXT),
    "nfs_rmdir": (_INT, _POINTER, _TEXT),
    "nfs_link": (_INT, _POINTER, _TEXT, _TEXT),
    "nfs_truncate": (_INT, _POINTER, _TEXT, _LONG),
    "nfs_stat64": (_INT, _POINTER, _TEXT, ctypes.POINTER(_Stat)),
    "nfs_statvfs": (_INT, _POINTER, _TEXT, ctypes.POINTER(_StatVfs)),
}


class _Mounted:
    """A mounted export; every error is an OSError with libnfs's text."""

    def __init__(self, url: str) -> None:
        name = ctypes.util.find_library("nfs")
        if name is None:
            message = "libnfs is not installed"
            raise OSError(message)
        self._library = ctypes.CDLL(name)
        for function, (result, *arguments) in _FUNCTIONS.items():
            getattr(self._library, function).restype = result
            getattr(self._library, function).argtypes = arguments
        self._context = self._library.nfs_init_context()
        parsed = self._library.nfs_parse_url_dir(self._context, url.encode())
        if not parsed:
            raise OSError(self._error())
        self._do("nfs_mount", parsed.contents.server, parsed.contents.path)

    def _error(self) -> str:
        return (self._library.nfs_get_error(self._context) or b"").decode(errors="replace")

    def _do(self, function: str, *arguments: object) -> int:
        code: int = getattr(self._library, function)(self._context, *arguments)
        if code < 0:
            raise OSError(-code, self._error())
        return code

    def ls(self) -> str:
        folder = _POINTER()
        self._do("nfs_opendir", b"/", ctypes.byref(folder))
        names = []
        while entry := self._library.nfs_readdir(self._context, folder):
            names.append(entry.contents.name.decode())
        return "\n".join(sorted(set(names) - {".", ".."}))

    def open(self, name: str, flags: int) -> ctypes.c_void_p:
        handle = _POINTER()
        self._do("nfs_open2", f"/{name}".encode(), flags, 0o644, ctypes.byref(handle))
        return handle

    def open_new(self, name: str) -> ctypes.c_void_p:
        """Open a file that is empty then; libnfs 4.0 creates as if O_EXCL were asked for."""
        try:
            return self.open(name, os.O_CREAT | os.O_WRONLY)
        except FileExistsError:
            return self.open(name, os.O_WRONLY | os.O_TRUNC)

    def cat(self, name: str) -> str:
        handle, content = self.open(name, os.O_RDONLY), b""
        buffer = ctypes.create_string_buffer(_READ_BYTES)
        while count := self._do("nfs_pread", handle, len(content), _READ_BYTES, buffer):
            content += buffer.raw[:count]
        self._do("nfs_close", handle)
        return content.decode(errors="replace")

    def write(self, name: str, size: str) -> str:
        handle, written, total = self.open_new(name), 0, int(size)
        chunk = os.urandom(_CHUNK_BYTES)
        try:
            while written < total:
                written += self._do("nfs_pwrite", handle, written, min(_CHUNK_BYTES, total - written), chunk)
            self._do("nfs_fsync", handle)
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror} after {written} bytes") from error
        finally:
            self._library.nfs_close(self._context, handle)
        return f"wrote {written}"

    def put(self, name: str, text: str) -> str:
        handle = self.open_new(name)
        self._do("nfs_pwrite", handle, 0, len(text.encode()), text.encode())
        self._do("nfs_close", handle)
        return ""

    def rm(self, name: str) -> str:
        self._do("nfs_unlink", f"/{name}".encode())
        return ""

    def mkdir(self, name: str) -> str:
        self._do("nfs_mkdir", f"/{name}".encode())
        return ""

    def rmdir(self, name: str) -> str:
        self._do("nfs_rmdir", f"/{name}".encode())
        return ""

    def link(self, name: str, new_name: str) -> str:
        self._do("nfs_link", f"/{name}".encode(), f"/{new_name}".encode())
        return ""

    def truncate(self, name: str, size: str) -> str:
        self._do("nfs_truncate", f"/{name}".encode(), int(size))
        return ""

    def chmod(self, name: str, mode: str) -> str:
        self._do("nfs_chmod", f"/{name}".encode(), int(mode, 8))
        return ""

    def mv(self, name: str, new: str) -> str:
        self._do("nfs_rename", f"/{name}".encode(), f"/{new}".encode())
        return ""

    def ln(self, target: str, name: str) -> str:
        self._do("nfs_symlink", target.encode(), f"/{name}".encode())
        return ""

    def stat(self, name: str) -> str:
        found = _Stat()
        self._do("nfs_stat64", f"/{name}".encode(), ctypes.byref(found))
        return f"{found.uid} {found.gid} {found.mode:o} {found.size}"

    def free(self) -> str:
        found = _StatVfs()
        self._do("nfs_statvfs", b"/", ctypes.byref(found))
        return str(found.frsize * found.bavail)

    def hold(self, name: str) -> str:
        handle, written = self.open_new(name), 0
        print("open", flush=True)  # noqa: T201 - a program prints
        for _line in sys.stdin:
            try:
                written += self._do("nfs_pwrite", handle, written, 1, b"x")
                self._do("nfs_fsync", handle)
                answer = "done"
            except OSError as error:
                answer = str(error)
            print(answer, flush=True)  # noqa: T201 - a program prints
        return ""

    def lock(self, name: str) -> str:
        """Hold a lock of a small file until the standard input ends; 1 is NFS4_F_TLOCK."""
        self._do("nfs_lockf", self.open(name, os.O_RDWR), 1, _CHUNK_BYTES)
        print("open", flush=True)  # noqa: T201 - a program prints
        sys.stdin.read()
        return ""


def _ask_minor_version(address: str, port: str, minor: str) -> int:
    """Send COMPOUND with PUTROOTFH alone (RFC 8881), and return its status."""
    rpc_call, rpc_version, program, version, procedure, put_root_fh = 0, 2, 100003, 4, 1, 24
    words = (1, rpc_call, rpc_version, program, version, procedure, 0, 0, 0, 0, 0, int(minor), 1, put_root_fh)
    body = struct.pack(f">{len(words)}I", *words)
    with socket.create_connection((address, int(port)), _SECONDS) as connection, connection.makefile("rb") as reply:
        connection.sendall(struct.pack(">I", 1 << 31 | len(body)) + body)
        _mark, _xid, _reply, _accepted, _flavour, _length, accept_status, status = struct.unpack(">8I", reply.read(32))
    if accept_status != 0:
        message = f"the server answers the call with {accept_status}"
        raise OSError(message)
    return int(status)


def main(url: str, word: str, *arguments: str) -> int:
    """Do one thing and say how it ended."""
    try:
        if not url.startswith("nfs://"):
            print(_ask_minor_version(url, word, *arguments))  # noqa: T201 - a program prints
            return 0
        print(getattr(_Mounted(url), word)(*arguments))  # noqa: T201 - a program prints
    except OSError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a program prints
        return min(abs(error.errno or 1), 125) or 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
