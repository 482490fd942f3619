"""Access rules as rights of one server: which rules an NFS export or an SMB section can put in force, and back."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.drivers.linux.agent.contract import Client, Problem, Rule
from sharectl.drivers.linux.agent.nfs.treatment import problem_of_options
from sharectl.model.client_addresses import nobody_at

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

ACTIVE: Final = ("active", "")
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
    """Who may use an SMB share; no networks means from everywhere."""

    writers: frozenset[str]
    readers: frozenset[str]
    networks: frozenset[str]

    @property
    def users(self) -> frozenset[str]:
        """All users that may use the share."""
        return self.writers | self.readers


def nfs_clients(rules: Collection[Rule]) -> tuple[frozenset[Client], dict[Rule, Status]]:
    """Return the clients of an NFS export, and the status of each rule."""
    statuses: dict[Rule, Status] = {}
    clients: dict[str, Client] = {}
    for rule in sorted(rules):
        problem = _problem_on_nfs(rule)
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


def smb_rights(rules: Collection[Rule], known_users: Mapping[str, User]) -> tuple[SmbRights, dict[Rule, Status]]:
    """Return who may use an SMB share, and the status of each rule.

    User rules say who, address rules from where; with both, both must be met. `known_users` are those whom the rules can mean, by
    the folded name that a rule has for them. Samba cannot make a share read-only by address.
    """
    statuses: dict[Rule, Status] = {}
    taken: set[str] = set()
    for rule in sorted(rules):
        problem = _problem_on_smb(rule, known_users, taken)
        statuses[rule] = ACTIVE if problem is None else ("error", problem)
        if problem is None and rule.access_type != "ip":
            taken.add(known_users[rule.access_to.casefold()].account)
    statuses |= kept_out(statuses)
    found: dict[tuple[str, str], set[str]] = {}
    for rule, status in statuses.items():
        if status == ACTIVE:
            found.setdefault((rule.access_type, rule.access_level), set()).add(rule.access_to)
    kinds = (("user", "rw"), ("user", "ro"), ("ip", "rw"))
    return SmbRights(*(frozenset(found.get(kind, ())) for kind in kinds)), statuses


def users_meant(
    rules: Collection[Rule], account_of: Callable[[str], str], known: Mapping[str, str | None]
) -> dict[str, User]:
    """Return the users that the rules name and that can be meant, by folded name, with what is in the way of each.

    `account_of` gives the account that a name means, and raises REFUSED where it can be none; `known` are the users of the settings, by
    folded name, each with what is in its way. Those whom the settings do not name are left out.
    """
    found = {}
    for name in {rule.access_to for rule in rules if rule.access_type == "user"}:
        try:
            account = account_of(name)
        except Problem as problem:
            found[name.casefold()] = User(name, str(problem))
        else:
            if account in known:
                found[name.casefold()] = User(account, known[account])
    return found


def rules_of_section(
    writers: Collection[str], readers: Collection[str], networks: Collection[str], usable: Collection[str]
) -> tuple[Rule, ...]:
    """Return the rules that a live section stands for; a user who is not among the usable has no right, whatever the section says."""
    return tuple(
        sorted(
            [
                *(Rule("user", user, "rw") for user in writers if user in usable),
                *(Rule("user", user, "ro") for user in readers if user in usable),
                *(Rule("ip", network, "rw") for network in networks),
            ]
        )
    )


def _problem_on_nfs(rule: Rule) -> str | None:
    if rule.access_type != "ip":
        return f"an NFS server knows addresses, not {rule.access_type}s"
    flavours = dict(rule.options).get("security", "sys")
    if problem_of_options(rule.options) is None and flavours != "sys":
        return f"the linux driver cannot set up Kerberos for NFS yet ({flavours})"
    return problem_of_options(rule.options) or _problem_of_level(rule) or _problem_of_network(rule.access_to)


def _problem_on_smb(rule: Rule, known_users: Mapping[str, User], taken: Collection[str]) -> str | None:
    if problem := _problem_of_level(rule):
        return problem
    if rule.options:
        return "an SMB server knows no options of a client"
    if rule.access_level == "none":
        return "an SMB server of this driver keeps nobody out of a wider rule; leave the wider rule out"
    if rule.access_type == "ip":
        if rule.access_level == "ro":
            return "Samba cannot make a share read-only by address; write a user rule with level ro"
        return _problem_of_network(rule.access_to)
    return _problem_of_user(rule, known_users, taken)


def _problem_of_user(rule: Rule, known_users: Mapping[str, User], taken: Collection[str]) -> str | None:
    if rule.access_type != "user":
        return f"an SMB server knows addresses and users, not {rule.access_type!r}"
    if rule.access_to == "*":
        return "an SMB server of this driver knows no rule for all users; name each user in a rule of its own"
    user = known_users.get(rule.access_to.casefold())
    if user is None:
        return f"the backend knows no user {rule.access_to!r}: add it with its password under smb.users of the backend"
    if user.account in taken:
        return "another rule names the same user; Samba ignores case"
    return user.problem


def _problem_of_level(rule: Rule) -> str | None:
    return None if rule.access_level in _LEVELS else f"the levels are rw, ro and none, not {rule.access_level!r}"


def _problem_of_network(text: str) -> str | None:
    try:
        network = ipaddress.ip_network(
            "" if "%" in text else text
        )  # a zone may hold any text, and means nothing elsewhere
    except ValueError:
        return f"{text!r} is not an address or network in canonical form"
    canonical = str(network.network_address if network.prefixlen == network.max_prefixlen else network)
    if canonical != text:
        return f"{text!r} is not an address or network in canonical form"
    nobody = nobody_at(text)
    return None if nobody is None else f"{text} {nobody.why}; {nobody.remedy}"
