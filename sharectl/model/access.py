"""Access: who may reach a share, by which rules, and over which protocols."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sharectl.model.canonical import DIGEST_SIZE_BYTES, digest_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

NO_ACCESS_DIGEST: Final = bytes(DIGEST_SIZE_BYTES)
ANYBODY: Final = "*"
"""Whom a rule of type `user` means that is for every user who can log in, and a rule of type `guest` always."""

NFS: Final = "NFS"
CIFS: Final = "CIFS"
BOTH: Final = "NFS_CIFS"
"""A share of both protocols, as Manila writes the `storage_protocol` of a backend that has both."""

ExportSettings = tuple[tuple[str, str], ...]
"""Settings of an export other than its clients, as (name, value) sorted by name: squashing, the anonymous user."""


CLIENTS: Final = "clients"
"""The type of a rule that names a ClientList. Manifests alone know it: whatever comes after their linking sees rules of type `ip`."""


class AccessType(StrEnum):
    """What an access rule names: an address or CIDR, a user, a group of users, or whoever comes without a password."""

    IP = "ip"
    USER = "user"
    GROUP = "group"
    GUEST = "guest"


OF_CLIENTS: Final = frozenset({AccessType.IP, CLIENTS})
"""The types of rules that name clients, and not people."""


class AccessLevel(StrEnum):
    """What an access rule grants; NONE shuts out whoever a wider rule lets in."""

    READ_WRITE = "rw"
    READ_ONLY = "ro"
    NONE = "none"


class AccessRule(NamedTuple):
    """One rule of a share. `access_to` is canonical: an IP address or network as `ipaddress` prints it, the name of a user or group, or ANYBODY.

    `options` say how an export treats this client: `squash`, `anonymousUid`, `anonymousGid`, `security` (flavours with commas
    between them) and `insecure`; what they leave out is as for the whole export.
    Two rules of one share are the same rule when `key` is equal; the level and the options of a rule can change in place.
    """

    access_type: str
    access_to: str
    access_level: str
    options: ExportSettings = ()

    @property
    def key(self) -> str:
        r"""`ip:10.0.0.0/8` or `user:CORP\\alice`: unique within a share."""
        return f"{self.access_type}:{self.access_to}"

    @property
    def is_remark(self) -> bool:
        """Whether it is no rule of anybody's, but what a driver says of access that it cannot read, or that nobody asked for: `unreadable: …`.

        No user, group or network has a colon with a space behind it in its name.
        """
        return ": " in self.access_to

    @property
    def grant(self) -> str:
        """What the rule grants, in words: `rw`, or `rw (squash none)`."""
        if not self.options:
            return self.access_level
        return f"{self.access_level} ({', '.join(f'{name} {value}' for name, value in self.options)})"

    def as_plain(self) -> list[Any]:
        """Return the list from which `rule_of` makes an equal rule; without options it is as short as it was before there were any."""
        return [*self[:3], dict(self.options)] if self.options else list(self[:3])

    def as_object(self) -> dict[str, Any]:
        """Return the rule as a JSON object; `options` is there where it has some."""
        plain = {"access_type": self.access_type, "access_to": self.access_to, "access_level": self.access_level}
        return {**plain, "options": dict(self.options)} if self.options else plain


_shared_rule: Final = lru_cache(maxsize=10_000)(AccessRule)
"""Many shares have the same few clients: their rules are one object each."""

_WITHOUT_OPTIONS: Final = 3
"""How many values a rule without options is written as."""


def rule_of(plain: Sequence[Any]) -> AccessRule:
    """Return the rule that `as_plain` wrote."""
    if len(plain) == _WITHOUT_OPTIONS:
        return _shared_rule(*plain)
    access_type, access_to, level, options = plain
    return _shared_rule(access_type, access_to, level, options_of(options))


def options_of(plain: Mapping[str, str] | Iterable[tuple[str, str]] | None) -> ExportSettings:
    """Return the options in an object, or in pairs, in the order of their names."""
    return tuple(sorted(dict(plain).items())) if plain else ()


def access_digest(rules: Iterable[AccessRule]) -> bytes:
    """Return the digest of a set of rules, whatever their order; of no rules, NO_ACCESS_DIGEST."""
    return _digest_of_rules(tuple(rules))


@lru_cache(maxsize=10_000)
def _digest_of_rules(rules: tuple[AccessRule, ...]) -> bytes:
    """Return the digest of rules; many shares have the same few lists of them."""
    return digest_of_lines(map(line_of, rules))


def line_of(rule: AccessRule) -> str:
    """Return what goes into a digest of a rule."""
    access_type, access_to, level, options = rule
    return f"{access_type}:{access_to}={level}{_text(options) if options else ''}"


def digest_of_lines(lines: Iterable[str]) -> bytes:
    """Return the digest of rules, each given by its line."""
    text = "\n".join(sorted(lines))
    return digest_of(text.encode()) if text else NO_ACCESS_DIGEST


def _text(options: ExportSettings) -> str:
    return "".join(f" {name}={value}" for name, value in options)


def protocols_in(protocol: str | None) -> tuple[str, ...]:
    """Return the protocols that a share of `protocol` is exported over; none where that is not known yet."""
    if protocol == BOTH:
        return NFS, CIFS
    return () if protocol is None else (protocol,)


def protocol_words(protocol: str | None) -> str:
    """Return the protocol of a share in words: `NFS`, or `NFS and CIFS`."""
    return " and ".join(protocols_in(protocol))


def joined_protocols(protocols: Iterable[str]) -> str:
    """Return the protocol of a share that is exported over these."""
    wanted = set(protocols)
    return BOTH if wanted == {NFS, CIFS} else "".join(wanted)


def may_become(before: str | None, after: str | None) -> bool:
    """Tell whether a share may get other protocols in place: some clients find it as before."""
    return bool(set(protocols_in(before)) & set(protocols_in(after)))


def smb_rules(rules: Collection[Any]) -> tuple[list[Any], str]:
    """Return the rules that SMB gets of a share with both protocols, and why its users cannot be let in, if they cannot.

    They are AccessRules, or what the linux driver's agent has in their place. Rules for people say who, address rules from where, as
    on any share of SMB: both have to be met. An address that may only read over NFS is kept out, since Samba cannot make anybody a
    reader by address. Without rules for people nobody is let in, whatever the addresses.
    """
    people = [rule for rule in rules if rule.access_type != "ip"]
    hosts = [
        rule._replace(access_level="rw" if rule.access_level == "rw" else "none", options=())
        for rule in rules
        if rule.access_type == "ip"
    ]
    if not people:
        return [], ""
    if hosts and not any(rule.access_level == "rw" for rule in hosts):
        return [], "users of SMB come from the addresses that may write, and none of the address rules is rw"
    return [*people, *hosts], ""
