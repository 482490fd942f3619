"""What a body says of export rules, and how a rule is shown."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any, Final

from tests.emulators.ontap import client_matches, export_rules
from tests.emulators.ontap.errors import Refused, invalid
from tests.emulators.ontap.export_rules import Rule, Rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.emulators.ontap.facts import JsonObject, Version

_FLAVOURS: Final = frozenset({"any", "none", "never", "sys", "krb5", "krb5i", "krb5p", "ntlm"})
_PROTOCOLS: Final = frozenset({"any", "nfs", "nfs3", "nfs4", "cifs", "flexcache"})
_GREATEST_ID: Final = 2**32 - 1
_LISTS: Final = {
    "ro_rule": _FLAVOURS,
    "rw_rule": _FLAVOURS,
    "superuser": _FLAVOURS - {"never"},
    "protocols": _PROTOCOLS,
}
_PLAIN: Final = ("allow_suid", "allow_device_creation", "chown_mode", "ntfs_unix_security", "allow_nfs_tls_only")
_REFUSES_EQUAL_RULES: Final = (9, 15, 1)
_SAYS_TLS_ONLY: Final = (9, 19, 1)


def rules_of(bodies: Iterable[Mapping[str, Any]], version: Version) -> Rules:
    """Return the rules of a list, each after the others where it names no index."""
    rules: Rules = ()
    for body in bodies:
        rules = added(rules, new_rule(body, rules), version)
    return rules


def new_rule(body: Mapping[str, Any], rules: Rules) -> Rule:
    """Return the rule that a body describes, to be added to these."""
    for field in ("clients", "ro_rule", "rw_rule"):
        if not body.get(field):
            raise Refused(262212, f'Missing required parameter "{field}".', field)
    if body.get("index") == 0:
        raise Refused(3277162, "The rule index 0 is not valid.", "index")
    blank = Rule(body.get("index") or export_rules.next_index(rules), (), (), ())
    return changed(blank, body)


def added(rules: Rules, rule: Rule, version: Version) -> Rules:
    """Put a rule among others; newer releases refuse one that another equals in all but its index."""
    if version >= _REFUSES_EQUAL_RULES and any(export_rules.same_values(rule, each) for each in rules):
        raise Refused(1704070, "A rule with the same values exists in this policy.")
    return export_rules.placed(rules, rule)


def changed(rule: Rule, body: Mapping[str, Any]) -> Rule:
    """Return a rule with what a body says in place of what it was."""
    new: dict[str, Any] = {field: body[field] for field in _PLAIN if field in body}
    for field, allowed in _LISTS.items():
        if field in body:
            new[field] = _listed(body[field], field, allowed)
    if "clients" in body:
        new["clients"] = tuple(str(client.get("match", "")) for client in body["clients"])
        client_matches.refuse_wrong(new["clients"])
    if "anonymous_user" in body:
        new["anonymous_user"] = _user(str(body["anonymous_user"]))
    return dataclasses.replace(rule, **new)


def _listed(values: Iterable[object], field: str, allowed: frozenset[str]) -> tuple[str, ...]:
    listed = tuple(str(value).lower() for value in values)
    for value in listed:
        if value not in allowed:
            raise invalid(value, field, f"one of {', '.join(sorted(allowed))}")
    if not listed:
        raise invalid(",".join(listed), field)
    return listed


def _user(text: str) -> str:
    if not text:
        raise Refused(3277149, "The anonymous user must not be empty.", "anonymous_user")
    if re.fullmatch(r"-?[0-9]+", text) and not 0 <= int(text) <= _GREATEST_ID:
        raise Refused(3277083, f'The user ID "{text}" is out of range.', "anonymous_user")
    return text


def shown(rule: Rule, version: Version) -> JsonObject:
    """Return a rule as GET shows it."""
    record: JsonObject = {
        "index": rule.index,
        "clients": [{"match": match} for match in rule.clients],
        "anonymous_user": rule.anonymous_user,
    }
    record |= {field: list(getattr(rule, field)) for field in _LISTS}
    return record | {
        field: getattr(rule, field) for field in _PLAIN if field != "allow_nfs_tls_only" or version >= _SAYS_TLS_ONLY
    }
