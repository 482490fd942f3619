"""An SMB server of the host: one smbd with private folders, its shares and its users."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from sharectl.drivers.linux.agent.contract import Instance, Problem, ProblemKind, Section
from sharectl.drivers.linux.agent.host import daemons, sockets
from sharectl.drivers.linux.agent.smb import programs
from sharectl.drivers.linux.agent.smb.configuration import check_section
from sharectl.drivers.linux.agent.smb.host import DEFAULT_OPTIONS, NOBODY, Host, ServerOptions, find, is_of_session
from sharectl.drivers.linux.agent.smb.modules import require_installed, require_own_bin
from sharectl.drivers.linux.agent.smb.names import local_user
from sharectl.drivers.linux.agent.smb.shares import Shares
from sharectl.drivers.linux.agent.smb.users import Users

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")
_START_SECONDS: Final = 20.0
_STOP_SECONDS: Final = 10.0


def _raising_problems(call: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Turn what the system refuses (a full disk, a program that is missing) into a Problem that may pass."""

    @wraps(call)
    def told(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        try:
            return call(*args, **kwargs)
        except OSError as error:
            message = f"the SMB server cannot be worked on: {error}"
            raise Problem(ProblemKind.TRANSIENT, message) from error

    return told


class SambaServer:
    """The SMB server of an instance; implements SmbServer.

    Files that clients make belong to the user and the group of `owner`, whoever the client is; access is decided by the lists of the share alone.
    What NFS clients or the host left there keeps its Unix permissions, under which that user may not write it: 0 may write all.
    """

    def __init__(
        self,
        instance: Instance,
        port: int = 445,
        owner: tuple[int, int] = (NOBODY, NOBODY),
        options: ServerOptions = DEFAULT_OPTIONS,
    ) -> None:
        """Touch nothing."""
        self._host = Host(instance, port, *owner, options)
        self._users = Users(self._host)
        self._shares = Shares(self._host, self._users)
        self._answering: tuple[int, str] | None = None  # the process that listened, and when it was started

    @property
    def name(self) -> str:
        r"""The NetBIOS name of the server, which stands before its users: `NAME\alice`."""
        return self._host.server

    def account(self, user: str) -> str:
        r"""Return the account that `user` means here: `alice` for `Alice` and `SERVER\Alice`; raises REFUSED for users of a domain."""
        return local_user(user, self._host.server)

    def is_running(self) -> bool:
        """Tell whether smbd answers on all its addresses, with its intended configuration, or that of an older version.

        One whose `smb.conf` was changed by hand, or belongs to other settings, does not: nobody knows what it lets in.
        """
        return self._runs_with(self._host.lets_in_the_same)

    @_raising_problems
    def ensure_running(self, is_ready: Callable[[Section], bool]) -> None:
        """Start smbd unless it runs, with the stored sections that are ready, and withhold the others; see the contract.

        One that runs on another configuration, also an older version's, is started again, since most of it holds from the start.
        """
        if self._is_current():
            return
        find("smbd")
        self._host.prepare()
        self._users.prepare()
        with self._shares.locked():
            if not self._is_current():
                self._end()
                daemons.write_atomically(self._host.path("control.conf"), self._host.control_conf())
                if self._host.options.disk_free == "share":
                    programs.install(programs.disk_free(), self._host.disk_free)
                daemons.write_atomically(self._configuration, self._host.smb_conf())
                self._shares.mend(is_ready)
                self._start()
                self._shares.mark_loaded()

    @_raising_problems
    def put(self, section: Section) -> None:
        """Store the section, put it in force, and cut live sessions of the share where a right was taken away. Idempotent."""
        check_section(section, self._host.server)
        require_installed(section.treatment)
        require_own_bin(section)
        self._host.prepare()
        self._shares.put(section)

    @_raising_problems
    def remove(self, name: str) -> None:
        """Withdraw the share at once, also from clients that use it. Works when the server is down."""
        if self._exists():
            self._shares.remove(name)

    @_raising_problems
    def live(self) -> Mapping[str, Section]:
        """Return the sections in force, by name; empty where the server is down or was configured by hand.

        A section that was changed by hand, or that no run has put in force to the end, has an empty path.
        """
        return self._shares.live() if self.is_running() else {}

    @_raising_problems
    def stored(self) -> Mapping[str, Section]:
        """Return the sections that the server reads at its next start, by name, whether it runs or not."""
        return self._shares.stored()

    @_raising_problems
    def withheld(self) -> Collection[Section]:
        """Return the stored sections that were not ready at the last start."""
        return self._shares.withheld().values()

    def has_ended(self) -> bool:
        """Tell whether smbd was started once and does not live, or does not answer yet."""
        pid = self._host.pid()
        return os.path.exists(self._configuration) and (pid is None or not self._is_answering(pid))  # noqa: PTH110 - as below

    @_raising_problems
    def users(self, passwords: Mapping[str, str] | None = None) -> frozenset[str]:
        r"""Return the users that can log in; those whose password is given and is not the stored one are left out.

        Each by its account (`alice`), and as `passwords` calls it, where that is another notation (`SERVER\Alice`).
        """
        return self._users.usable(passwords or {})

    @_raising_problems
    def ensure_user(self, user: str, password: str) -> None:
        """Make the user with this password, or give an existing one this password, which ends the user's sessions."""
        self._ready()
        self._users.ensure(user, password)

    @_raising_problems
    def remove_user(self, user: str) -> None:
        """Remove the user and end its sessions; a missing one is not an error."""
        if self._exists():
            self._ready()
            self._users.remove(user)

    @_raising_problems
    def stop(self) -> None:
        """Stop the server; what is stored stays."""
        if self._exists():
            with self._shares.locked():
                self._end()

    @property
    def _configuration(self) -> str:
        return self._host.path("smb.conf")

    def _exists(self) -> bool:
        return os.path.isdir(self._host.path("lock"))  # noqa: PTH112 - paths are text everywhere in the agent

    def _ready(self) -> None:
        """Make what the programs for users need, where the server never ran."""
        self._host.prepare()
        self._users.prepare()
        path = self._host.path("control.conf")
        if _text(path) != self._host.control_conf():
            daemons.write_atomically(path, self._host.control_conf())

    def _is_current(self) -> bool:
        return self._runs_with(lambda text: text == self._host.smb_conf())

    def _runs_with(self, is_right: Callable[[str | None], bool]) -> bool:
        pid = self._host.pid()
        if pid is None or not is_right(_text(self._configuration)):
            return False
        has_program = self._host.options.disk_free != "share" or _text(self._host.disk_free) == programs.disk_free()
        return has_program and self._is_answering(pid)

    def _start(self) -> None:
        instance, output, log = self._host.instance, self._host.path("log/output"), self._host.path("log/smbd.log")
        if sockets.is_taken(instance.namespace, instance.addresses, self._host.port):
            raise self._taken_port() or self._failure("could not start: its port was taken", ProblemKind.TRANSIENT)
        missing = sockets.missing_address(instance.namespace, instance.addresses)
        if missing is not None:
            what = f"cannot start: {missing}"
            raise self._failure(what, missing.kind)
        Path(output).unlink(missing_ok=True)
        logged_bytes = os.stat(log).st_size if os.path.exists(log) else 0  # noqa: PTH110, PTH116 - as above
        daemons.start(
            [find("smbd"), "--foreground", "--no-process-group", self._host.marker],
            namespace=instance.namespace,
            output_path=output,
            environment=self._host.environment(),
        )
        daemons.holds_within(lambda: self.is_running() or not self._survivors(None), _START_SECONDS)
        if self.is_running():
            return
        pid = self._host.pid()
        last_words = _last_words(output, 0) or _last_words(log, logged_bytes) or f"it said nothing in {log}"
        self._end()
        addresses = ", ".join(instance.addresses) or "any address"
        what = f"does not listen on {addresses}" if pid is not None else "ended as it started"
        raise self._taken_port() or self._failure(f"{what}: {last_words}", ProblemKind.TRANSIENT)

    def _taken_port(self) -> Problem | None:
        """Return the failure where somebody else listens at the port, which lasts until somebody does something."""
        holder = sockets.holder(self._host.instance.namespace, self._host.port)
        if holder is None:
            return None
        what = f"cannot start: the port is in use by {holder}; stop that, or give this server another port or address"
        return self._failure(what, ProblemKind.CONFLICT)

    def _failure(self, what: str, kind: ProblemKind) -> Problem:
        return Problem(kind, f"the SMB server {self._host.instance.name!r} (port {self._host.port}) {what}")

    def _end(self) -> None:
        """Stop smbd, the processes of its sessions, and one that a killed run had only begun to start."""
        session = self._host.last_pid()
        daemons.stop(self._host.path("run/smbd.pid"), self._host.marker, _STOP_SECONDS)
        for pid in self._survivors(session):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        what = f"the sessions of the SMB server {self._host.instance.name!r} do not end"
        daemons.wait_until(lambda: not self._survivors(session), what, _STOP_SECONDS)

    def _survivors(self, session: int | None) -> list[int]:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - as above
        return [pid for pid in pids if is_of_session(pid, session) or daemons.is_process(pid, self._host.marker)]

    def _is_answering(self, pid: int) -> bool:
        """Tell whether the process listens on all its addresses. One that did so once does, as long as it lives.

        The kernel looks through all sockets of the machine for its list of them, which takes longer than all the rest of a change.
        """
        process = (pid, daemons.started_at(pid))
        if process == self._answering:
            return True
        addresses = {sockets.kernel_form(address) for address in self._host.instance.addresses}
        listened = sockets.listeners_of(pid, self._host.port)
        if not listened or not addresses <= listened:
            return False
        self._answering = process
        return True


def _last_words(path: str, skipped_bytes: int) -> str:
    """Return the last message of a log of Samba, whose messages are indented under a line of time and place."""
    try:
        text = Path(path).read_bytes()[skipped_bytes:].decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("[")]
    return lines[-1] if lines else ""


def _text(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
