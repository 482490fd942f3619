"""Why a connection ended, in words for people: what ssh, sudo, the shell and Python say, and how to mend it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sharectl.drivers.linux.shipping import OLDEST_PYTHON

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.drivers.linux.settings import HostSettings

_MAX_SHOWN_CHARACTERS: Final = 300
_PYTHON: Final = f"Python {'.'.join(str(part) for part in OLDEST_PYTHON)} or newer"

_REMEDIES: Final = tuple(
    (re.compile(pattern), remedy)
    for pattern, remedy in (
        (
            r"Permission denied \(|Too many authentication failures|no such identity|Load key ",
            "let the key log in there (authorized_keys of that user), or name another in host.ssh.identityFile and host.ssh.user",
        ),
        (
            r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key verification failed|host key is known for",
            "check the host's key with its administrator and put it into known_hosts (host.ssh.knownHostsFile)",
        ),
        (r"Could not resolve hostname", "correct host.ssh.address, or the name service"),
        (
            r"kex_exchange_identification|Connection reset by peer",
            "see whether its sshd turns callers away: too many logins at once (MaxStartups), a ban after failed ones, or its own log",
        ),
        (r"Connection refused", "start sshd there, or correct host.ssh.port"),
        (
            r"Connection timed out|timed out during banner exchange|No route to host|Network is unreachable|not responding",
            "see that the host is up and that a firewall lets this machine reach its SSH port",
        ),
        (
            r"sudo: (?:a password is required|a terminal is required|.* is not in the sudoers|sorry, )|not allowed to execute",
            "allow the user there to run Python without a password (NOPASSWD in sudoers), or log in as root",
        ),
        (r"sudo: (?:command )?not found|No such file or directory: 'sudo'", "install sudo there, or log in as root"),
        (
            r"python[0-9.]*: (?:command )?not found|python[0-9.]*: No such file|No such file or directory: '.*python|Unknown command.*python",
            f"install {_PYTHON} there, or name it in host.python",
        ),
        (r"or newer is needed", f"install {_PYTHON} there, and name it in host.python"),
        (r"No such file or directory: 'ssh'", "install the OpenSSH client on this machine"),
        (r"account is currently not available|account has expired", "log in as a user with a shell, by host.ssh.user"),
    )
)


def place_of(host: HostSettings) -> str:
    """Return the words for the host in a message."""
    return "the agent on this machine" if host.ssh is None else f"the agent on {host.ssh.address} (by SSH)"


def explain_end(host: HostSettings, lines: Sequence[str], exit_code: int | None, *, was_ready: bool) -> str:
    """Return one line on why the agent ended or did not start: what was said last on standard error (`lines`), and how to mend it.

    Among several lines the last that is known goes before the very last: ssh and Python end with less to the point. `exit_code` is
    None where the process had to be killed; `was_ready` tells that the agent had been started.
    """
    said = [text for text in (printable(line) for line in lines) if text]
    what = f"{place_of(host)} {'is gone' if was_ready else 'cannot be started'}"
    for text in reversed(said):
        for pattern, remedy in _REMEDIES:
            if pattern.search(text):
                return f"{what}: {text.rstrip('.')}; {remedy}"
    if not was_ready:
        return f"{what}: {said[-1] if said else _ending(exit_code)}"
    last_words = f" (it said last: {said[-1]})" if said else ""
    return f"{what}: {_ending(exit_code)}{last_words}; what it was doing may be half done, and is finished when it is asked for again"


def printable(text: str) -> str:
    """Return the text of another host without what a terminal would obey, and not too long."""
    shown = "".join(character if character.isprintable() else " " for character in text).strip()
    return shown if len(shown) <= _MAX_SHOWN_CHARACTERS else f"{shown[:_MAX_SHOWN_CHARACTERS]}…"


def _ending(exit_code: int | None) -> str:
    if exit_code is None:
        return "it closed its answers and does not end"
    if exit_code < 0:
        return f"it was killed by signal {-exit_code}"
    return f"it ended with exit code {exit_code}"
