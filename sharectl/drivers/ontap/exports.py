"""Export rules as the array has them: made from access rules, and read back into them. Pure.

The array takes the first rule whose clients match, so narrower networks come first; clients of equal rules are in one rule, since an
array refuses a second one with the same values.
"""

from __future__ import annotations

import hashlib
import ipaddress
import itertools
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sharectl.drivers.ontap.names import OWNER
from sharectl.drivers.share_checks import kept_out
from sharectl.model.access import AccessRule
from sharectl.model.client_addresses import nobody_at
from sharectl.model.precedence import network_of
from sharectl.model.requests import RuleStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from sharectl.model.canonical import JsonObject
    from sharectl.model.precedence import Network

FLAVOURS: Final = ("sys", "krb5", "krb5i", "krb5p")
SQUASHES: Final = ("none", "root", "all")
LEFTOVER: Final = "leftover: the export policy"
UNREADABLE: Final = "unreadable:"

_NEVER: Final = ["never"]
_NOBODY: Final = ["none"]
_ANY: Final = ["any"]
_HASH_LENGTH: Final = 12
_LARGEST_ID: Final = 4294967294
_KNOWN_OPTIONS: Final = frozenset({"squash", "anonymousUid", "security"})
_USUAL: Final[Mapping[str, object]] = {
    "allow_suid": True,
    "allow_device_creation": True,
    "allow_nfs_tls_only": False,
    "chown_mode": "restricted",
    "ntfs_unix_security": "fail",
}
"""What a rule has besides whom it lets in, unless somebody changed it."""


class Treatment(NamedTuple):
    """How a client is treated: whose rights root or all have, and by which security flavours it comes in."""

    squash: str = "root"
    anonymous_uid: str = "65534"
    security: tuple[str, ...] = ("sys",)

    def with_options(self, options: Mapping[str, str]) -> Treatment:
        """Return it with the options of a rule in place of its own."""
        flavours = options.get("security")
        return Treatment(
            options.get("squash", self.squash),
            options.get("anonymousUid", self.anonymous_uid),
            self.security if flavours is None else tuple(flavours.split(",")),
        )

    def settings(self) -> tuple[tuple[str, str], ...]:
        """Return it as the settings of an export."""
        return (("anonymousUid", self.anonymous_uid), ("security", ",".join(self.security)), ("squash", self.squash))

    def options_beside(self, usual: Treatment) -> tuple[tuple[str, str], ...]:
        """Return the options by which a rule differs from how clients are usually treated."""
        return tuple(mine for mine, other in zip(self.settings(), usual.settings(), strict=True) if mine != other)


def treatment_of(settings: Mapping[str, str]) -> Treatment:
    """Return what `Treatment.settings` wrote."""
    return Treatment().with_options(settings)


class Rendered(NamedTuple):
    """The rules of an export policy in their order, and what became of each access rule."""

    rules: Sequence[JsonObject]
    statuses: Mapping[AccessRule, RuleStatus]


def render(rules: Collection[AccessRule], usual: Treatment) -> Rendered:
    """Return the rules of the policy; an empty one lets nobody in."""
    statuses: dict[AccessRule, RuleStatus] = {}
    given: dict[Network | None, AccessRule] = {}
    for rule in sorted(rules):
        problem = rule_problem(rule, usual)
        if problem is None and given.setdefault(network_of(rule.access_to), rule) != rule:
            problem = "another rule gives the same address something else"
        statuses[rule] = RuleStatus("active") if problem is None else RuleStatus("error", problem)
    statuses |= kept_out(statuses)
    bodies: dict[Network, str] = {}
    for rule, status in statuses.items():
        network = network_of(rule.access_to)
        if status.status == "active" and network is not None:
            bodies[network] = json.dumps(_body(rule, usual), sort_keys=True)
    return Rendered([*_in_order(bodies)], statuses)


