"""Access rules as rights of one server: which rules an NFS export or an SMB section can put in force, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.drivers.linux.agent.contract import Client, Problem, Rule, Section
from sharectl.drivers.linux.agent.nfs.clients import canonical_network, prefix_of
from sharectl.drivers.linux.agent.nfs.treatment import problem_of_options
from sharectl.drivers.linux.agent.smb.people import (
    ALL_USERS,
    GUESTS,
    People,
    is_for_one,
    is_plain,
    level_of,
    networks_of,
)
from sharectl.drivers.linux.agent.smb.people import levels as people_levels
from sharectl.model.client_addresses import nobody_at

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from sharectl.drivers.linux.agent.smb.treatment import SmbTreatment

ACTIVE: Final = ("active", "")
NOBODY_KNOWN: Final = People()
_LEVELS: Final = frozenset({"rw", "ro", "none"})

Status = tuple[str, str]


class RuleOutcome(NamedTuple):
    """What became of one rule, with the fields of a RuleStatus of the contract."""

    rule: Rule
    status: str
    reason: str = ""


"""What became of a rule: `active`, or `error` with the reason."""


class User(NamedTuple):
    """Whom a rule means: the account on the server, and what is in its way."""

    account: str
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class SmbRights:
    """Who may use an SMB share, as a Section has it; no networks means from everywhere."""

    writers: frozenset[str]
    readers: frozenset[str]
    networks: frozenset[str]
    guest: str = "none"
    shut_out: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()
    asked: tuple[Rule, ...] = ()

    @property
    def users(self) -> frozenset[str]:
        """All users that may use the share, by name."""
        return self.writers | self.readers

    @property
    def is_nothing(self) -> bool:
        """Tell whether there is nothing to put in force."""
        return not (self.users or self.networks or self.asked)

    def refused(self, users: Mapping[str, str]) -> dict[Rule, Status]:
        """Return what becomes of the rules because of the users who cannot be made, each with the reason."""
        found: dict[Rule, Status] = {}
        if users:
            several = (rule for rule in self.asked if rule.access_type != "ip" and not is_for_one(rule))
            found.update(dict.fromkeys(several, ("error", next(iter(users.values())))))
        for user, reason in users.items():
            rule = Rule("user", user, "rw" if user in self.writers else "ro")
            if not self.asked or rule in self.asked:
                found[rule] = ("error", reason)
        return found

    def section(self, name: str, path: str, treatment: SmbTreatment, refused: Collection[str] = ()) -> Section:
        """Return the section that gives just this, without the users who cannot be made."""
        users = self.writers.difference(refused), self.readers.difference(refused)
        return Section(name, path, *users, self.networks, treatment, self.guest, self.shut_out, self.denied, self.asked)


NOTHING: Final = SmbRights(frozenset(), frozenset(), frozenset())


def nfs_clients(
    rules: Collection[Rule], unfit: Callable[[Rule], str | None] = lambda _: None
) -> tuple[frozenset[Client], dict[Rule, Status]]:
    """Return the clients of an NFS export, and the status of each rule; `unfit` says what else is wrong with a rule."""
    statuses: dict[Rule, Status] = {}
    clients: dict[str, Client] = {}
    for rule in sorted(rules):
        problem = _problem_on_nfs(rule) or unfit(rule)
        if problem is None and clients.setdefault(rule.access_to, Client(*rule[1:])) != rule[1:]:
            problem = "another rule gives the same address something else"
        statuses[rule] = ACTIVE if problem is None else ("error", problem)
    statuses |= kept_out(statuses)
    return frozenset(Client(*rule[1:]) for rule, status in statuses.items() if status == ACTIVE), statuses


def kept_out(statuses: Mapping[Rule, Status]) -> dict[Rule, Status]:
    """Return the rules that must not be given because of those that were refused.

    Where one that keeps somebody out, or has options, is refused, nobody gets in by a wider one.
    """
    restricting = [
        rule for rule, status in statuses.items() if status != ACTIVE and (rule.access_level == "none" or rule.options)
    ]
    if not restricting:
        return {}
    reason = f"it would let in whom {restricting[0][0]}:{restricting[0][1]} restricts, which cannot be put in force"
    granted = (rule for rule, status in statuses.items() if status == ACTIVE and rule.access_level != "none")
    return dict.fromkeys(granted, ("error", reason))


def rules_of_clients(clients: Collection[Client]) -> tuple[Rule, ...]:
    """Return the rules that the clients of a live export stand for."""
    return tuple(sorted(Rule("ip", *client) for client in clients))


def smb_rights(
    rules: Collection[Rule], known_users: Mapping[str, User], people: People = NOBODY_KNOWN
) -> tuple[SmbRights, dict[Rule, Status]]:
    """Return who may use an SMB share, and the status of each rule.

    Rules for people say who, address rules from where; with both, both must be met. `known_users` are those whom the rules can mean, by
    the folded name that a rule has for them; groups have their members of `people`. Samba cannot make a share read-only by address.
    """
    statuses: dict[Rule, Status] = {}
    taken: set[str] = set()
    for rule in sorted(rules):
        problem = _problem_on_smb(rule, known_users, people, taken)
        statuses[rule] = ACTIVE if problem is None else ("error", problem)
        if problem is None and rule.access_type != "ip":
            taken.add(_who(rule, known_users))
    statuses |= kept_out(statuses)
    active = [rule for rule, status in statuses.items() if status == ACTIVE]
    hosts = [rule for rule in active if rule.access_type == "ip" and rule.access_level != "none"]
    if hosts and not networks_of(active)[0]:  # no networks would stand for everywhere
        reason = "other rules keep out all of the networks that may reach the share"
        granting = [rule for rule in active if rule.access_level != "none"]
        statuses |= dict.fromkeys(granting, ("error", reason))
        active = [rule for rule in active if rule not in granting]
    return _rights(active, known_users, people), statuses


def _rights(rules: Collection[Rule], known_users: Mapping[str, User], people: People) -> SmbRights:
    """Return what these rules, which can all be put in force, stand for."""
    levels = people_levels(rules, {name: user.account for name, user in known_users.items()}, people)
    guest = level_of(GUESTS, rules)
    networks, denied = networks_of(rules)
    named = {level: frozenset(name for name, of in levels.items() if of == level) for level in ("rw", "ro", "none")}
    asked = () if is_plain(rules) else tuple(sorted(rules))
    shut_out = named["none"] if guest != "none" else frozenset[str]()
    return SmbRights(named["rw"], named["ro"], networks, guest, shut_out, denied, asked)


def _who(rule: Rule, known_users: Mapping[str, User]) -> str:
    """Return what no two rules may name."""
    if is_for_one(rule):
        return known_users[rule.access_to.casefold()].account
    return f"{rule.access_type}:{rule.access_to.casefold()}"


def users_meant(
    rules: Collection[Rule], account_of: Callable[[str], str], known: Mapping[str, str | None]
) -> dict[str, User]:
    """Return the users that the rules name and that can be meant, by folded name, with what is in the way of each.

    `account_of` gives the account that a name means, and raises REFUSED where it can be none; `known` are the users of the settings, by
    folded name, each with what is in its way. Those whom the settings do not name are left out.
    """
    found = {}
    for name in {rule.access_to for rule in rules if is_for_one(rule)}:
        try:
            account = account_of(name)
        except Problem as problem:
            found[name.casefold()] = User(name, str(problem))
        else:
            if account in known:
                found[name.casefold()] = User(account, known[account])
    return found


def rules_of_section(section: Section, usable: Collection[str]) -> tuple[Rule, ...]:
    """Return the rules that a live section stands for by its lists; a user who is not among the usable has no right, whatever the section says."""
    return tuple(
        sorted(
            [
                *(Rule("user", user, "rw") for user in section.writers if user in usable),
                *(Rule("user", user, "ro") for user in section.readers if user in usable),
                *(Rule("ip", network, "rw") for network in section.networks),
            ]
        )
    )


def rules_asked(
    section: Section, usable: Collection[str], compared: Collection[str], granted: SmbRights
) -> tuple[Rule, ...]:
    """Return those of the rules that a section was asked for which it has in force; `granted` is what they stand for now.

    Rules for several people are not where the section has other people than they mean now, or where one of these, whose password can be
    `compared`, cannot log in with it.
    """
    lists = (section.writers, section.readers, section.guest, section.shut_out)
    is_current = lists == (granted.writers, granted.readers, granted.guest, granted.shut_out)
    are_usable = all(user in usable for user in section.users if user.casefold() in compared)

    def is_in_force(rule: Rule) -> bool:
        if rule.access_type == "ip":
            return True
        if is_for_one(rule):
            return rule.access_level == "none" or rule.access_to in usable
        return is_current and (are_usable or rule.access_level == "none")

    return tuple(rule for rule in section.asked if is_in_force(rule))


def _problem_on_nfs(rule: Rule) -> str | None:
    if rule.access_type != "ip":
        return f"an NFS server knows addresses, not {rule.access_type}s"
    flavours = dict(rule.options).get("security", "sys")
    if problem_of_options(rule.options) is None and flavours != "sys":
        return f"the linux driver cannot set up Kerberos for NFS yet ({flavours})"
    return problem_of_options(rule.options) or _problem_of_level(rule) or _problem_of_network(rule.access_to)


def _problem_on_smb(rule: Rule, known_users: Mapping[str, User], people: People, taken: Collection[str]) -> str | None:
    if problem := _problem_of_level(rule):
        return problem
    if rule.options:
        return "an SMB server knows no options of a client"
    if rule.access_type == "ip":
        if rule.access_level == "ro":
            return "Samba cannot make a share read-only by address; write a user rule with level ro"
        return _problem_of_network(rule.access_to)
    if is_for_one(rule):
        return _problem_of_user(rule, known_users, taken)
    return _problem_of_people(rule, people, taken)


def _problem_of_user(rule: Rule, known_users: Mapping[str, User], taken: Collection[str]) -> str | None:
    user = known_users.get(rule.access_to.casefold())
    if user is None:
        return f"the backend knows no user {rule.access_to!r}: add it with its password under smb.users of the backend"
    if user.account in taken:
        return "another rule names the same user; Samba ignores case"
    return None if rule.access_level == "none" else user.problem


def _problem_of_people(rule: Rule, people: People, taken: Collection[str]) -> str | None:
    key = f"{rule.access_type}:{rule.access_to}"
    if rule.access_type == "group":
        if rule.access_to.casefold() not in people.groups:
            return f"the backend knows no group {rule.access_to!r}: add it with its members under smb.groups of the backend"
        return "another rule names the same group" if key.casefold() in taken else None
    if key == GUESTS and rule.access_level != "none" and not people.guests:
        return "the backend lets no guests in: set smb.guests of the backend to true"
    if key in {GUESTS, ALL_USERS}:
        return None
    return f"an SMB server knows addresses, users, groups and guests, not {key!r}"


def _problem_of_level(rule: Rule) -> str | None:
    return None if rule.access_level in _LEVELS else f"the levels are rw, ro and none, not {rule.access_level!r}"


def _problem_of_network(text: str) -> str | None:
    if prefix_of(text) is None or canonical_network(text) != text:
        return f"{text!r} is not an address or network in canonical form"
    nobody = nobody_at(text)
    return None if nobody is None else f"{text} {nobody.why}; {nobody.remedy}"
