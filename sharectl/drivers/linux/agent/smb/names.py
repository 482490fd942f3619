r"""Users and servers by the names that Windows gives them: `alice`, `SERVER\alice`, `CORP\alice`, `alice@corp.example`."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Final

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind

_MAX_SERVER_NAME: Final = 15
_MAX_USER_CHARACTERS: Final = 64
# What a Windows account name cannot hold, and what the grammars of smb.conf(5) and passwd(5) would read as something else.
_USER_FORBIDDEN: Final = frozenset('"/\\[]:;|=,+*?<>%@')
_GROUP_MARKS: Final = frozenset("@+&")
GUEST: Final = "_guest"
RESERVED_USERS: Final = frozenset({"root", "nobody", "_files", GUEST})
"""Accounts that the server itself needs; no user of a share can have their names."""

# The accounts that Linux distributions make for their own programs (Debian's base-passwd, Fedora's setup, systemd).
_SYSTEM_ACCOUNTS: Final = re.compile(
    "_apt|_chrony|_rpc|adm|avahi|backup|bin|bind|chrony|daemon|dbus|dhcpcd|dnsmasq|ftp|games|gnats|halt|irc|list|lp|mail|man|"
    "messagebus|mysql|named|news|nfsnobody|ntp|operator|polkitd|postfix|postgres|proxy|rpc|rpcuser|shutdown|sshd|statd|sync|sys|"
    "syslog|systemd-[a-z]+|tcpdump|tss|unbound|uucp|uuidd|www-data"
)


def server_name(instance: str) -> str:
    """Return the NetBIOS name of an instance: its name in capitals, cut short with a digest where Windows would not take it."""
    plain = instance.upper()
    if len(plain) <= _MAX_SERVER_NAME and re.fullmatch(r"[A-Z0-9]([A-Z0-9-]*[A-Z0-9])?", plain) and not plain.isdigit():
        return plain
    letters = re.sub(r"[^A-Z0-9]", "", plain)[:7]
    return f"{letters or 'NAS'}-{hashlib.sha256(instance.encode()).hexdigest()[:7].upper()}"


@lru_cache(maxsize=65536)
def local_user(user: str, server: str) -> str:
    r"""Return the account that `user` means on `server`, in lower case, since Samba ignores case.

    `alice`, `SERVER\alice` and `.\alice` are the server's own. Raises REFUSED for users of a domain and for names that Samba
    cannot keep apart from something else.
    """
    domain, separator, name = user.rpartition("\\")
    if (separator and domain.upper() not in {server, "."}) or "@" in name[1:]:
        message = (
            f"the user {user!r} belongs to a domain, and this server cannot join one yet: "
            f"give it users of its own, such as alice or {server}\\alice"
        )
        raise Problem(ProblemKind.REFUSED, message)
    problem = problem_of_user(name)
    if problem is not None:
        message = f"the user {user!r} cannot exist on an SMB server: {problem}"
        raise Problem(ProblemKind.REFUSED, message)
    return name.lower()


def problem_of_user(name: str) -> str | None:
    """Return why no user of an SMB server can have the name, given without a domain; None where one can."""
    if not name or len(name) > _MAX_USER_CHARACTERS:
        return f"a name has 1 to {_MAX_USER_CHARACTERS} characters"
    if not name.isprintable() or name != name.strip() or "  " in name:
        return "it has spaces at an end or side by side, or control characters"
    if forbidden := sorted(_USER_FORBIDDEN.intersection(name)):
        return f"it holds {' '.join(forbidden)}"
    if name[0] in _GROUP_MARKS or name[0] in "-~#." or name[-1] in "$.":
        return f"it begins or ends with {name[0] if name[-1] not in '$.' else name[-1]}, which has a meaning of its own"
    if len(name.lower()) != len(name) or name.lower().upper().lower() != name.lower():
        return "it has letters whose capitals are not one letter each, which Samba and Windows read differently"
    return _problem_of_account(name.lower())


def _problem_of_account(account: str) -> str | None:
    if account in RESERVED_USERS:
        return f"the server needs the account {account} itself"
    return f"{account} is a system account" if _SYSTEM_ACCOUNTS.fullmatch(account) else None