def rule_problem(rule: AccessRule, usual: Treatment) -> str | None:
    """Return why the array cannot put the rule in force, None where it can."""
    if rule.access_type != "ip":
        return f"NFS clients are known by their addresses, not by rules of type {rule.access_type!r}"
    if network_of(rule.access_to) is None:
        return f"{rule.access_to!r} is no address and no network"
    if (nobody := nobody_at(rule.access_to)) is not None:
        return f"{rule.access_to} {nobody.why}"
    if rule.access_level not in {"rw", "ro", "none"}:
        return f"an export rule knows no level {rule.access_level!r}"
    return _options_problem(rule, usual)


def _options_problem(rule: AccessRule, usual: Treatment) -> str | None:
    unknown = [name for name, _ in rule.options if name not in _KNOWN_OPTIONS]
    if unknown:
        return f"an export rule of ONTAP has no {unknown[0]!r}, which is for the whole SVM where the array has it"
    treatment = usual.with_options(dict(rule.options))
    if treatment.squash not in SQUASHES:
        return f"no users are squashed by {treatment.squash!r}"
    uid = treatment.anonymous_uid
    if not (uid.isascii() and uid.isdigit() and int(uid) <= _LARGEST_ID and str(int(uid)) == uid):
        return f"{uid!r} is no user id"
    if not treatment.security or not set(treatment.security) <= set(FLAVOURS):
        return f"{','.join(treatment.security)!r} are no security flavours of NFS"
    if treatment.squash == "all" and treatment.security != ("sys",) and rule.access_level != "none":
        return "where all users are squashed, an export rule of ONTAP asks for no security flavour"
    return None


def _body(rule: AccessRule, usual: Treatment) -> JsonObject:
    treatment = usual.with_options(dict(rule.options))
    flavours = _NOBODY if treatment.squash == "all" else list(treatment.security)
    return {
        "ro_rule": _NEVER if rule.access_level == "none" else flavours,
        "rw_rule": flavours if rule.access_level == "rw" else _NEVER,
        "superuser": list(treatment.security) if treatment.squash == "none" else _NOBODY,
        "anonymous_user": treatment.anonymous_uid,
        "protocols": ["nfs"],
    }


def _in_order(bodies: Mapping[Network, str]) -> Iterator[JsonObject]:
    """Yield one rule for the clients that may share it: those with equal bodies and no other network inside that has another one."""
    depths = dict.fromkeys(bodies, 0)
    for network in sorted(bodies, key=lambda each: -each.length):
        around = next((each for each in _around(network) if each in bodies), None)
        if around is not None:
            depths[around] = max(depths[around], depths[network] + (bodies[network] != bodies[around]))
    groups: dict[tuple[int, str], list[Network]] = {}
    for network, depth in depths.items():
        groups.setdefault((depth, bodies[network]), []).append(network)
    for body, alike in itertools.groupby(sorted(groups.items()), key=lambda group: group[0][1]):
        networks = sorted(each for _, members in alike for each in members)
        yield {"clients": [{"match": str(each)} for each in networks], **json.loads(body)}


def _around(network: Network) -> Iterator[Network]:
    for length in range(network.length - 1, -1, -1):
        yield network.shortened(length)


def policy_prefix(resource_id: str) -> str:
    """Return how the names of all export policies of a share begin."""
    return f"{OWNER}_{resource_id}_"


def policy_name(resource_id: str, rules: Sequence[JsonObject], attempt: int = 0) -> str:
    """Return the name of the policy with these rules; another attempt has another, where something else has the first."""
    digest = hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()[:_HASH_LENGTH]
    return f"{policy_prefix(resource_id)}{digest}{f'_{attempt}' if attempt else ''}"


def owner_of_policy(name: str) -> str | None:
    """Return the id of the share that a policy was made for; None where sharectl did not make it for one."""
    owner, _, rest = name.partition("_")
    resource_id, _, digest = rest.partition("_")
    return resource_id if owner == OWNER and digest else None


def same_rules(found: Iterable[JsonObject], wanted: Sequence[JsonObject]) -> bool:
    """Tell whether a policy has these rules and no others, in the same order."""
    return [_comparable(rule) for rule in found] == [_comparable(rule) for rule in wanted]


