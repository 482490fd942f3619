"""The access control lists of CIFS shares, entry by entry."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING

from tests.emulators.ontap.access_records import AclEntry, CifsShare
from tests.emulators.ontap.cifs_shares import entry_of
from tests.emulators.ontap.errors import Refused, gone
from tests.emulators.ontap.operations import Call, Done, Outcome, Row, operation, rows
from tests.emulators.ontap.svm_lookup import of_svm

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World

_PATH = "/protocols/cifs/shares/{svm.uuid}/{share}/acls"


@rows("cifs_share_acl")
def entries(world: World) -> Iterable[Row]:
    """Show the entries of all shares."""
    for share in world[CifsShare]:
        for entry in share.entries:
            keys = {
                "svm.uuid": share.uuid,
                "share": share.name,
                "user_or_group": entry.account,
                "type": entry.kind,
            }
            yield Row(keys, partial(_shown, world, share, entry), share.uuid)


def _shown(world: World, share: CifsShare, entry: AclEntry) -> JsonObject:
    return {
        **of_svm(world, share.uuid),
        "share": share.name,
        "user_or_group": entry.account,
        "type": entry.kind,
        "permission": entry.permission,
    }


def _share(world: World, call: Call) -> CifsShare:
    share = world[CifsShare].get((call.keys["svm.uuid"], call.keys["share"].lower()))
    if share is None:
        raise gone(target="share")
    return share


def _entry(share: CifsShare, call: Call) -> AclEntry:
    for entry in share.entries:
        if entry.account.lower() == call.keys["user_or_group"].lower() and entry.kind == call.keys["type"]:
            return entry
    raise Refused(655516, "The share has no entry for that account.", "user_or_group")


@operation(f"POST {_PATH}")
def add_entry(world: World, call: Call) -> Outcome:
    """Add an entry for an account that the directory knows."""
    share = _share(world, call)
    entry = entry_of(world, share.uuid, share.entries, call.body)
    world[CifsShare].change(share.key, entries=(*share.entries, entry))
    keys = {"svm.uuid": share.uuid, "share": share.name, "user_or_group": entry.account, "type": entry.kind}
    return Done(keys)


@operation(f"PATCH {_PATH}/{{user_or_group}}/{{type}}")
def change_entry(world: World, call: Call) -> Outcome:
    """Give an account another permission."""
    share = _share(world, call)
    old = _entry(share, call)
    new = dataclasses.replace(old, permission=call.body.get("permission", old.permission))
    world[CifsShare].change(share.key, entries=tuple(new if each == old else each for each in share.entries))
    return Done()


@operation(f"DELETE {_PATH}/{{user_or_group}}/{{type}}")
def remove_entry(world: World, call: Call) -> Outcome:
    """Take an entry away."""
    share = _share(world, call)
    old = _entry(share, call)
    world[CifsShare].change(share.key, entries=tuple(each for each in share.entries if each != old))
    return Done()
