"""The values, errors and interfaces that the parts of the agent share; standard library only, as all of the agent."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from sharectl.drivers.linux.agent.smb.treatment import PLAIN, SmbTreatment

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence


class ProblemKind(StrEnum):
    """What went wrong, as the driver's errors are called in sharectl.drivers.base."""

    REFUSED = "refused"  # DriverError
    TRANSIENT = "transient"
    UNAVAILABLE = "unavailable"
    POOL = "pool"
    NOT_FOUND = "not-found"
    CONFLICT = "conflict"
    IN_USE = "in-use"
    FENCED = "fenced"


class Problem(Exception):  # noqa: N818 - a value for people that travels over the wire, not a programming error
    """What the agent could not do; `str()` is one line for people, without secrets."""

    def __init__(self, kind: ProblemKind, message: str) -> None:
        """Say what happened."""
        super().__init__(message)
        self.kind = kind


class Hindrance(NamedTuple):
    """What keeps a backend from serving its clients as it should, and how to mend it, field for field a Hindrance of the model."""

    summary: str
    remedy: str


Options = tuple[tuple[str, str], ...]
"""How an export treats one client, as (name, value) sorted by name; field for field the options of an AccessRule."""


class Rule(NamedTuple):
    """One rule, field for field an AccessRule of the model; canonical as there."""

    access_type: str
    access_to: str
    access_level: str
    options: Options = ()


def rule_in(plain: Sequence[Any]) -> Rule:
    """Return the rule that was written as a list; one of an older sharectl has no options."""
    options = plain[3] if len(plain) > len(Rule._fields) - 1 else ()
    return Rule(plain[0], plain[1], plain[2], tuple((name, value) for name, value in options))


@dataclass(frozen=True, slots=True)
class Instance:
    """One pair of servers: its private folder, the addresses that it answers on, and its network namespace.

    `namespace` is the path of a network namespace (`/run/netns/NAME`); None is the host's own. `addresses` are what the
    servers bind to; empty means all of the namespace.
    """

    name: str
    root: str
    addresses: tuple[str, ...] = ()
    namespace: str | None = None


class Squash(StrEnum):
    """Which users an NFS server turns into nobody."""

    NONE = "none"
    ROOT = "root"
    ALL = "all"


class Client(NamedTuple):
    """Who may reach an export and how: `network` is canonical (`10.0.0.0/8`, `2001:db8::1`), `level` is `rw`, `ro` or `none`.

    Of several networks that hold an address the narrowest decides. `options` are in place of what the export says for all.
    """

    network: str
    level: str
    options: Options = ()


POOL_GROUP: Final = 1_900_000_000
"""Group that may pass through the folders of pools, and in which only smbd is: of numbers that no system gives to anybody.

systemd's documentation has the conventions (UIDS-GIDS): those from 1879048192 to 2147483647 are unused.
"""

NOBODY: Final = 65534
"""User and group that squashed users become: `nobody`, as the kernel's NFS server has it; Ganesha's own is 4294967294."""


@dataclass(frozen=True, slots=True)
class Export:
    """One export of an NFS server. `pseudo` is the path that clients mount; `path` the folder on the host.

    `clients` is a set: the server orders it, so that the longest prefix wins. `insecure` lets in clients with a port above 1023, which
    need not be root on their machine; `anonymous` are the user and the group that squashed users become.
    """

    export_id: int
    path: str
    pseudo: str
    clients: frozenset[Client]
    squash: Squash = Squash.NONE
    security: tuple[str, ...] = ("sys",)
    insecure: bool = False
    anonymous: tuple[int, int] = (NOBODY, NOBODY)


