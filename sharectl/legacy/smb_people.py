"""Users, groups and guests of a section of smb.conf(5), as access rules that let none of them do more."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.legacy.findings import Outcome
from sharectl.legacy.smb_parameters import truth_of
from sharectl.manifests.access import AccessError, canonical_to
from sharectl.model.access import ANYBODY, AccessLevel, AccessType

if TYPE_CHECKING:
    from sharectl.legacy.smb_conf import Section

_NAME: Final = re.compile(r'(?:"[^"]*"|[^\s,;"])+')
_MARKS: Final = "@+&"


class Person(NamedTuple):
    """A user or group of a list: `type` and `to` of its rule, or why there can be none; `parameter` is the list's name."""

    written: str
    parameter: str
    type: str = ""
    to: str = ""
    why_not: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """Equal for the same one, whatever its case."""
        return self.type, self.to.casefold()


class PeopleRule(NamedTuple):
    """A rule for people, and the parameter that it is from."""

    type: str
    to: str
    level: str
    parameter: str


class Remark(NamedTuple):
    """What becomes of a value of a parameter that no rule says as it is."""

    parameter: str
    value: str
    why: str
    remedy: str = ""
    outcome: Outcome = Outcome.LEFT_OUT


class People(NamedTuple):
    """The rules for people, and remarks; `why_not` says why nobody is to get in by rules."""

    rules: tuple[PeopleRule, ...]
    remarks: tuple[Remark, ...]
    why_not: str = ""


def people_in(section: Section, parameter: str) -> tuple[Person, ...]:
    """Return the users and groups of a list."""
    return tuple(_person(match[0], parameter) for match in _NAME.finditer(section.value(parameter)))


def _person(written: str, parameter: str) -> Person:
    plain = written.replace('"', "")
    name = plain.lstrip(_MARKS)
    kind = AccessType.GROUP if name != plain else AccessType.USER
    if "%" in plain or name == ANYBODY:
        return Person(plain, parameter, why_not="it does not say who is meant; name the user or group")
    try:
        return Person(plain, parameter, kind, canonical_to(kind, name))
    except AccessError as problem:
        return Person(plain, parameter, why_not=f"{problem.summary}; {problem.remedy}")


def people_of(section: Section) -> People:
    """Return the rules for the users and groups of a section, for all users, and for guests."""
    found = _People(section)
    return found.made()


