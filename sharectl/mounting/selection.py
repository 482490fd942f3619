"""The mounts that follow from the state: each share that the client may reach, at the location that it can use."""

from __future__ import annotations

import posixpath
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.manifests.names import is_name
from sharectl.model.access import ANYBODY, BOTH, NFS, AccessLevel, AccessRule, AccessType, protocols_in, smb_rules
from sharectl.model.frozen import dataclass
from sharectl.model.kinds import Kind, name_of
from sharectl.model.specs import Protocol
from sharectl.mounting.clients import Reach, reach_of
from sharectl.mounting.locations import Location, parse_location
from sharectl.planner.records import DEPOSED_MARK, export_locations_of
from sharectl.state.rows import spec_object_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sharectl.model.canonical import JsonObject
    from sharectl.model.kinds import Address
    from sharectl.model.records import Record, RuleRecord
    from sharectl.mounting.clients import Client

NO_LOCATION: Final = "no export location is known"
OTHER_FORM: Final = "its export locations are not of a form that can be mounted"
OTHER_VERSION: Final = "none of its export locations is of an IP version over which the client reaches it"
NOBODY: Final = "no access rule is in force"
WAITS_FOR_REMOVAL: Final = "it has been replaced and waits for its removal"
NO_NAME: Final = "its name cannot be a folder"
_MOST_REMEMBERED: Final = 65536
_EVERYWHERE: Final = tuple(
    AccessRule(AccessType.IP, network, AccessLevel.READ_WRITE) for network in ("0.0.0.0/0", "::/0")
)
"""From where people may reach a share if no rule says it."""


@dataclass(frozen=True, slots=True)
class Mount:
    """One share as one client mounts it.

    `others` are further locations of the same share that the client could use. `access` are the rules in force that are about
    this client: of a network the narrower ones within it as well. `size_bytes` is None where the state does not know it.
    """

    address: Address
    resource_id: str
    location: Location
    others: tuple[Location, ...]
    read_only: bool
    access: tuple[AccessRule, ...]
    size_bytes: int | None

    @property
    def name(self) -> str:
        """The share's name, which is a folder's as well."""
        return name_of(self.address)

    @property
    def is_for_guests(self) -> bool:
        """Tell whether guests alone are let in, who have no password."""
        people = [rule for rule in self.access if rule.access_type != AccessType.IP]
        return bool(people) and all(rule.access_type == AccessType.GUEST for rule in people)

    def point(self, root: str) -> str:
        """Return the path where it is mounted, under `root`."""
        return posixpath.join(root, self.name)