class NfsServer(Protocol):
    """An NFS server instance. Every call is safe from several threads and processes; raises Problem alone."""

    def is_running(self) -> bool:
        """Tell whether the server answers."""
        ...

    def ensure_running(self, is_ready: Callable[[Export], bool]) -> None:
        """Start the server unless it runs, with those stored exports of which `is_ready` says that their folder is the right one.

        The others are taken out of what the server reads, so that an empty mount point is never exported.
        """
        ...

    def put(self, export: Export) -> bool:
        """Store the export for later starts, put it in force, and confirm it by reading the live one back. Idempotent.

        False means that the server is down, so that the export is stored alone. Where it cannot be stored (a full disk), what
        grants more than it is withdrawn and forgotten before the error is raised.
        """
        ...

    def remove(self, export_id: int) -> None:
        """Withdraw the export at once, also from clients that use it; a missing one is not an error. Works when the server is down."""
        ...

    def live(self, export_ids: Collection[int] | None = None) -> Mapping[int, Export]:
        """Return the exports that are in force now; empty where the server is down, and not where only some clients lack something.

        One that was changed by hand into something that is no Export is still there, with what could be read of it, so that it
        differs from what was asked for.
        """
        ...

    def stored(self) -> Mapping[int, Export]:
        """Return the exports that are kept for the next start, whether the server runs or not, those too that are withheld."""
        ...

    def withheld(self) -> Collection[Export]:
        """Return the stored exports that `ensure_running` took out."""
        ...

    def has_ended(self) -> bool:
        """Tell whether the server was started once and its processes do not live (it was killed, or the host was started anew).

        One that is being started this moment counts as ended still.
        """
        ...

    def stop(self) -> None:
        """Stop the server; what is stored stays."""
        ...


@dataclass(frozen=True, slots=True)
class Section:
    """One share of an SMB server. Without users and guests nobody gets in; without networks, from everywhere but `denied`.

    `guest` is what guests may do, and users who are in neither list nor `shut_out`; `none` keeps those out. `asked` are the rules that the
    rest stands for where it does not say them itself: it has the members of groups.
    """

    name: str
    path: str
    writers: frozenset[str] = frozenset()
    readers: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset()
    treatment: SmbTreatment = PLAIN
    guest: str = "none"
    shut_out: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()
    asked: tuple[Rule, ...] = ()

    @property
    def users(self) -> frozenset[str]:
        """All users that it lets in by name."""
        return self.writers | self.readers


class SmbServer(Protocol):
    """An SMB server instance. Every call is safe from several threads and processes; raises Problem alone."""

    def is_running(self) -> bool:
        """Tell whether the server answers."""
        ...

    def ensure_running(self, is_ready: Callable[[Section], bool]) -> None:
        """Start the server unless it runs, with those stored sections of which `is_ready` says that their folder is the right one.

        The others are taken out of what the server reads, so that an empty mount point is never shared.
        """
        ...

    def put(self, section: Section) -> None:
        """Store the section, put it in force, and cut live sessions of the share where a right was taken away. Idempotent.

        Where it cannot be stored (a full disk), a section that grants more than it is withdrawn before the error is raised.
        """
        ...

    def remove(self, name: str) -> None:
        """Withdraw the share at once, also from clients that use it. Works when the server is down."""
        ...

    def live(self) -> Mapping[str, Section]:
        """Return the sections in force, by name; empty where the server is down, or runs on a configuration changed by hand.

        One that was changed by hand, or that no run has put in force to the end, has an empty path, so that it differs from what
        was asked for.
        """
        ...

    def stored(self) -> Mapping[str, Section]:
        """Return the sections that are kept for the next start, by name, whether the server runs or not, those too that are withheld."""
        ...

    def withheld(self) -> Collection[Section]:
        """Return the stored sections that `ensure_running` took out."""
        ...

    def has_ended(self) -> bool:
        """Tell whether the server was started once and its process does not live, as of an NFS server."""
        ...

    def users(self, passwords: Mapping[str, str] | None = None) -> frozenset[str]:
        r"""Return the users that can log in; those whose password is given and is not the stored one are left out.

        Each by its account in lower case (`alice`), and also as `passwords` calls it (`SERVER\Alice`).
        """
        ...

    def account(self, user: str) -> str:
        r"""Return the account, in lower case, that `Alice` or `SERVER\Alice` means here; raises REFUSED for a user that cannot be one."""
        ...

    def ensure_user(self, user: str, password: str) -> None:
        """Make the user with this password, or give an existing one this password."""
        ...

    def remove_user(self, user: str) -> None:
        """Remove the user; a missing one is not an error."""
        ...

    def stop(self) -> None:
        """Stop the server; what is stored stays."""
        ...