class _People:
    """Works out what each one of the lists may do. Who is in a group is not known, so that doubt is decided against it."""

    def __init__(self, section: Section) -> None:
        lists = {name: people_in(section, name) for name in ("valid users", "invalid users", "read list", "write list")}
        self._valid, self._invalid, self._readers, self._writers = lists.values()
        self._section = section
        self._default = (
            AccessLevel.READ_ONLY
            if truth_of(section.value("read only") or "yes") is not False
            else AccessLevel.READ_WRITE
        )
        self._rules: dict[tuple[str, str], PeopleRule] = {}
        self._remarks: list[Remark] = []

    def made(self) -> People:
        unsayable = next((person for person in self._invalid if person.why_not), None)
        if unsayable is not None:
            return self._nobody(f"{unsayable.written} is to be kept out, and no rule can name it ({unsayable.why_not})")
        if truth_of(self._section.value("guest only") or "no"):
            self._as_guests()
        else:
            self._as_themselves()
        for person in self._invalid:
            self._rules[person.key] = PeopleRule(person.type, person.to, AccessLevel.NONE, person.parameter)
        self._keep_members_out()
        if all(rule.level == AccessLevel.NONE for rule in self._rules.values()):
            return self._nobody("")
        return People(tuple(self._rules.values()), tuple(self._remarks))

    def _nobody(self, why: str) -> People:
        return People((), tuple(self._remarks), why or "nobody whom a rule can name may use it")

    def _as_guests(self) -> None:
        """All users become the guest account, which alone decides."""
        for name in ("valid users", "read list", "write list"):
            for person in people_in(self._section, name):
                self._remark(
                    person,
                    "all users of the section become guests, whose name it is not",
                    "name who is meant, without guest only",
                )
        if truth_of(self._section.value("guest ok") or "no") and not self._valid:
            self._add(AccessType.USER, ANYBODY, self._lowest(), "guest only")
            self._add(AccessType.GUEST, ANYBODY, self._lowest(), "guest only")

    def _as_themselves(self) -> None:
        if self._valid:
            for person in self._valid:
                self._one(person)
            named = {person.key for person in self._valid}
            for person in (*self._writers, *self._readers):
                if person.why_not:
                    self._remark(person, person.why_not, "add a rule for whom it means")
                elif person.key not in named:
                    self._beside_valid(person)
        else:
            self._add(AccessType.USER, ANYBODY, self._lowest(), "read only")
            for person in (*self._readers, *self._writers):
                self._one(person)
        if truth_of(self._section.value("guest ok") or "no"):
            self._guests()

    def _guests(self) -> None:
        """Add a rule for guests, unless a list may hold the guest account."""
        doubtful = [person for person in self._invalid if person.type != AccessType.USER or self._is_guest(person)]
        if self._valid or doubtful:
            why = "the guest account may be among those who are kept out, or is not among those who are valid"
            self._remarks.append(Remark("guest ok", "yes", why, "add a rule of type guest if guests are to get in"))
            return
        reads = any(person.type != AccessType.USER or self._is_guest(person) for person in self._readers)
        self._add(AccessType.GUEST, ANYBODY, AccessLevel.READ_ONLY if reads else self._default, "guest ok")

    def _is_guest(self, person: Person) -> bool:
        return person.to.casefold() == (self._section.value("guest account") or "nobody").casefold()

    def _beside_valid(self, person: Person) -> None:
        """Say what becomes of a user or group that is valid only if a valid group holds it."""
        if person.parameter == "write list":
            self._remark(
                person,
                "it may write only if one of the valid groups holds it",
                "add a rule with level rw if it is to write",
                outcome=Outcome.NARROWED,
            )
        elif self._default == AccessLevel.READ_ONLY:
            self._remark(person, "all who are valid only read", outcome=Outcome.AS_SERVED)
        elif person.type == AccessType.USER:
            # Through a valid group it could write, were it not kept out.
            why = "it may read only if one of the valid groups holds it, and is kept out"
            self._remark(person, why, "make its rule ro if it is to read", outcome=Outcome.NARROWED)
            self._add(person.type, person.to, AccessLevel.NONE, person.parameter)
        else:
            why = "its members may use the share only if they are valid otherwise; all of whom they may be only read"
            self._remark(person, why, outcome=Outcome.NARROWED)

    def _one(self, person: Person) -> None:
        if person.why_not:
            self._remark(person, person.why_not, "add a rule for whom it means")
            return
        level = self._level(person)
        if level == self._default == AccessLevel.READ_ONLY and not self._valid:
            self._remark(person, "all users read", outcome=Outcome.AS_SERVED)
        else:
            self._add(person.type, person.to, level, person.parameter)

    def _level(self, person: Person) -> str:
        if any(person.key == writer.key for writer in self._writers):
            return AccessLevel.READ_WRITE
        if self._default == AccessLevel.READ_ONLY or any(person.key == reader.key for reader in self._readers):
            return AccessLevel.READ_ONLY
        # Members of a reading group only read, and who they are is not known.
        others = [reader for reader in self._readers if reader.type != AccessType.USER]
        if others:
            remedy = f"make the rule rw if it has no members of {others[0].written}"
            self._remark(
                person, f"some of it may be in {others[0].written}, which only reads", remedy, outcome=Outcome.NARROWED
            )
            return AccessLevel.READ_ONLY
        return AccessLevel.READ_WRITE

    def _lowest(self) -> str:
        """Return the level of whoever no rule names: that of the readers who cannot be named, if there are some."""
        return AccessLevel.READ_ONLY if any(reader.why_not for reader in self._readers) else self._default

    def _keep_members_out(self) -> None:
        """Take out rules for users whom a group that is kept out may hold: their own rules would decide."""
        groups = [person.written for person in self._invalid if person.type == AccessType.GROUP]
        for key, rule in list(self._rules.items()):
            is_user = rule.type == AccessType.USER and rule.to != ANYBODY and rule.level != AccessLevel.NONE
            if groups and is_user:
                if rule.level != self._default == AccessLevel.READ_WRITE:
                    self._rules[key] = rule._replace(level=AccessLevel.NONE)  # else a wider rule would let it write
                else:
                    del self._rules[key]
                why = f"it may be in {groups[0]}, which is kept out, and a rule of its own would let it in"
                self._remarks.append(
                    Remark(rule.parameter, rule.to, why, "add the rule if it is in none of these groups")
                )

    def _add(self, kind: str, to: str, level: str, parameter: str) -> None:
        self._rules[kind, to.casefold()] = PeopleRule(kind, to, level, parameter)

    def _remark(self, person: Person, why: str, remedy: str = "", *, outcome: Outcome = Outcome.LEFT_OUT) -> None:
        self._remarks.append(Remark(person.parameter, person.written, why, remedy, outcome))
