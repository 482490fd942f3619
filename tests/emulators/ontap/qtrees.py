"""Qtrees: directories of a volume with a style, a policy and a limit of their own."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tests.emulators.ontap.access_records import ExportPolicy, Qtree
from tests.emulators.ontap.errors import Refused, duplicate, gone
from tests.emulators.ontap.operations import Call, Job, Outcome, Row, operation, rows
from tests.emulators.ontap.policy_records import QosPolicy
from tests.emulators.ontap.quota_records import QuotaRule
from tests.emulators.ontap.references import chosen
from tests.emulators.ontap.svm_lookup import made_svm, of_svm
from tests.emulators.ontap.svm_records import Svm
from tests.emulators.ontap.volume_fields import in_scope
from tests.emulators.ontap.volume_records import Volume

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World

_SECONDS: Final = 0.5
_DELETE_SECONDS: Final = 240.0
_MOST: Final = 4994
_MOST_DELETED_AT_ONCE: Final = 16
_GREATEST_ID: Final = 2**32 - 1


def all_of(world: World, volume: Volume) -> list[Qtree]:
    """Return the qtrees of a volume, first the one that is the volume itself."""
    own = world[Qtree].get((volume.uuid, 0)) or Qtree(
        uuid=volume.uuid,
        id=0,
        name="",
        security_style=volume.security_style,
        unix_permissions=volume.unix_permissions,
    )
    return [own, *(each for each in world[Qtree].where(uuid=volume.uuid) if each.id)]


@rows("qtree")
def qtrees(world: World) -> Iterable[Row]:
    """Show the qtrees of all volumes."""
    for volume in world[Volume]:
        if volume.deleted_at is not None or volume.state != "online":
            continue
        svm = world[Svm][volume.svm].name
        for qtree in all_of(world, volume):
            keys = {
                "volume.uuid": volume.uuid,
                "id": qtree.id,
                "volume.name": volume.name,
                "name": qtree.name,
                "svm.uuid": volume.svm,
                "svm.name": svm,
            }
            yield Row(keys, partial(_shown, world, volume, qtree), volume.svm)


def _shown(world: World, volume: Volume, qtree: Qtree) -> JsonObject:
    policy = world[ExportPolicy].get(volume.policy if qtree.policy is None else qtree.policy)
    record: JsonObject = {
        **of_svm(world, volume.svm),
        "volume": {"uuid": volume.uuid, "name": volume.name},
        "id": qtree.id,
        "name": qtree.name,
        "path": f"/{volume.name}/{qtree.name}".rstrip("/"),
        "security_style": qtree.security_style,
        "unix_permissions": qtree.unix_permissions,
        "user": {"id": "0", "name": "root"},
        "group": {"id": "0", "name": "root"},
        **qtree.settings,
    }
    if volume.path is not None:
        record["nas"] = {"path": f"{volume.path}/{qtree.name}".rstrip("/")}
    if policy is not None:
        record["export_policy"] = {"id": policy.id, "name": policy.name}
    if qtree.qos_policy is not None:
        qos = world[QosPolicy][qtree.qos_policy]
        record["qos_policy"] = {"uuid": qos.uuid, "name": qos.name}
    return record


def volume_of(world: World, call: Call) -> Volume:
    """Return the volume in which a call makes a qtree or a quota rule."""
    svm, named = made_svm(world, call), call.body.get("volume") or {}
    if not named:
        raise Refused(918232, "Either volume.name or volume.uuid must be provided.", "volume")
    missing = Refused(917927, "The specified volume was not found in the SVM.", "volume")
    differ = Refused(918236, "The specified volume.uuid and volume.name refer to different volumes.", "volume")
    volume = chosen(world[Volume].where(svm=svm.uuid, deleted_at=None), named, missing=missing, differ=differ)
    if volume.state != "online":
        raise Refused(5242886, f'Volume "{volume.name}" is not online.', "volume")
    return volume


@operation("POST /storage/qtrees")
def create_qtree(world: World, call: Call) -> Outcome:
    """Make a qtree in a volume that can be written."""
    volume = volume_of(world, call)
    name = call.body.get("name", "")
    if not name:
        raise Refused(5242953, "The name of the qtree must be provided.", "name")
    if volume.type != "rw":
        raise Refused(5242881, f'Volume "{volume.name}" is read-only.', "volume")
    _refuse_name(world, volume, name)
    taken = {each.id for each in world[Qtree].where(uuid=volume.uuid)}
    number = next(each for each in range(1, _MOST + 2) if each not in taken | _coming(world, volume.uuid))
    if number > _MOST:
        raise Refused(5242886, f'Volume "{volume.name}" has {_MOST} qtrees.')
    changes = _changes(world, volume, call.body)
    qtree = Qtree(
        uuid=volume.uuid,
        id=number,
        **{
            "security_style": volume.security_style,
            "unix_permissions": volume.unix_permissions,
            "name": name,
            **changes,
        },
    )
    keys = {"volume.uuid": volume.uuid, "id": number}
    return Job(_SECONDS, partial(_finish, qtree=qtree), keys=keys, svm=volume.svm)


def _coming(world: World, volume: str) -> set[int]:
    """Return the numbers of qtrees that jobs are making."""
    works = [work.keywords.get("work") for work in world.waiting() if isinstance(work, partial)]
    made = [work.keywords["qtree"] for work in works if isinstance(work, partial) and work.func is _finish]
    return {each.id for each in made if each.uuid == volume}


def _finish(world: World, qtree: Qtree) -> None:
    volume = world[Volume].get(qtree.uuid)
    if volume is None or volume.deleted_at is not None:
        raise Refused(917525, "The volume was not found.")
    _refuse_name(world, volume, qtree.name)
    world[Qtree].put(qtree)


def _refuse_name(world: World, volume: Volume, name: str) -> None:
    if not re.fullmatch(r'[^/\x00-\x1f"*?<>|:]{1,64}', name) or name in {".", ".."}:
        raise Refused(262245, f'The qtree name "{name}" is not valid.', "name")
    if world[Qtree].where(uuid=volume.uuid, name=name):
        raise duplicate(target="name")


def _changes(world: World, volume: Volume, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a qtree that a body sets."""
    changes = {field: body[field] for field in ("name", "security_style", "unix_permissions") if field in body}
    settings = {field: body[field] for field in ("user", "group", "_tags") if field in body}
    for each in (body.get("user") or {}, body.get("group") or {}):
        if each.get("id", "0").isdecimal() and int(each.get("id", "0")) > _GREATEST_ID:
            raise Refused(5242967, "A user or group ID is out of range.", "user.id")
    if body.get("export_policy"):
        changes["policy"] = _policy(world, volume.svm, body["export_policy"]).id
    if body.get("qos_policy"):
        missing = Refused(4, "entry doesn't exist", "qos_policy")
        changes["qos_policy"] = chosen(in_scope(world, QosPolicy, volume.svm), body["qos_policy"], missing=missing).uuid
    return {**changes, "settings": settings} if settings else changes


