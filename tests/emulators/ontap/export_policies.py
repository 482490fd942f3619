"""Export policies, their rules and the clients of those."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Final

from tests.emulators.ontap import client_matches, export_bodies, export_rules
from tests.emulators.ontap.access_records import ExportPolicy, Qtree
from tests.emulators.ontap.errors import Refused, duplicate, gone
from tests.emulators.ontap.operations import Call, Done, Outcome, Row, operation, row_of, rows
from tests.emulators.ontap.svm_lookup import made_svm, of_svm
from tests.emulators.ontap.volume_records import Volume

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.export_rules import Rule, Rules
    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World

DEFAULT: Final = "default"
_FIRST_ID: Final = 2 * 2**32 + 1
_LONGEST_NAME: Final = 256
_TRUNCATES: Final = (9, 18, 1)
_MOST_RULES_SHOWN: Final = 500


def create_default(world: World, svm: str, rules: Rules = ()) -> ExportPolicy:
    """Make the policy that each SVM has, and that a volume has for which none is named."""
    return _create(world, svm, DEFAULT, rules)


def remove_all(world: World, svm: str) -> None:
    """Take away the policies of an SVM with it."""
    for policy in world[ExportPolicy].where(svm=svm):
        world[ExportPolicy].remove(policy.id)


def _create(world: World, svm: str, name: str, rules: Rules) -> ExportPolicy:
    number = world.next_number("export policy", _FIRST_ID)
    return world[ExportPolicy].put(ExportPolicy(id=number, name=name, svm=svm, rules=rules))


def note_release(world: World, policy: int) -> None:
    """Let a policy count as used for a while after a volume has been switched away from it, where that is asked for."""
    if world.settings.policy_in_use_seconds:
        world[ExportPolicy].change(policy, used_until=world.clock.now() + world.settings.policy_in_use_seconds)


@rows("export_policy")
def policies(world: World) -> Iterable[Row]:
    """Show the policies, with their rules."""
    return (_row_of(world, policy) for policy in world[ExportPolicy])


@row_of("export_policy")
def policy_alone(world: World, number: str) -> Iterable[Row]:
    """Show one policy."""
    found = world[ExportPolicy].get(int(number)) if number.isdigit() else None
    return () if found is None else (_row_of(world, found),)


def _row_of(world: World, policy: ExportPolicy) -> Row:
    return Row({"id": policy.id, "name": policy.name}, partial(_policy_shown, world, policy), policy.svm)


def _policy_shown(world: World, policy: ExportPolicy) -> JsonObject:
    record: JsonObject = {
        "id": policy.id,
        "name": policy.name,
        **of_svm(world, policy.svm),
        "rules": [export_bodies.shown(rule, world.version) for rule in policy.rules],
    }
    if world.version >= _TRUNCATES:
        record["are_rules_truncated"] = len(policy.rules) > _MOST_RULES_SHOWN
        record["rules"] = record["rules"][:_MOST_RULES_SHOWN]
    return record


@operation("POST /protocols/nfs/export-policies")
def create_policy(world: World, call: Call) -> Outcome:
    """Make a policy with all the rules in its body at once."""
    svm = made_svm(world, call)
    if "name" not in call.body:
        raise Refused(262212, 'Missing required parameter "name".', "name")
    _refuse_wrong_name(world, svm.uuid, call.body["name"])
    rules = export_bodies.rules_of(call.body.get("rules", ()), world.version)
    return Done({"id": _create(world, svm.uuid, call.body["name"], rules).id})


def _refuse_wrong_name(world: World, svm: str, name: str) -> None:
    if not name or " " in name:
        raise Refused(1703952, f'The export policy name "{name}" is not valid.', "name")
    if len(name) > _LONGEST_NAME:
        raise Refused(1704047, f"The export policy name is longer than {_LONGEST_NAME} characters.", "name")
    if world[ExportPolicy].where(svm=svm, name=name):
        raise duplicate()


@operation("PATCH /protocols/nfs/export-policies/{id}")
def change_policy(world: World, call: Call) -> Outcome:
    """Rename a policy, or put other rules in the place of its own: those are taken away first, which clients may notice."""
    policy = _policy(world, call.keys["id"])
    name = call.body.get("name", policy.name)
    if name != policy.name:
        _refuse_wrong_name(world, policy.svm, name)
    rules = export_bodies.rules_of(call.body["rules"], world.version) if "rules" in call.body else None
    if name != policy.name:
        world[ExportPolicy].change(policy.id, name=name)
    if rules is not None:
        world[ExportPolicy].change(policy.id, rules=())
        world[ExportPolicy].change(policy.id, rules=rules)
    return Done()


@operation("DELETE /protocols/nfs/export-policies/{id}")
def delete_policy(world: World, call: Call) -> Outcome:
    """Remove a policy that nothing uses."""
    policy = _policy(world, call.keys["id"])
    if policy.name == DEFAULT:
        raise Refused(1703947, f'The export policy "{DEFAULT}" cannot be deleted.')
    used = world.clock.now() < policy.used_until or world[Volume].where(policy=policy.id, deleted_at=None)
    if used:
        raise Refused(1703945, f'The export policy "{policy.name}" is in use by a volume.')
    if world[Qtree].where(policy=policy.id):
        raise Refused(1703953, f'The export policy "{policy.name}" is in use by a qtree.')
    world[ExportPolicy].remove(policy.id)
    return Done()


def _policy(world: World, key: str) -> ExportPolicy:
    policy = world[ExportPolicy].get(int(key)) if key.isdecimal() else None
    if policy is None:
        raise gone(target="id")
    return policy


@rows("export_rule")
def rules_of_all(world: World) -> Iterable[Row]:
    """Show the rules of all policies."""
    for policy in world[ExportPolicy]:
        for rule in policy.rules:
            keys = {"policy.id": policy.id, "index": rule.index}
            yield Row(keys, partial(_rule_shown, world, policy, rule), policy.svm)


def _rule_shown(world: World, policy: ExportPolicy, rule: Rule) -> JsonObject:
    return {
        "policy": {"id": policy.id, "name": policy.name},
        **of_svm(world, policy.svm),
        **export_bodies.shown(rule, world.version),
    }


@operation("POST /protocols/nfs/export-policies/{policy.id}/rules")
def create_rule(world: World, call: Call) -> Outcome:
    """Add a rule to a policy."""
    policy = _policy_of(world, call)
    rule = export_bodies.new_rule(call.body, policy.rules)
    world[ExportPolicy].change(policy.id, rules=export_bodies.added(policy.rules, rule, world.version))
    return Done({"policy.id": policy.id, "index": rule.index})


def _policy_of(world: World, call: Call) -> ExportPolicy:
    key = call.keys["policy.id"]
    policy = world[ExportPolicy].get(int(key)) if key.isdecimal() else None
    if policy is None:
        raise gone(target="policy.id")
    return policy


def _rule_of(policy: ExportPolicy, call: Call) -> Rule:
    found = [rule for rule in policy.rules if str(rule.index) == call.keys["index"]]
    if not found:
        raise gone(target="index")
    return found[0]


@operation("PATCH /protocols/nfs/export-policies/{policy.id}/rules/{index}")
def change_rule(world: World, call: Call) -> Outcome:
    """Change a rule in one step, or give it another place."""
    policy = _policy_of(world, call)
    old = _rule_of(policy, call)
    if "svm" in call.body or "policy" in call.body:
        raise Refused(262203, "The field is not taken in the body of PATCH.", "svm.uuid")
    new = export_bodies.changed(old, call.body)
    rules = export_rules.without(policy.rules, old.index)
    place = call.query.get("new_index", call.body.get("index", old.index))
    if int(place) < 1:
        raise Refused(3277162, "The rule index 0 is not valid.", "new_index")
    new = dataclasses.replace(new, index=int(place))
    world[ExportPolicy].change(policy.id, rules=export_rules.placed(rules, new))
    return Done()


@operation("DELETE /protocols/nfs/export-policies/{policy.id}/rules/{index}")
def delete_rule(world: World, call: Call) -> Outcome:
    """Take a rule away; its index stays free."""
    policy = _policy_of(world, call)
    rule = _rule_of(policy, call)
    world[ExportPolicy].change(policy.id, rules=export_rules.without(policy.rules, rule.index))
    return Done()


@rows("export_client")
def clients_of_all(world: World) -> Iterable[Row]:
    """Show the client matches of all rules."""
    for policy in world[ExportPolicy]:
        for rule in policy.rules:
            for match in rule.clients:
                keys = {"policy.id": policy.id, "index": rule.index, "match": match}
                yield Row(keys, partial(_client_shown, world, policy, rule, match), policy.svm)


def _client_shown(world: World, policy: ExportPolicy, rule: Rule, match: str) -> JsonObject:
    return {
        "policy": {"id": policy.id},
        "index": rule.index,
        "match": match,
        **of_svm(world, policy.svm),
    }


@operation("POST /protocols/nfs/export-policies/{policy.id}/rules/{index}/clients")
def add_client(world: World, call: Call) -> Outcome:
    """Add a client match to a rule."""
    policy = _policy_of(world, call)
    rule = _rule_of(policy, call)
    if "match" not in call.body:
        raise Refused(262212, 'Missing required parameter "match".', "match")
    clients = (*rule.clients, call.body["match"])
    client_matches.refuse_wrong(clients)
    _put_clients(world, policy, rule, clients)
    return Done({"policy.id": policy.id, "index": rule.index, "match": call.body["match"]})


@operation("DELETE /protocols/nfs/export-policies/{policy.id}/rules/{index}/clients/{match}")
def remove_client(world: World, call: Call) -> Outcome:
    """Take a client match out of a rule."""
    policy = _policy_of(world, call)
    rule = _rule_of(policy, call)
    if call.keys["match"] not in rule.clients:
        raise gone(target="match")
    rest = tuple(match for match in rule.clients if match != call.keys["match"])
    if not rest:
        raise Refused(1704039, "A rule needs at least one client match.", "match")
    _put_clients(world, policy, rule, rest)
    return Done()


def _put_clients(world: World, policy: ExportPolicy, rule: Rule, clients: tuple[str, ...]) -> None:
    changed = dataclasses.replace(rule, clients=clients)
    rules = tuple(changed if each.index == rule.index else each for each in policy.rules)
    world[ExportPolicy].change(policy.id, rules=rules)
