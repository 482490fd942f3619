"""Users that only the CIFS server of an SVM knows."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from tests.emulators.ontap.errors import Refused, duplicate
from tests.emulators.ontap.operations import Call, Done, Outcome, Row, operation, rows
from tests.emulators.ontap.service_settings import without
from tests.emulators.ontap.svm_lookup import asked_svm, of_svm
from tests.emulators.ontap.svm_records import CifsService, LocalCifsUser, Svm

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World

_FIRST_ID: Final = 1000


@rows("local_cifs_user")
def local_users(world: World) -> Iterable[Row]:
    """Show the users, never their passwords."""
    for one in world[LocalCifsUser]:
        keys = {"svm.uuid": one.uuid, "svm.name": world[Svm][one.uuid].name, "sid": one.name, "name": _name(world, one)}
        yield Row(keys, partial(_shown, world, one), one.uuid)


def _name(world: World, one: LocalCifsUser) -> str:
    return f"{world[CifsService][one.uuid].name}\\{one.settings['name']}"


def _shown(world: World, one: LocalCifsUser) -> JsonObject:
    return {
        "account_disabled": False,
        **one.settings,
        **of_svm(world, one.uuid),
        "sid": one.name,
        "name": _name(world, one),
    }


def _plain(name: str) -> str:
    return name.rpartition("\\")[2]


def _check_free(world: World, svm: str, name: str) -> None:
    if any(one.settings["name"].lower() == name.lower() for one in world[LocalCifsUser].where(uuid=svm)):
        raise duplicate(target="name")


@operation("POST /protocols/cifs/local-users")
def add_local_user(world: World, call: Call) -> Outcome:
    """Add a user."""
    svm = asked_svm(world, call)
    if svm.uuid not in world[CifsService]:
        raise Refused(655399, f'SVM "{svm.name}" has no CIFS server.', "svm")
    for field in ("name", "password"):
        if not call.body.get(field):
            raise Refused(262212, f'Field "{field}" is required.', field)
    name = _plain(call.body["name"])
    _check_free(world, svm.uuid, name)
    number = world.next_number(f"local user of {svm.uuid}", _FIRST_ID)
    sid = f"S-1-5-21-{int(svm.uuid[:8], 16)}-{int(svm.uuid[-8:], 16)}-{number}"
    settings = {**without(call.body, ("svm", "password")), "name": name}
    world[LocalCifsUser].put(LocalCifsUser(uuid=svm.uuid, name=sid, settings=settings))
    return Done({"svm.uuid": svm.uuid, "sid": sid})


@operation("PATCH /protocols/cifs/local-users/{svm.uuid}/{sid}")
def change_local_user(world: World, call: Call) -> Outcome:
    """Change a user."""
    one = world[LocalCifsUser][call.keys["svm.uuid"], call.keys["sid"]]
    settings = {**one.settings, **without(call.body, ("svm", "password"))}
    settings["name"] = _plain(settings["name"])
    if settings["name"].lower() != one.settings["name"].lower():
        _check_free(world, one.uuid, settings["name"])
    world[LocalCifsUser].change(one.key, settings=settings)
    return Done()


@operation("DELETE /protocols/cifs/local-users/{svm.uuid}/{sid}")
def remove_local_user(world: World, call: Call) -> Outcome:
    """Remove a user."""
    world[LocalCifsUser].remove((call.keys["svm.uuid"], call.keys["sid"]))
    return Done()
