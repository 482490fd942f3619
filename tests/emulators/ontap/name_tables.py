"""Tables of names that an SVM has of its own: hosts, UNIX users and groups, and how names of one kind map to the other."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from tests.emulators.ontap.addresses import address_of
from tests.emulators.ontap.errors import Refused, duplicate, invalid
from tests.emulators.ontap.operations import Call, Done, Outcome, Row, operation, rows
from tests.emulators.ontap.service_settings import nested, without
from tests.emulators.ontap.svm_lookup import made_svm, of_svm
from tests.emulators.ontap.svm_records import LocalHost, NameMapping, Svm, UnixGroup, UnixUser

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World

_DIRECTIONS: Final = ("win_unix", "unix_win", "krb_unix", "s3_win", "s3_unix")


def _demand(body: JsonObject, *fields: str) -> None:
    for field in fields:
        if body.get(field) in {None, ""}:
            raise Refused(262212, f'Field "{field}" is required.', field)


@rows("local_host")
def local_hosts(world: World) -> Iterable[Row]:
    """Show the host names."""
    for one in world[LocalHost]:
        keys = {"owner.uuid": one.uuid, "owner.name": world[Svm][one.uuid].name, "address": one.name}
        yield Row(keys, partial(_host_shown, world, one), one.uuid)


def _host_shown(world: World, one: LocalHost) -> JsonObject:
    return {**one.settings, **of_svm(world, one.uuid, "owner"), "address": one.name, "scope": "svm"}


@operation("POST /name-services/local-hosts")
def add_local_host(world: World, call: Call) -> Outcome:
    """Name a host."""
    svm = made_svm(world, call, under="owner")
    _demand(call.body, "address", "hostname")
    address = call.body["address"]
    if address_of(address) is None:
        raise invalid(address, "address")
    if (svm.uuid, address) in world[LocalHost]:
        raise duplicate(target="address")
    settings = without(call.body, ("owner", "address"))
    world[LocalHost].put(LocalHost(uuid=svm.uuid, name=address, settings=settings))
    return Done({"owner.uuid": svm.uuid, "address": address})


@operation("PATCH /name-services/local-hosts/{owner.uuid}/{address}")
def change_local_host(world: World, call: Call) -> Outcome:
    """Change the names of a host."""
    one = world[LocalHost][call.keys["owner.uuid"], call.keys["address"]]
    world[LocalHost].change(one.key, settings={**one.settings, **without(call.body, ("owner",))})
    return Done()


@operation("DELETE /name-services/local-hosts/{owner.uuid}/{address}")
def remove_local_host(world: World, call: Call) -> Outcome:
    """Forget a host."""
    world[LocalHost].remove((call.keys["owner.uuid"], call.keys["address"]))
    return Done()


@rows("unix_user")
def unix_users(world: World) -> Iterable[Row]:
    """Show the UNIX users."""
    for one in world[UnixUser]:
        keys = {"svm.uuid": one.uuid, "svm.name": world[Svm][one.uuid].name, "name": one.name}
        yield Row(keys, partial(_named, world, one), one.uuid)


def _named(world: World, one: UnixUser | UnixGroup) -> JsonObject:
    return {**one.settings, **of_svm(world, one.uuid), "name": one.name}


@operation("POST /name-services/unix-users")
def add_unix_user(world: World, call: Call) -> Outcome:
    """Add a UNIX user."""
    svm = made_svm(world, call)
    _demand(call.body, "name", "id", "primary_gid")
    if (svm.uuid, call.body["name"]) in world[UnixUser]:
        raise duplicate(target="name")
    settings = without(call.body, ("svm", "name", "skip_name_validation"))
    world[UnixUser].put(UnixUser(uuid=svm.uuid, name=call.body["name"], settings=settings))
    return Done({"svm.uuid": svm.uuid, "name": call.body["name"]})


@operation("PATCH /name-services/unix-users/{svm.uuid}/{name}")
def change_unix_user(world: World, call: Call) -> Outcome:
    """Change a UNIX user."""
    one = world[UnixUser][call.keys["svm.uuid"], call.keys["name"]]
    world[UnixUser].change(one.key, settings={**one.settings, **without(call.body, ("svm",))})
    return Done()


@operation("DELETE /name-services/unix-users/{svm.uuid}/{name}")
def remove_unix_user(world: World, call: Call) -> Outcome:
    """Remove a UNIX user."""
    world[UnixUser].remove((call.keys["svm.uuid"], call.keys["name"]))
    return Done()


@rows("/name-services/unix-groups")
def unix_groups(world: World) -> Iterable[Row]:
    """Show the UNIX groups."""
    for one in world[UnixGroup]:
        keys = {"svm.uuid": one.uuid, "svm.name": world[Svm][one.uuid].name, "name": one.name}
        yield Row(keys, partial(_named, world, one), one.uuid)


@operation("POST /name-services/unix-groups")
def add_unix_group(world: World, call: Call) -> Outcome:
    """Add a UNIX group."""
    call = replace(call, body=nested(call.body))
    svm = made_svm(world, call)
    _demand(call.body, "name", "id")
    if (svm.uuid, call.body["name"]) in world[UnixGroup]:
        raise duplicate(target="name")
    settings = {"id": int(call.body["id"])}
    world[UnixGroup].put(UnixGroup(uuid=svm.uuid, name=call.body["name"], settings=settings))
    return Done({"svm.uuid": svm.uuid, "name": call.body["name"]})


@operation("DELETE /name-services/unix-groups/{svm.uuid}/{name}")
def remove_unix_group(world: World, call: Call) -> Outcome:
    """Remove a UNIX group."""
    world[UnixGroup].remove((call.keys["svm.uuid"], call.keys["name"]))
    return Done()


@rows("/name-services/name-mappings")
def name_mappings(world: World) -> Iterable[Row]:
    """Show the name mappings, in the order in which they are tried."""
    for one in sorted(world[NameMapping], key=lambda one: (one.uuid, one.settings["direction"], one.settings["index"])):
        keys = {
            "svm.uuid": one.uuid,
            "svm.name": world[Svm][one.uuid].name,
            "direction": one.settings["direction"],
            "index": one.settings["index"],
        }
        yield Row(keys, partial(_mapping_shown, world, one), one.uuid)


def _mapping_shown(world: World, one: NameMapping) -> JsonObject:
    return {**one.settings, **of_svm(world, one.uuid)}


@operation("POST /name-services/name-mappings")
def add_name_mapping(world: World, call: Call) -> Outcome:
    """Add a name mapping."""
    call = replace(call, body=nested(call.body))
    svm = made_svm(world, call)
    _demand(call.body, "direction", "index", "pattern", "replacement")
    direction, index = call.body["direction"], int(call.body["index"])
    if direction not in _DIRECTIONS:
        raise invalid(direction, "direction")
    name = f"{direction}/{index}"
    if (svm.uuid, name) in world[NameMapping]:
        raise duplicate(target="index")
    settings = {**without(call.body, ("svm",)), "index": index}
    world[NameMapping].put(NameMapping(uuid=svm.uuid, name=name, settings=settings))
    return Done({"svm.uuid": svm.uuid, "direction": direction, "index": index})


def _mapping(world: World, call: Call) -> NameMapping:
    return world[NameMapping][call.keys["svm.uuid"], f"{call.keys['direction']}/{call.keys['index']}"]


@operation("PATCH /name-services/name-mappings/{svm.uuid}/{direction}/{index}")
def change_name_mapping(world: World, call: Call) -> Outcome:
    """Change a name mapping, or its place."""
    call = replace(call, body=nested(call.body))
    one = _mapping(world, call)
    settings = {**one.settings, **without(call.body, ("svm", "direction", "index"))}
    if "new_index" in call.query:
        settings["index"] = int(call.query["new_index"])
    name = f"{settings['direction']}/{settings['index']}"
    if name != one.name and (one.uuid, name) in world[NameMapping]:
        raise duplicate(target="index")
    world[NameMapping].change(one.key, name=name, settings=settings)
    return Done()


@operation("DELETE /name-services/name-mappings/{svm.uuid}/{direction}/{index}")
def remove_name_mapping(world: World, call: Call) -> Outcome:
    """Remove a name mapping."""
    world[NameMapping].remove(_mapping(world, call).key)
    return Done()
