"""The fragments of a share by its protocols: rules written for each server, and read back as one set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.drivers.directory import exports, samba
from sharectl.model.access import AccessRule
from sharectl.model.protocols import BOTH, NFS, smb_rules
from sharectl.model.requests import RuleStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

_UNREADABLE: Final = AccessRule("user", "unreadable: the section is not that of these address rules", "rw")


_WITHOUT_ADDRESSES: Final = "an address rule beside it, which says from where it holds, cannot be put in force"


class Fragments(NamedTuple):
    """What is written for the NFS server and for Samba, None where nobody is let in by it, and the status of each rule."""

    exports: str | None
    section: str | None
    statuses: Mapping[AccessRule, RuleStatus]


def render_fragments(
    protocol: str, export_name: str, path: str, rules: Collection[AccessRule], options: Sequence[str]
) -> Fragments:
    """Return the fragments of a share; what one of two servers cannot put in force is given by neither."""
    if protocol == BOTH:
        return _render_both(export_name, path, rules, options)
    if protocol == NFS:
        text, statuses = exports.render_exports(path, rules, options)
        return Fragments(text, None, statuses)
    text, statuses = samba.render_section(export_name, path, rules)
    return Fragments(None, text, statuses)


def _render_both(export_name: str, path: str, rules: Collection[AccessRule], options: Sequence[str]) -> Fragments:
    refused: dict[AccessRule, RuleStatus] = {}
    while True:
        if any(rule.access_type == "ip" for rule in refused):
            # Without all of them, Samba would let people in from where they are kept out.
            people = (rule for rule in rules if rule.access_type != "ip" and rule not in refused)
            refused |= dict.fromkeys(people, RuleStatus("error", _WITHOUT_ADDRESSES))
        wanted = [rule for rule in rules if rule not in refused]
        found = _render_once(export_name, path, wanted, options)
        more = {rule: status for rule, status in found.statuses.items() if status.status != "active"}
        if not more:
            return found._replace(statuses={**found.statuses, **refused})
        refused |= more


def _render_once(export_name: str, path: str, rules: Collection[AccessRule], options: Sequence[str]) -> Fragments:
    hosts = [rule for rule in rules if rule.access_type == "ip"]
    exported, statuses = exports.render_exports(path, hosts, options)
    meant, reason = smb_rules(rules)
    section, smb_statuses = samba.render_section(export_name, path, meant, is_beside_nfs=True)
    by_key = {rule.key: status for rule, status in smb_statuses.items()}
    found = dict(statuses)
    for rule in rules:
        status = by_key.get(rule.key)
        if status is not None and (status.status != "active" or rule not in found):
            found[rule] = status
        elif rule not in found:
            found[rule] = RuleStatus("error", reason)
    return Fragments(exported, section, found)


def joined_rules(
    exported: Collection[AccessRule], section: Collection[AccessRule], protocol: str
) -> tuple[AccessRule, ...]:
    """Return the rules that both fragments put in force; where they are not of one set, also a rule that nobody can have asked for."""
    if protocol != BOTH:
        return (*exported, *section)
    people = [rule for rule in section if rule.access_type != "ip"]
    rules = (*exported, *people)
    if section and set(smb_rules(rules)[0]) != set(section):
        return (*rules, _UNREADABLE)
    return rules
