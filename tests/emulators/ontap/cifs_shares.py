"""CIFS shares: a name for a path, and who may use it."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tests.emulators.ontap import volume_names
from tests.emulators.ontap.access_records import ADMINISTRATIVE, AclEntry, CifsShare, Qtree
from tests.emulators.ontap.errors import Refused, duplicate, gone
from tests.emulators.ontap.operations import Call, Done, Outcome, Row, operation, rows
from tests.emulators.ontap.surroundings import account_resolved, account_shown
from tests.emulators.ontap.svm_lookup import made_svm, of_svm
from tests.emulators.ontap.svm_records import CifsService, Svm
from tests.emulators.ontap.volume_records import Volume

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World

EVERYONE: Final = AclEntry("Everyone", "full_control")
_LONGEST_NAME: Final = 80
_BAD_NAME: Final = re.compile(r'["/\\\[\]:|<>+=;,*?\x00-\x1f]')
_DEFAULTS: Final = {
    "access_based_enumeration": False,
    "change_notify": True,
    "continuously_available": False,
    "encryption": False,
    "home_directory": False,
    "namespace_caching": False,
    "oplocks": True,
    "show_snapshot": False,
    "unix_symlink": "local",
}
_LATER_DEFAULTS: Final = {"browsable": ((9, 13, 1), True), "show_previous_versions": ((9, 13, 1), True)}


@rows("cifs_share")
def shares(world: World) -> Iterable[Row]:
    """Show the shares, the administrative ones of each CIFS server among them."""
    for share in world[CifsShare]:
        yield Row(
            {"svm.uuid": share.uuid, "svm.name": world[Svm][share.uuid].name, "name": share.name},
            partial(_shown, world, share),
            share.uuid,
        )


def _shown(world: World, share: CifsShare) -> JsonObject:
    record: JsonObject = {
        **of_svm(world, share.uuid),
        "name": share.name,
        "path": share.path,
        **_DEFAULTS,
        **{name: value for name, (since, value) in _LATER_DEFAULTS.items() if world.version >= since},
        **share.settings,
    }
    if share.entries:
        record["acls"] = [
            {"user_or_group": each.account, "type": each.kind, "permission": each.permission} for each in share.entries
        ]
    volume = volume_at(world, share.uuid, share.path)
    if volume is not None:
        record["volume"] = {"uuid": volume.uuid, "name": volume.name}
    return record


def volume_at(world: World, svm: str, path: str) -> Volume | None:
    """Return the volume to which a path of an SVM's namespace leads, None where it leads nowhere."""
    mounted = [each for each in world[Volume].where(svm=svm) if each.path is not None]
    if not any(each.root for each in mounted):
        return None
    inner = max(
        (each for each in mounted if volume_names.is_below(path, str(each.path))), key=lambda each: len(str(each.path))
    )
    rest = path[len(str(inner.path)) :].strip("/")
    known = {qtree.name for qtree in world[Qtree].where(uuid=inner.uuid)}
    return inner if not rest or rest in known else None


@operation("POST /protocols/cifs/shares")
def create_share(world: World, call: Call) -> Outcome:
    """Make a share; without a list of its own, everyone has full control of it."""
    svm = made_svm(world, call)
    for field in ("name", "path"):
        if not call.body.get(field):
            raise Refused(262212, f'Missing required parameter "{field}".', field)
    if svm.uuid not in world[CifsService]:
        raise Refused(655399, f'SVM "{svm.name}" has no CIFS server.', "svm")
    name = call.body["name"]
    _refuse_name(name)
    _refuse_path(world, svm.uuid, call.body["path"])
    if (svm.uuid, name.lower()) in world[CifsShare]:
        raise duplicate()
    entries: tuple[AclEntry, ...] = ()
    for body in call.body.get("acls", ()):
        entries = (*entries, entry_of(world, svm.uuid, entries, body))
    settings = {field: value for field, value in call.body.items() if field not in {"svm", "name", "path", "acls"}}
    share = CifsShare(
        uuid=svm.uuid, name=name, path=call.body["path"], entries=entries or (EVERYONE,), settings=settings
    )
    world[CifsShare].put(share)
    return Done({"svm.uuid": svm.uuid, "name": name})


def _refuse_name(name: str) -> None:
    if name.lower() in ADMINISTRATIVE:
        raise Refused(656424, f'The share "{name}" is an administrative one.', "name")
    if len(name) > _LONGEST_NAME:
        raise Refused(655577, f"The name of a share must not be longer than {_LONGEST_NAME} characters.", "name")
    if _BAD_NAME.search(name) or not name.strip():
        raise Refused(656426, f'The share name "{name}" is not valid.', "name")


def _refuse_path(world: World, svm: str, path: str) -> None:
    if not path.startswith("/"):
        raise Refused(656423, f'The path "{path}" is not absolute.', "path")
    if volume_at(world, svm, path) is None:
        raise Refused(655551, f'The path "{path}" does not exist in the namespace of the SVM.', "path")


def entry_of(world: World, svm: str, others: Iterable[AclEntry], body: Mapping[str, Any]) -> AclEntry:
    """Return the entry that a body describes, with its account as the directory spells it."""
    for field in ("user_or_group", "permission"):
        if not body.get(field):
            raise Refused(262212, f'Missing required parameter "{field}".', field)
    account, kind = body["user_or_group"], body.get("type", "windows")
    if kind == "windows":
        known = account_resolved(world, svm, account)
        if known is None:
            raise Refused(655446, f'Failed to resolve the name "{account}" to a SID.', "user_or_group")
        if any(account_resolved(world, svm, each.account) == known for each in others if each.kind == kind):
            raise duplicate()
        return AclEntry(account_shown(world, svm, account, known), body["permission"], kind)
    if any(each.account.lower() == account.lower() and each.kind == kind for each in others):
        raise duplicate()
    return AclEntry(account, body["permission"], kind)


def _share(world: World, svm: str, name: str) -> CifsShare:
    share = world[CifsShare].get((svm, name.lower()))
    if share is None:
        raise gone(target="name")
    return share


@operation("PATCH /protocols/cifs/shares/{svm.uuid}/{name}")
def change_share(world: World, call: Call) -> Outcome:
    """Change a share, but not its list."""
    name = call.keys["name"]
    if name.lower() in ADMINISTRATIVE:
        raise Refused(656424, f'The share "{name}" is an administrative one.', "name")
    share = _share(world, call.keys["svm.uuid"], name)
    path = call.body.get("path", share.path)
    if path != share.path:
        _refuse_path(world, share.uuid, path)
    settings = {**share.settings, **{field: value for field, value in call.body.items() if field != "path"}}
    world[CifsShare].change(share.key, path=path, settings=settings)
    return Done()


@operation("DELETE /protocols/cifs/shares/{svm.uuid}/{name}")
def delete_share(world: World, call: Call) -> Outcome:
    """Remove a share; what is in its path stays."""
    name = call.keys["name"]
    if name.lower() in ADMINISTRATIVE:
        raise Refused(655393, f'The share "{name}" is an administrative one.', "name")
    world[CifsShare].remove(_share(world, call.keys["svm.uuid"], name).key)
    return Done()
