"""The access list of a CIFS share: which entries say what the rules of a share say, and in which order a list is changed.

ONTAP knows an account by its name alone, be it a user or a group, adds up what several entries give one person, and lets an entry
without access win over all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from sharectl.model.access import ANYBODY, BOTH, CIFS, AccessLevel, AccessRule, AccessType
from sharectl.model.requests import RuleStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from sharectl.drivers.ontap.settings import SmbSettings
    from sharectl.model.canonical import JsonObject

_WINDOWS: Final = "windows"
_EVERYONE: Final = "everyone"
_EVERYBODY: Final = frozenset({_EVERYONE, "anonymous logon", "s-1-1-0", "s-1-5-7"})
"""Names, and security ids, by which an access list would let in whom nobody has named."""
_IN_NO_NAME: Final = frozenset('/*|"<>?')
_KEPT_OUT: Final = "no_access"
_PERMISSIONS: Final[Mapping[str, str]] = {
    AccessLevel.READ_WRITE: "full_control",
    AccessLevel.READ_ONLY: "read",
    AccessLevel.NONE: _KEPT_OUT,
}
_LEVELS: Final[Mapping[str, str]] = {
    "full_control": AccessLevel.READ_WRITE,
    "change": AccessLevel.READ_WRITE,
    "read": AccessLevel.READ_ONLY,
    _KEPT_OUT: AccessLevel.NONE,
}


_FROM_ANYWHERE: Final = (
    "the SVM's CIFS server lets users in from every address, and address rules of the same share would not keep them out; "
    "remove the address rules, or write `smb: {fromAnywhere: true}` in the backend's config"
)


class Entry(NamedTuple):
    """One entry of an access list."""

    account: str
    permission: str
    kind: str = _WINDOWS

    @property
    def key(self) -> tuple[str, str]:
        """What two entries for one account have in common: Windows ignores case."""
        return self.account.casefold(), self.kind

    def body(self) -> JsonObject:
        """Return it as the array takes it."""
        return {"user_or_group": self.account, "type": self.kind, "permission": self.permission}


class Change(NamedTuple):
    """One call on an access list; a deletion gives the entry as it is."""

    verb: Literal["add", "change", "delete"]
    entry: Entry


def entries_of(share: JsonObject) -> tuple[Entry, ...]:
    """Return the entries in the record of a CIFS share."""
    return tuple(
        Entry(entry["user_or_group"], entry["permission"], entry.get("type", _WINDOWS))
        for entry in share.get("acls") or ()
    )


def rules_in_force(entries: Iterable[Entry]) -> tuple[AccessRule, ...]:
    """Return what the entries grant; one that no rule can say, such as one for everybody, is a remark."""
    return tuple(sorted(map(_rule, entries)))


def _rule(entry: Entry) -> AccessRule:
    level = _LEVELS[entry.permission]
    if entry.kind != _WINDOWS:
        return AccessRule(AccessType.USER, f"somebody: the {entry.kind} {entry.account}", level)
    if entry.key[0] == _EVERYONE:
        return AccessRule(AccessType.USER, "somebody: Everyone", level)
    return AccessRule(AccessType.USER, entry.account, level)


def entry_of(rule: AccessRule) -> Entry:
    """Return the entry that says what the rule says."""
    return Entry(rule.access_to, _PERMISSIONS[rule.access_level])


def rule_problem(rule: AccessRule) -> tuple[str, str] | None:
    """Return why a rule cannot be in the access list of a CIFS share, and what to write; None where it can."""
    if rule.access_type != AccessType.USER:
        return _problem_of_type(rule)
    if rule.access_to == ANYBODY or _is_everybody(rule.access_to):
        return "it would let in everybody, guests too", r"name a group of the domain, such as CORP\Domain Users"
    if rule.options:
        return "an access list has no options", "leave the options out"
    if not rule.access_to.strip() or not rule.access_to.isprintable() or not _IN_NO_NAME.isdisjoint(rule.access_to):
        return "no account is called so", r"write it as Windows does: CORP\alice"
    return None


def _is_everybody(account: str) -> bool:
    """Tell whether Windows may read a name as that of everybody, or of those who give no name."""
    return account.rpartition("\\")[2].strip().casefold() in _EVERYBODY


def _problem_of_type(rule: AccessRule) -> tuple[str, str]:
    if rule.access_type == AccessType.IP:
        return "the SVM's CIFS server lets users in from every address", "name a user or a group of the domain"
    if rule.access_type == AccessType.GROUP:
        return (
            "ONTAP tells no group from a user, and adds up what both give one person",
            f"write `type: user`, which names groups too: {{type: user, to: '{rule.access_to}'}}",
        )
    return "guests have no account that an access list could name", "name a user or a group of the domain"


def refused(rules: Collection[AccessRule]) -> dict[AccessRule, RuleStatus]:
    """Return the status of each rule that cannot be in an access list: what it says, or another says for the same account."""
    found: dict[AccessRule, RuleStatus] = {}
    seen: dict[tuple[str, str], AccessRule] = {}
    for rule in sorted(rules):
        problem = rule_problem(rule)
        if problem is not None:
            found[rule] = RuleStatus("error", f"{problem[0]}; {problem[1]}")
            continue
        other = seen.setdefault(entry_of(rule).key, rule)
        if other is not rule:
            found[rule] = RuleStatus(
                "error", f"Windows reads '{other.access_to}' as the same account; remove one of the two"
            )
    return found


def rules_for(
    protocol: str, rules: Collection[AccessRule], smb: SmbSettings | None
) -> tuple[list[AccessRule], list[AccessRule], dict[AccessRule, RuleStatus]]:
    """Return which rules are for NFS, which for SMB, and those that are for none, with the reason."""
    if protocol != BOTH:
        return ([], list(rules), {}) if protocol == CIFS else (list(rules), [], {})
    hosts = [rule for rule in rules if rule.access_type == AccessType.IP]
    people = [rule for rule in rules if rule.access_type != AccessType.IP]
    if hosts and not (smb is not None and smb.from_anywhere):
        return hosts, [], dict.fromkeys(people, RuleStatus("error", _FROM_ANYWHERE))
    return hosts, people, {}


def changes_between(current: Collection[Entry], wanted: Collection[Entry]) -> Iterator[Change]:
    """Yield the calls that make the current list the wanted one.

    Between two of them nobody has more than before and after, nor less: whoever is to be kept out is so first and is let in last, and
    in between what gives more comes before what gives less.
    """
    found = {entry.key: entry for entry in current}
    target = {entry.key: entry for entry in wanted}
    stages: tuple[list[Change], ...] = ([], [], [], [])
    for key, entry in target.items():
        before = found.get(key)
        if before is None:
            stages[0 if entry.permission == _KEPT_OUT else 1].append(Change("add", entry))
        elif _LEVELS[before.permission] != _LEVELS[entry.permission]:
            stages[_stage(before, entry)].append(Change("change", entry))
    for key, entry in found.items():
        if key not in target:
            stages[3 if entry.permission == _KEPT_OUT else 2].append(Change("delete", entry))
    for stage in stages:
        yield from stage


def _stage(before: Entry, after: Entry) -> int:
    if after.permission == _KEPT_OUT:
        return 0
    if before.permission == _KEPT_OUT:
        return 3
    return 1 if before.permission == _PERMISSIONS[AccessLevel.READ_ONLY] else 2