def _comparable(rule: JsonObject) -> tuple[object, ...]:
    clients = sorted(str(client.get("match")) for client in rule.get("clients", ()))
    lists = (sorted(rule.get(name, ())) for name in ("ro_rule", "rw_rule", "superuser", "protocols"))
    odd = {name: rule[name] for name, usual in _USUAL.items() if rule.get(name, usual) != usual}
    return (clients, *lists, str(rule.get("anonymous_user")), odd)


def read(rules: Iterable[JsonObject], usual: Treatment) -> tuple[AccessRule, ...]:
    """Return the access rules that a policy puts in force; what no access rule can say comes back as a remark.

    A network that an earlier rule covers is never looked at by the array, and is left out.
    """
    found: dict[Network, AccessRule] = {}
    remarks: list[AccessRule] = []
    for rule in rules:
        if not {"nfs", "any", "nfs3", "nfs4"} & set(rule.get("protocols") or _ANY):
            continue
        granted = _granted(rule)
        before = frozenset(found)
        for client in rule.get("clients", ()):
            match = str(client.get("match"))
            network = _network_in(match)
            if network is None or granted is None:
                remarks.append(_unreadable(match, rule))
            elif network not in found and not _is_covered(network, before):
                level, treatment = granted
                options = () if level == "none" else treatment.options_beside(usual)
                found[network] = AccessRule("ip", str(network), level, options)
    return (*sorted(found.values()), *remarks)


def _is_covered(network: Network, others: Collection[Network]) -> bool:
    if len(others) < network.length:
        return any(network.is_within(other) for other in others)
    return any(each in others for each in _around(network))


def _granted(rule: JsonObject) -> tuple[str, Treatment] | None:
    """Return the level of a rule, and how its clients are treated; None where no access rule says the same."""
    protocols = set(rule.get("protocols") or _ANY)
    if not ({"nfs", "any"} & protocols or {"nfs3", "nfs4"} <= protocols):
        return None
    if any(rule.get(name, usual) != usual for name, usual in _USUAL.items()):
        return None
    read_only, read_write = (_flavours(rule.get(name, ())) for name in ("ro_rule", "rw_rule"))
    if read_only == ("never",) and read_write == ("never",):
        return "none", Treatment()
    if read_write not in {read_only, ("never",)}:
        return None
    squash = _squash(read_only, _flavours(rule.get("superuser", ())))
    uid = str(rule.get("anonymous_user", ""))
    if squash is None or not uid.isdigit():
        return None
    security = ("sys",) if squash == "all" else read_only
    return ("ro" if read_write == ("never",) else "rw"), Treatment(squash, uid, security)


def _flavours(listed: Sequence[str]) -> tuple[str, ...]:
    wanted = set(listed)
    if "any" in wanted:
        return FLAVOURS
    return tuple(each for each in (*FLAVOURS, "none", "never", "ntlm") if each in wanted)


def _squash(flavours: tuple[str, ...], superuser: tuple[str, ...]) -> str | None:
    if flavours == ("none",):
        return "all" if superuser == ("none",) else None
    if not flavours or not set(flavours) <= set(FLAVOURS):
        return None
    if superuser == ("none",):
        return "root"
    return "none" if superuser and set(flavours) <= set(superuser) else None


@lru_cache(maxsize=65536)
def _network_in(match: str) -> Network | None:
    try:
        network: Any = ipaddress.ip_network(match)
    except ValueError:
        return None
    return network_of(str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network))


def _unreadable(match: str, rule: JsonObject) -> AccessRule:
    words = " ".join(f"{name}={','.join(rule.get(name, ()))}" for name in ("ro_rule", "rw_rule", "superuser"))
    shown = "".join(letter if letter.isprintable() else "?" for letter in f"{match} {words}")
    return AccessRule("ip", f"{UNREADABLE} {shown}", "rw")


def leftover(name: str) -> AccessRule:
    """Return the remark on a policy of a share that is in force nowhere: the next update of its access removes it."""
    return AccessRule("ip", f"{LEFTOVER} {name} is in use by nothing", "none")
