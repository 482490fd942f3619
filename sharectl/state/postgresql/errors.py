"""From what PostgreSQL, libpq and psycopg say to the errors of the store's contract."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import psycopg

from sharectl.state.contract import (
    DamagedRowError,
    StateBusyError,
    StateCorruptError,
    StateError,
    StateRefusedError,
    StateUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_RESTORE_REMEDY: Final = (
    "bring the database back from its backup, or push a document that `sharectl state pull` wrote; "
    "the shares themselves are on their backends and have not been touched"
)
_NETWORK_REMEDY: Final = "look whether the server runs and can be reached from here, and run the command again"
_SILENT_REMEDY: Final = "look whether the standby is there that it waits for (`synchronous_standby_names`, `pg_stat_replication`), and run the command again"
_HUNG_REMEDY: Final = "look whether its processes run (a machine that is paused, a disk that does not answer, a proxy on the way that leads nowhere), and run the command again"
_STANDBY_REMEDY: Final = "name the primary, or all hosts of the cluster: sharectl finds the one that may be written"
GRANT_REMEDY: Final = "let the schema and its tables belong to the role that sharectl uses"
_VALUE_REMEDY: Final = "use text that is valid Unicode without NUL, and sizes below 8EiB"

_BY_CODE: Final[dict[str, tuple[type[StateError], str, str]]] = {
    "25006": (StateUnavailableError, "this server can only be read: it is a standby of another", _STANDBY_REMEDY),
    "42501": (StateUnavailableError, "the role has no right to it", GRANT_REMEDY),
    "53100": (
        StateUnavailableError,
        "the server has no space left",
        "free space on the server's disk, and run the command again",
    ),
    "53300": (
        StateUnavailableError,
        "the server has no connection left",
        "close others, or raise `max_connections`, and run the command again",
    ),
    "55P03": (
        StateBusyError,
        "another transaction keeps rows of it locked",
        "wait for it to end (`pg_stat_activity` shows it), and run the command again",
    ),
    "57014": (
        StateBusyError,
        "the server gave up on a statement that took too long",
        "look at what else the server does, and run the command again",
    ),
    "3D000": (StateUnavailableError, "there is no such database", "make it with `createdb`, or correct the URL"),
    "28P01": (
        StateUnavailableError,
        "the server refuses the password",
        "correct the password, or where it is read from",
    ),
    "28000": (
        StateUnavailableError,
        "the server refuses the login",
        "look at the server's pg_hba.conf, and at the role and database in the URL",
    ),
    "3F000": (StateCorruptError, "its schema is gone", _RESTORE_REMEDY),
    "42704": (StateUnavailableError, "what is named does not exist there", "make it, or correct its name"),
    "42P01": (StateCorruptError, "a table of it is gone", _RESTORE_REMEDY),
    "42703": (StateCorruptError, "a column of it is gone", _RESTORE_REMEDY),
}
_BY_CLASS: Final[dict[str, tuple[type[StateError], str, str]]] = {
    "22": (StateRefusedError, "a value cannot be stored", _VALUE_REMEDY),
    "23": (StateRefusedError, "the change contradicts what the state holds", ""),
    "54": (StateRefusedError, "a value is too long to be stored", ""),
    "40": (StateBusyError, "another transaction was in the way again and again", "run the command again"),
    "57": (StateUnavailableError, "the server is going down or coming up", _NETWORK_REMEDY),
    "XX": (StateCorruptError, "the server reports damage", _RESTORE_REMEDY),
}
_BY_WORDS: Final = (
    ("is read-only", *_BY_CODE["25006"][1:]),
    ("is in hot standby", *_BY_CODE["25006"][1:]),
    ("password authentication failed", *_BY_CODE["28P01"][1:]),
    ("no password supplied", "the server wants a password, and none was given", "add `passwordFrom` to `state` in sharectl.yaml, or name a password file by PGPASSFILE"),
    ("root certificate file", "the server's certificate cannot be checked", "name the file of the authority's certificate in the URL: sslrootcert=PATH (sslrootcert=system takes those of the system)"),
    ("no pg_hba.conf entry", *_BY_CODE["28000"][1:]),
    ("does not exist", "the server knows no such database or role", "make it, or correct the URL"),
    ("certificate verify failed", "the server's certificate is not of the authority that is trusted", "name the right file: sslrootcert=PATH, or find out who answers at this address"),
    ("does not match host name", "the server's certificate is for another host", "name the host as in its certificate, or find out who answers at this address"),
    ("does not support SSL", "the server offers no TLS", "turn `ssl` on at the server"),
)  # fmt: skip
"""What libpq says while it connects, which has no code."""


class UnansweredError(psycopg.OperationalError):
    """The server has said nothing for longer than is waited for; nobody knows whether it did what it was asked."""


class HungServerError(UnansweredError):
    """The server answers on no connection, not on a new one either."""


@contextmanager
def translated(location: str) -> Iterator[None]:
    """Let only errors of the contract out of the block, whatever psycopg raises in it."""
    try:
        yield
    except psycopg.Error as error:
        raise from_psycopg(location, error) from error
    except DamagedRowError as error:
        raise StateCorruptError(location, error.reason, _RESTORE_REMEDY) from error
    except (UnicodeEncodeError, OverflowError) as error:
        raise StateRefusedError(location, f"a value cannot be stored: {error}", _VALUE_REMEDY) from error


def from_psycopg(location: str, error: psycopg.Error) -> StateError:
    """Return the contract's error for psycopg's; codes are PostgreSQL's own (its manual, appendix A)."""
    words = line_of(error)
    code = error.sqlstate or ""
    known = _BY_CODE.get(code) or _BY_CLASS.get(code[:2])
    if known is not None:
        kind, reason, remedy = known
        return kind(location, f"{reason} ({words})", remedy)
    if not code and isinstance(error, psycopg.DataError | psycopg.ProgrammingError):
        return StateRefusedError(location, f"a value cannot be stored ({words})", _VALUE_REMEDY)
    if isinstance(error, UnansweredError):
        is_hung = isinstance(error, HungServerError)
        reason = "accepts connections and does not answer" if is_hung else "does not confirm what it was asked"
        return StateUnavailableError(
            location, f"the server {reason} ({words})", _HUNG_REMEDY if is_hung else _SILENT_REMEDY
        )
    if isinstance(error, psycopg.OperationalError):
        for part, reason, remedy in _BY_WORDS:
            if part in words:
                return StateUnavailableError(location, f"{reason} ({words})", remedy)
        return StateUnavailableError(location, f"the server cannot be reached ({words})", _NETWORK_REMEDY)
    return StateUnavailableError(location, f"PostgreSQL cannot use it ({words})", _NETWORK_REMEDY)


def damaged(location: str, what: str) -> StateCorruptError:
    """Return the error for a state whose damage was recognised here: `what` says by what."""
    return StateCorruptError(location, f"it is damaged: {what}", _RESTORE_REMEDY)


def is_passing(error: psycopg.Error, *, by_absence: bool = False) -> bool:
    """Tell whether the same may succeed on another connection a little later: the server went away, or, unless that is to be `by_absence`, chose this transaction to give up."""
    code = error.sqlstate or ""
    if by_absence and code:
        return code[:2] in {"08", "57"} and code != "57014"
    if code:
        return (code[:2] in {"40", "08", "57"} and code != "57014") or code == "25P03"
    return isinstance(error, psycopg.OperationalError) and not any(part in str(error) for part, *_ in _BY_WORDS)


def line_of(error: psycopg.Error) -> str:
    """Return what was said, on one line and without what stands twice in it."""
    primary = error.diag.message_primary if error.sqlstate else None
    lines = dict.fromkeys(line.strip() for line in (primary or str(error)).splitlines() if line.strip())
    return "; ".join(lines) or type(error).__name__
