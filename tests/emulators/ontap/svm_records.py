"""What the array keeps of SVMs and of their services."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from tests.emulators.ontap.world import Record

if TYPE_CHECKING:
    from collections.abc import Hashable

    from tests.emulators.ontap.active_directory import Directory
    from tests.emulators.ontap.facts import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Svm(Record):
    """A data SVM. Its root volume, LIFs and services are records of their own."""

    is_watched: ClassVar[bool] = True
    name: str
    ipspace: str
    language: str = "c.utf_8"
    aggregates: tuple[str, ...] = ()
    """UUIDs of the aggregates that are assigned to it."""
    comment: str = ""
    subtype: str = "default"
    is_made: bool = True
    """False until the job that makes it has ended."""
    is_running: bool = True
    settings: JsonObject = field(default_factory=dict)
    """Fields that are only kept: name service switch, what is allowed, limits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SvmService(Record):
    """A service of which an SVM has one; `uuid` is the SVM's, `settings` what its record shows."""

    settings: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class NfsService(SvmService):
    """The NFS server of an SVM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CifsService(SvmService):
    """The CIFS server of an SVM."""

    domain: str | None = None
    """Full name of the Active Directory domain that it is a member of."""
    discovery: str = "all"
    """How it finds domain controllers."""

    @property
    def name(self) -> str:
        """Its NetBIOS name."""
        return str(self.settings["name"])


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsService(SvmService):
    """The DNS client of an SVM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LdapService(SvmService):
    """The LDAP client of an SVM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Record):
    """One line of a table of an SVM's names; `uuid` is the SVM's."""

    name: str
    settings: JsonObject

    @property
    def key(self) -> Hashable:
        """The SVM and the name."""
        return self.uuid, self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class KerberosRealm(Entry):
    """A realm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalHost(Entry):
    """A host name; `name` is its address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixUser(Entry):
    """A UNIX user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixGroup(Entry):
    """A UNIX group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NameMapping(Entry):
    """How names of one kind become names of the other; `name` is the direction and the index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCifsUser(Entry):
    """A user that only the CIFS server knows; `name` is its SID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferredController(Entry):
    """A domain controller to be asked first; `name` is the domain and the address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KerberosInterface(Record):
    """Kerberos on a LIF, whose UUID `uuid` is."""

    settings: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings(Record):
    """The directories and name servers that the array can ask; there is one of these."""

    directory: Directory
