"""Quota rules, and the reports of what is used under them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tests.emulators.ontap import quota_state
from tests.emulators.ontap.access_records import Qtree
from tests.emulators.ontap.errors import Refused, duplicate, gone, invalid
from tests.emulators.ontap.operations import Call, Job, Outcome, Row, get, operation, rows
from tests.emulators.ontap.qtrees import volume_of
from tests.emulators.ontap.quota_records import QuotaRule
from tests.emulators.ontap.svm_lookup import of_svm
from tests.emulators.ontap.volume_records import Volume

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World

_SECONDS: Final = 1.0
_LIMITS: Final = {
    "space.hard_limit": "space_hard",
    "space.soft_limit": "space_soft",
    "files.hard_limit": "files_hard",
    "files.soft_limit": "files_soft",
}
_FIRST_INDEX: Final = 1_152_921_504_606_846_976
"""Where the numbers of reports begin: beyond what a double holds."""


@rows("quota_rule")
def rules(world: World) -> Iterable[Row]:
    """Show the rules."""
    for rule in world[QuotaRule]:
        volume = world[Volume].get(rule.volume)
        if volume is not None and volume.deleted_at is None:
            yield Row({"uuid": rule.uuid}, partial(_shown, world, rule, volume), volume.svm)


def _places(world: World, volume: Volume) -> JsonObject:
    return {
        **of_svm(world, volume.svm),
        "volume": {"uuid": volume.uuid, "name": volume.name},
    }


def _shown(world: World, rule: QuotaRule, volume: Volume) -> JsonObject:
    record: JsonObject = {"uuid": rule.uuid, "type": rule.type, **_places(world, volume)}
    qtree = world[Qtree].get((volume.uuid, rule.qtree))
    record["qtree"] = {"name": "" if qtree is None else qtree.name}
    if rule.qtree:
        record["qtree"]["id"] = rule.qtree
    if rule.users:
        record["users"] = [{"name": user} for user in rule.users]
    if rule.group:
        record["group"] = {"name": rule.group}
    return record | _limits_shown(rule)


def _limits_shown(rule: QuotaRule) -> JsonObject:
    shown: JsonObject = {}
    for dotted, attribute in _LIMITS.items():
        value = getattr(rule, attribute)
        if value is not None:
            above, name = dotted.split(".")
            shown.setdefault(above, {})[name] = value
    return shown


@operation("POST /storage/quota/rules")
def create_rule(world: World, call: Call) -> Outcome:
    """Make a rule; where quotas are on they are resized, which another resize makes impossible."""
    volume = volume_of(world, call)
    kind = call.body.get("type")
    if kind is None:
        raise Refused(262212, 'Missing required parameter "type".', "type")
    rule = QuotaRule(
        uuid=world.new_uuid(),
        volume=volume.uuid,
        type=kind,
        qtree=_qtree(world, volume, call.body),
        users=tuple(str(user.get("name", user.get("id"))) for user in call.body.get("users", ())),
        group=get(call.body, "group.name", ""),
        user_mapping=call.body.get("user_mapping", False),
        **_limits(call.body, {}),
    )
    _refuse_twin(world, rule)
    return Job(_SECONDS, partial(_make, rule=rule), keys={"uuid": rule.uuid}, svm=volume.svm)


def _qtree(world: World, volume: Volume, body: Mapping[str, Any]) -> int:
    name = get(body, "qtree.name", "")
    if not name:
        return 0
    found = world[Qtree].where(uuid=volume.uuid, name=name)
    if not found:
        raise Refused(5242927, f'The qtree "{name}" was not found in volume "{volume.name}".', "qtree.name")
    return found[0].id


def _limits(body: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """Return the limits that a body sets; 0 takes one away."""
    limits = dict(old)
    for dotted, attribute in _LIMITS.items():
        value = get(body, dotted)
        if value is not None:
            limits[attribute] = value or None
    for kind in ("space", "files"):
        hard, soft = limits.get(f"{kind}_hard"), limits.get(f"{kind}_soft")
        if hard is not None and soft is not None and soft > hard:
            raise invalid(soft, f"{kind}.soft_limit")
    return limits


def _refuse_twin(world: World, rule: QuotaRule) -> None:
    same = world[QuotaRule].where(
        volume=rule.volume, type=rule.type, qtree=rule.qtree, users=rule.users, group=rule.group
    )
    if same:
        raise duplicate()


def _make(world: World, rule: QuotaRule) -> None:
    _refuse_twin(world, rule)
    if rule.volume not in world[Volume]:
        raise Refused(917927, "The volume was not found.")
    world[QuotaRule].put(rule)
    _resize(world, rule.volume, skipped=5308571, text="The quota rule was created")


def _resize(world: World, volume: str, *, skipped: int, text: str) -> None:
    """Let a change of rules count where quotas are on; say so where it cannot."""
    state = world[Volume][volume].quota
    if state in {"initializing", "resizing"}:
        raise Refused(skipped, f"{text}, but quotas were not resized: switch quotas off and on.")
    if state == "on":
        quota_state.resize(world, volume)


def _rule(world: World, call: Call) -> QuotaRule:
    rule = world[QuotaRule].get(call.keys["uuid"])
    if rule is None:
        raise gone()
    return rule


@operation("PATCH /storage/quota/rules/{uuid}")
def change_rule(world: World, call: Call) -> Outcome:
    """Change limits, also to less than is used."""
    rule = _rule(world, call)
    limits = _limits(call.body, {attribute: getattr(rule, attribute) for attribute in _LIMITS.values()})
    return Job(_SECONDS, partial(_change, uuid=rule.uuid, limits=limits), svm=world[Volume][rule.volume].svm)


def _change(world: World, uuid: str, limits: Mapping[str, Any]) -> None:
    if uuid not in world[QuotaRule]:
        raise Refused(4, "entry doesn't exist")
    rule = world[QuotaRule].change(uuid, **limits)
    _resize(world, rule.volume, skipped=5308567, text="The quota rule was changed")


@operation("DELETE /storage/quota/rules/{uuid}")
def delete_rule(world: World, call: Call) -> Outcome:
    """Remove a rule."""
    rule = _rule(world, call)
    return Job(_SECONDS, partial(_remove, uuid=rule.uuid), svm=world[Volume][rule.volume].svm)


def _remove(world: World, uuid: str) -> None:
    rule = world[QuotaRule].remove(uuid)
    if rule is None:
        raise Refused(4, "entry doesn't exist")
    _resize(world, rule.volume, skipped=5308572, text="The quota rule was deleted")


@rows("quota_report")
def reports(world: World) -> Iterable[Row]:
    """Show what is used under the rules that are in force."""
    for volume in world[Volume]:
        if volume.deleted_at is not None or volume.quota not in {"on", "resizing"}:
            continue
        in_force = [rule for rule in world[QuotaRule].where(volume=volume.uuid, type="tree") if rule.enforced]
        own = {rule.qtree: rule for rule in in_force}
        for qtree in world[Qtree].where(uuid=volume.uuid):
            rule = own.get(qtree.id) or own.get(0)
            if rule is not None and qtree.id:
                keys = {"volume.uuid": volume.uuid, "index": _FIRST_INDEX + qtree.id}
                yield Row(keys, partial(_report_shown, world, volume, qtree, rule), volume.svm)


def _report_shown(world: World, volume: Volume, qtree: Qtree, rule: QuotaRule) -> JsonObject:
    record: JsonObject = {
        **_places(world, volume),
        "index": _FIRST_INDEX + qtree.id,
        "type": "tree",
        "qtree": {"id": qtree.id, "name": qtree.name},
        "space": {"used": {"total": qtree.data}},
        "files": {"used": {"total": 1}},
    }
    for above, limits in _limits_shown(rule).items():
        record[above] |= limits
        for name, limit in limits.items():
            record[above]["used"][f"{name}_percent"] = record[above]["used"]["total"] * 100 // limit
    return record
