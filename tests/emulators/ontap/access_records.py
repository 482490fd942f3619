"""What the array keeps of who may reach what: export policies, CIFS shares and qtrees."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar, Final

from tests.emulators.ontap.world import Record

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from tests.emulators.ontap.export_rules import Rules

ADMINISTRATIVE: Final = ("c$", "ipc$", "admin$")
"""The shares that every CIFS server has."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ExportPolicy(Record):
    """An export policy; volumes and qtrees know it by its id."""

    is_watched: ClassVar[bool] = True
    uuid: str = ""
    id: int
    name: str
    svm: str
    rules: Rules = ()
    used_until: float = 0.0
    """Until when it counts as used although nothing uses it any more."""

    @property
    def key(self) -> Hashable:
        """Its id."""
        return self.id


@dataclasses.dataclass(frozen=True, slots=True)
class AclEntry:
    """One entry of a CIFS share's access control list."""

    account: str
    permission: str
    kind: str = "windows"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CifsShare(Record):
    """A CIFS share of the SVM `uuid`; its path may lead nowhere once its volume is unmounted."""

    is_watched: ClassVar[bool] = True
    name: str
    path: str
    entries: tuple[AclEntry, ...] = ()
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    administrative: bool = False

    @property
    def key(self) -> Hashable:
        """The SVM, and the name in small letters."""
        return self.uuid, self.name.lower()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Qtree(Record):
    """A qtree of the volume `uuid`; number 0 is what of it is in no other."""

    is_watched: ClassVar[bool] = True
    id: int
    name: str
    security_style: str
    unix_permissions: int
    policy: int | None = None
    """The id of its own export policy; None where its volume's holds."""
    qos_policy: str | None = None
    data: int = 0
    deleting: bool = False
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def key(self) -> Hashable:
        """The volume, and the number."""
        return self.uuid, self.id