class LeftOut(NamedTuple):
    """A share that would be mounted but for one thing."""

    address: Address
    reason: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which mounts are asked for: of which client (None: of all), as which SMB user (None: any), with all of these labels."""

    client: Client | None = None
    user: str | None = None
    labels: Mapping[str, str] | None = None

    @property
    def names_somebody(self) -> bool:
        """Tell whether a client or a user is asked for, who may well not be meant to reach a share."""
        return self.client is not None or self.user is not None


class Selected(NamedTuple):
    """The mounts by name, and the shares that had to be left out."""

    mounts: tuple[Mount, ...]
    left_out: tuple[LeftOut, ...]

    def fitting(self, problem_of: Callable[[Mount], str | None]) -> Selected:
        """Return it without the mounts of which `problem_of` says why they cannot be."""
        mounts: list[Mount] = []
        left_out = list(self.left_out)
        for mount in self.mounts:
            problem = problem_of(mount)
            if problem is None:
                mounts.append(mount)
            else:
                left_out.append(LeftOut(mount.address, problem))
        return Selected(tuple(mounts), tuple(left_out))


def select_mounts(records: Iterable[Record], rules: Mapping[Address, Sequence[RuleRecord]], wanted: Wanted) -> Selected:
    """Return the mounts of the shares among `records`, sorted by address.

    A share that the client may not reach is neither a mount nor left out: nothing is missing.
    """
    # Most shares have the rules of many others; what follows from equal rules is found once.
    access_of = lru_cache(maxsize=_MOST_REMEMBERED)(partial(_access, wanted))
    mounts: list[Mount] = []
    left_out: list[LeftOut] = []
    for record in sorted(record for record in records if record.kind == Kind.SHARE):
        spec = spec_object_of(record)
        if not _has_labels(spec, wanted.labels):
            continue
        active = tuple([each.rule for each in rules.get(record.address, ()) if each.status == "active"])
        answer: Mount | str = NOBODY
        for protocol in protocols_in(spec["protocol"]):  # NFS first, of which a machine needs no password
            if not isinstance(answer, Mount):
                meant = active if spec["protocol"] != BOTH or protocol == NFS else tuple(smb_rules(active)[0])
                answer = _mount(record, protocol, partial(access_of, protocol, meant))
        if isinstance(answer, Mount):
            mounts.append(answer)
        elif answer != NOBODY or not wanted.names_somebody:
            left_out.append(LeftOut(record.address, answer))
    return Selected(tuple(mounts), tuple(left_out))


def _has_labels(spec: JsonObject, labels: Mapping[str, str] | None) -> bool:
    found = spec.get("labels", {})
    return all(found.get(key) == value for key, value in (labels or {}).items())


def _mount(record: Record, protocol: str, access_over: Callable[[int | None], Reach | None]) -> Mount | str:
    """Return the mount, or why there is none. `access_over` says what the rules let the client do over an IP version (None: over any)."""
    if access_over(None) is None:
        return NOBODY
    if DEPOSED_MARK in record.address:
        return WAITS_FOR_REMOVAL
    if not is_name(name_of(record.address)):
        return NO_NAME
    texts = export_locations_of(record)
    locations = [location for text in texts if (location := parse_location(protocol, text)) is not None]
    usable = [(location, found) for location in locations if (found := access_over(location.ip_version)) is not None]
    if not usable:
        return NO_LOCATION if not texts else OTHER_FORM if not locations else OTHER_VERSION
    (location, found), *others = usable
    return Mount(
        address=record.address,
        resource_id=record.resource_id,
        location=location,
        others=tuple(other for other, _ in others),
        read_only=found.read_only,
        access=found.rules,
        size_bytes=record.size_bytes,
    )


def _access(wanted: Wanted, protocol: str, active: tuple[AccessRule, ...], ip_version: int | None) -> Reach | None:
    """Return what the client may do on its way over `ip_version` (None: over any), and the rules that say so, or None for nothing.

    Addresses say from where, users as whom; where a share of SMB has both, both must be met, and a share without users is open
    to every user that its server knows. NFS knows addresses alone.
    """
    shut_out = tuple(rule for rule in active if rule.access_type == AccessType.IP and not _grants(rule))
    hosts = tuple(rule for rule in active if rule.access_type == AccessType.IP and _grants(rule))
    people = tuple(rule for rule in active if rule.access_type != AccessType.IP) if protocol == Protocol.CIFS else ()
    named = _people(people, wanted.user)
    if (any(map(_grants, people)) and not named) or not (hosts or named):
        return None
    levels = [{rule.access_level for rule in rules} for rules in (hosts, named) if rules]
    if wanted.client is not None and not hosts and ip_version not in {None, *wanted.client.versions}:
        return None
    if wanted.client is not None and (hosts or shut_out):
        spans = [span for span in wanted.client.spans if ip_version in {None, span.version}]
        reach = reach_of(spans, (*(hosts or _EVERYWHERE), *shut_out))
        if reach is None:
            return None
        if not hosts:
            return Reach({str(AccessLevel.READ_ONLY)} in levels, named)
        hosts = reach.rules
        levels[0] = {AccessLevel.READ_ONLY if reach.read_only else AccessLevel.READ_WRITE}
    return Reach({str(AccessLevel.READ_ONLY)} in levels, (*hosts, *named))


def _people(people: Sequence[AccessRule], user: str | None) -> tuple[AccessRule, ...]:
    """Return the rules by which the user, or anybody (None), may use a share.

    The user's own rule decides for the user. Nobody here knows who is in a group, so that one that lets in may let the user in.
    """
    own = [rule for rule in people if user is not None and _is_of_user(rule, user)]
    deciding = own or [
        rule for rule in people if user is None or rule.access_type != AccessType.USER or rule.access_to == ANYBODY
    ]
    return tuple(filter(_grants, deciding))


def _is_of_user(rule: AccessRule, user: str) -> bool:
    return rule.access_type == AccessType.USER and _same_user(rule.access_to, user)


def _grants(rule: AccessRule) -> bool:
    return rule.access_level != AccessLevel.NONE


def _same_user(one: str, other: str) -> bool:
    """Tell whether two names are the same to Windows, which sees no difference of case."""
    return one.casefold() == other.casefold()