def _policy(world: World, svm: str, named: Mapping[str, Any]) -> ExportPolicy:
    code = 1703954 if "name" in named else 5242952
    missing = Refused(code, "The export policy does not exist.", "export_policy")
    differ = Refused(5242951, "The name and the ID are of different export policies.", "export_policy")
    return chosen(world[ExportPolicy].where(svm=svm), named, missing=missing, differ=differ)


def _qtree(world: World, call: Call) -> tuple[Volume, Qtree]:
    volume = world[Volume].get(call.keys["volume.uuid"])
    if volume is None or volume.deleted_at is not None:
        raise gone(target="volume.uuid")
    found = [each for each in all_of(world, volume) if str(each.id) == call.keys["id"]]
    if not found:
        raise gone(target="id")
    return volume, found[0]


@operation("PATCH /storage/qtrees/{volume.uuid}/{id}")
def change_qtree(world: World, call: Call) -> Outcome:
    """Rename a qtree, or give it another style, other permissions or another policy."""
    volume, qtree = _qtree(world, call)
    name = call.body.get("name", qtree.name)
    if name != qtree.name:
        if qtree.id == 0:
            raise Refused(5242894, "The default qtree cannot be renamed.", "name")
        _refuse_name(world, volume, name)
    changes = _changes(world, volume, call.body)
    return Job(_SECONDS, partial(_change, qtree=qtree, changes=changes), svm=volume.svm)


def _change(world: World, qtree: Qtree, changes: Mapping[str, Any]) -> None:
    if qtree.key not in world[Qtree]:
        if qtree.id:
            raise Refused(5242927, "The qtree was not found.")
        world[Qtree].put(qtree)
    world[Qtree].change(qtree.key, **changes)


@operation("DELETE /storage/qtrees/{volume.uuid}/{id}")
def delete_qtree(world: World, call: Call) -> Outcome:
    """Delete a qtree with its files, which takes minutes."""
    volume, qtree = _qtree(world, call)
    if qtree.id == 0:
        raise Refused(5242894, "The default qtree cannot be deleted.")
    if len(world[Qtree].where(deleting=True)) >= _MOST_DELETED_AT_ONCE:
        raise Refused(5242925, "Too many qtree delete jobs are running. Try again later.")
    world[Qtree].change(qtree.key, deleting=True)
    return Job(_DELETE_SECONDS, partial(_remove, key=qtree.key), svm=volume.svm)


def _remove(world: World, key: tuple[str, int]) -> None:
    qtree = world[Qtree].remove(key)
    if qtree is None:
        raise Refused(5242927, "The qtree was not found.")
    for rule in world[QuotaRule].where(volume=qtree.uuid, qtree=qtree.id):
        world[QuotaRule].remove(rule.uuid)
    volume = world[Volume].get(qtree.uuid)
    if volume is not None:
        world[Volume].change(volume.uuid, data=max(0, volume.data - qtree.data))
