"""The users of an SMB server: kept by Samba with their passwords, known to its host by nss_wrapper alone."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.drivers.linux.agent.contract import POOL_GROUP, Problem, ProblemKind
from sharectl.drivers.linux.agent.host.daemons import locked, wait_until, write_atomically
from sharectl.drivers.linux.agent.smb.host import NOBODY, is_of_session
from sharectl.drivers.linux.agent.smb.names import GUEST, RESERVED_USERS, local_user
from sharectl.drivers.linux.agent.smb.nt_hash import nt_hash

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Mapping

    from sharectl.drivers.linux.agent.smb.host import Host

_FIRST_USER_ID: Final = 1_000_000_000
_GUEST_ID: Final = POOL_GROUP  # of numbers that no system gives to anybody
_NO_USER_ID: Final = 4_294_967_295
_MAX_PASSWORD_CHARACTERS: Final = 127  # the longest that Windows lets a person type
_MAX_PASSWORD_BYTES: Final = 254  # the line that pdbedit reads
_FIELDS: Final = 6
_RULE: Final = "\n" + "-" * 20


class Account(NamedTuple):
    """A user as Samba keeps it; one without `user_id` is not known to the host, and cannot log in."""

    user_id: int | None
    password_hash: str
    is_enabled: bool


class Users:
    """The users of one server; each call is safe from several threads and processes."""

    def __init__(self, host: Host) -> None:
        """Touch nothing."""
        self._host = host
        self._listed: tuple[bytes, dict[str, Account]] | None = None  # what was read, of which files

    def prepare(self) -> None:
        """Write the accounts that the server itself needs, keeping the users."""
        with locked(self._host.path("users.lock")):
            self._write_accounts(self._user_ids())

    def usable(self, passwords: Mapping[str, str]) -> frozenset[str]:
        """Return who can log in, by the account's name and as `passwords` calls it; see SmbServer.users."""
        if not os.path.exists(self._host.path("private/passdb.tdb")):  # noqa: PTH110 - paths are text everywhere in the agent
            return frozenset()
        names = {user: account for user in passwords if (account := self._account_or_none(user)) is not None}
        hashes = {account: nt_hash(passwords[user]) for user, account in names.items()}
        able = {
            name
            for name, account in self._accounts().items()
            if account.user_id is not None
            and account.is_enabled
            and hashes.get(name, account.password_hash) == account.password_hash
        }
        return frozenset(able | {user for user, account in names.items() if account in able})

    def ensure(self, user: str, password: str) -> None:
        """Make the user with this password, finishing what an earlier call began.

        A password that changes ends the user's sessions: before, so that a run that dies in between leaves none, and after.
        """
        name = local_user(user, self._host.server)
        _check_password(user, password)
        with locked(self._host.path("users.lock")):
            user_ids = self._user_ids()
            if name not in user_ids:
                # Each has its own: Samba takes users of one identifier for the same person, and sessions are found by it.
                user_ids[name] = max(user_ids.values(), default=_FIRST_USER_ID) + 1
                self._write_accounts(user_ids)
            wanted = nt_hash(password)
            before = self._accounts().get(name)
            if before is not None and before.is_enabled and before.password_hash == wanted:
                return
            if before is not None:
                self.end_sessions([name])
            typed = f"{password}\n{password}\n"
            self._pdbedit("--create", "--password-from-stdin", f"--user={name}", standard_input=typed)
            if before is not None and not before.is_enabled:
                self._pdbedit("--modify", f"--user={name}", "--account-control=[]")
            if before is not None:
                self.end_sessions([name])

    def remove(self, user: str) -> None:
        """Remove the user and end its sessions; the host's knowledge goes last, since it tells whose sessions they are."""
        name = local_user(user, self._host.server)
        with locked(self._host.path("users.lock")):
            user_ids = self._user_ids()
            if name in self._accounts():
                self._pdbedit("--delete", f"--user={name}")
            if name in user_ids:
                self.end_sessions([name])
                del user_ids[name]
                self._write_accounts(user_ids)

    def end_sessions(self, names: Iterable[str]) -> None:
        """End the processes that serve these accounts; clients come back by themselves where they still may.

        One process serves one connection, so another user of the same machine may have to log in again. Raises TRANSIENT
        where it cannot be known who is connected.
        """
        session = self._host.pid()
        if session is None:
            return
        known = self._user_ids()
        user_ids = {str(known[name]) for name in names if name in known}
        for pid, user_id in self._sessions():
            if user_id in user_ids:
                self._end_process(pid, session)

    def _sessions(self) -> list[tuple[int, str]]:
        """Return the process and the user's identifier of each session, from the table of smbstatus(1) under its line of dashes."""
        result = self._host.run("smbstatus", "--brief", "--numeric")
        _, rule, table = result.stdout.partition(_RULE)
        rows = [line.split() for line in table.lstrip("-").splitlines() if line.strip()]
        if result.returncode != 0 or not rule or not all(len(row) > 1 and row[0].isdigit() for row in rows):
            lines = [line.strip() for line in (result.stderr or result.stdout).splitlines() if line.strip()]
            message = (
                f"smbstatus cannot tell who is connected to the SMB server {self._host.instance.name!r}, so sessions that should end may "
                f"go on (exit code {result.returncode}): {lines[-1] if lines else 'it said nothing'}; apply again"
            )
            raise Problem(ProblemKind.TRANSIENT, message)
        return [(int(row[0]), row[1]) for row in rows]

    def _account_or_none(self, user: str) -> str | None:
        try:
            return local_user(user, self._host.server)
        except Problem:
            return None

    def _accounts(self) -> dict[str, Account]:
        """Return all users by name, read again only where one of the files that they are in has changed since."""
        if not os.path.exists(self._host.path("private/passdb.tdb")):  # noqa: PTH110 - as above
            return {}
        read = self._digest()
        if self._listed is not None and self._listed[0] == read:
            return self._listed[1]
        found = self._list()
        # Where they changed meanwhile, the list may be older than they are.
        self._listed = (read, found) if read is not None and read == self._digest() else None
        return found

    def _digest(self) -> bytes | None:
        """Return a digest of the files that the list of users depends on; None where they cannot be read."""
        try:
            passwords = Path(self._host.path("private/passdb.tdb")).read_bytes()
            accounts = Path(self._host.path("nss/passwd")).read_bytes()
        except OSError:  # pdbedit says what is wrong
            return None
        return blake2b(accounts, key=blake2b(passwords).digest()).digest()

    def _list(self) -> dict[str, Account]:
        """Return all users by name, from the form of smbpasswd(5): `name:uid:LM hash:NT hash:[flags]:changed:`."""
        found = {}
        for line in self._pdbedit("--list", "--smbpasswd-style").stdout.splitlines():
            fields = line.split(":")
            if len(fields) >= _FIELDS:
                user_id = int(fields[1])
                enabled = "D" not in fields[4] and "U" in fields[4]
                found[fields[0].lower()] = Account(None if user_id == _NO_USER_ID else user_id, fields[3], enabled)
        return found

    def _pdbedit(self, *arguments: str, standard_input: str = "") -> subprocess.CompletedProcess[str]:
        result = self._host.run("pdbedit", *arguments, standard_input=standard_input)
        if result.returncode != 0:
            lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
            message = f"pdbedit failed on the SMB server {self._host.instance.name!r}: {lines[-1] if lines else 'it said nothing'}"
            raise Problem(ProblemKind.TRANSIENT, message)
        return result

    def _user_ids(self) -> dict[str, int]:
        """Return the users that the host knows, by name."""
        try:
            lines = Path(self._host.path("nss/passwd")).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return {}
        rows = [line.split(":") for line in lines]
        return {row[0]: int(row[2]) for row in rows if len(row) > _FIELDS and row[0] not in RESERVED_USERS}

    def _write_accounts(self, user_ids: Mapping[str, int]) -> None:
        uid, gid = self._host.uid, self._host.gid
        owner = [] if uid in {0, NOBODY} else [f"_files:x:{uid}:{gid}::/:/bin/false"]
        accounts = [
            *owner,
            f"root:x:0:{gid if uid == 0 else 0}::/:/bin/false",
            f"nobody:x:{NOBODY}:{gid if uid == NOBODY else NOBODY}::/:/bin/false",
            f"{GUEST}:x:{_GUEST_ID}:{NOBODY}::/:/bin/false",
            *(f"{name}:x:{user_id}:{NOBODY}::/:/bin/false" for name, user_id in sorted(user_ids.items())),
        ]
        own_group = [] if gid in {0, NOBODY} else [f"_files:x:{gid}:"]
        pools = f"_pools:x:{POOL_GROUP}:{self._host.account}"  # by which the account gets through the folders of pools
        self._write("nss/group", [*own_group, "root:x:0:", f"nogroup:x:{NOBODY}:", pools])
        self._write("nss/passwd", accounts)

    def _write(self, name: str, lines: list[str]) -> None:
        """Write a file of nss_wrapper, which looks for changes by the whole second of the file's time."""
        path = self._host.path(name)
        text = "\n".join([*lines, ""])
        try:
            if Path(path).read_text(encoding="utf-8") == text:
                return
            seconds = int(os.stat(path).st_mtime) + 1  # noqa: PTH116 - as above
        except FileNotFoundError:
            seconds = 0
        staged = self._host.path(f"lock/{os.path.basename(name)}")  # noqa: PTH119 - as above
        write_atomically(staged, text)
        stamp = max(int(time.time()), seconds)
        os.utime(staged, (stamp, stamp))
        os.replace(staged, path)  # noqa: PTH105 - as above

    @staticmethod
    def _end_process(pid: int, session: int) -> None:
        if is_of_session(pid, session):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            wait_until(lambda: not is_of_session(pid, session), f"the SMB session of process {pid} does not end")


def _check_password(user: str, password: str) -> None:
    if (
        not 0 < len(password) <= _MAX_PASSWORD_CHARACTERS
        or len(password.encode("utf-8", "replace")) > _MAX_PASSWORD_BYTES
        or any(character in "\r\n\0" or 0xD800 <= ord(character) < 0xE000 for character in password)  # noqa: PLR2004 - surrogates
    ):
        message = (
            f"the password of the user {user!r} cannot be set: it must have 1 to 127 characters and no line breaks"
        )
        raise Problem(ProblemKind.REFUSED, message)
