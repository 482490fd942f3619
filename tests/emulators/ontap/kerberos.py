"""Kerberos for NFS: realms, and the LIFs on which it is switched on."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from tests.emulators.ontap.errors import Refused, duplicate, gone
from tests.emulators.ontap.layer2 import shown
from tests.emulators.ontap.network_records import Lif
from tests.emulators.ontap.operations import Call, Done, Outcome, Row, get, operation, rows
from tests.emulators.ontap.service_settings import defaults, merged, without
from tests.emulators.ontap.svm_lookup import made_svm, of_svm
from tests.emulators.ontap.svm_records import KerberosInterface, KerberosRealm, Svm

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World

_CREATION: Final = "POST /protocols/nfs/kerberos/realms"
_SECRET: Final = ("svm", "interface", "user", "password", "keytab_uri", "organizational_unit", "force")
_SWITCHED: Final = "Kerberos is already enabled/disabled on this LIF"


@rows("kerberos_realm")
def realms(world: World) -> Iterable[Row]:
    """Show the realms."""
    for one in world[KerberosRealm]:
        keys = {"svm.uuid": one.uuid, "svm.name": world[Svm][one.uuid].name, "name": one.name}
        yield Row(keys, partial(_realm_shown, world, one), one.uuid)


def _realm_shown(world: World, one: KerberosRealm) -> JsonObject:
    encryption = ["des", "des3", "aes_128", "aes_256"]
    return {**one.settings, **of_svm(world, one.uuid), "name": one.name, "encryption_types": encryption}


@operation("POST /protocols/nfs/kerberos/realms")
def create_realm(world: World, call: Call) -> Outcome:
    """Make a realm for an SVM."""
    svm = made_svm(world, call)
    for field in ("name", "kdc.ip", "kdc.vendor"):
        if not get(call.body, field):
            raise Refused(262212, f'Field "{field}" is required.', field)
    name = call.body["name"]
    if (svm.uuid, name) in world[KerberosRealm]:
        raise duplicate(target="name")
    settings = merged(defaults(_CREATION, "kerberos_realm"), without(call.body, ("svm", "name")))
    world[KerberosRealm].put(KerberosRealm(uuid=svm.uuid, name=name, settings=settings))
    return Done({"svm.uuid": svm.uuid, "name": name})


@operation("PATCH /protocols/nfs/kerberos/realms/{svm.uuid}/{name}")
def change_realm(world: World, call: Call) -> Outcome:
    """Change a realm."""
    one = world[KerberosRealm][call.keys["svm.uuid"], call.keys["name"]]
    world[KerberosRealm].change(one.key, settings=merged(one.settings, without(call.body, ("svm", "name"))))
    return Done()


@operation("DELETE /protocols/nfs/kerberos/realms/{svm.uuid}/{name}")
def delete_realm(world: World, call: Call) -> Outcome:
    """Remove a realm."""
    world[KerberosRealm].remove((call.keys["svm.uuid"], call.keys["name"]))
    return Done()


def _interface(world: World, lif: Lif) -> JsonObject:
    kept = world[KerberosInterface].get(lif.uuid)
    return {"enabled": False} if kept is None else kept.settings


@rows("kerberos_interface")
def interfaces(world: World) -> Iterable[Row]:
    """Show for each LIF of an SVM whether Kerberos is on."""
    for lif in world[Lif]:
        if lif.svm is not None:
            keys = {"interface.uuid": lif.uuid, "interface.name": lif.name, "svm.name": world[Svm][lif.svm].name}
            yield Row(keys, partial(_interface_shown, world, lif, lif.svm), lif.svm)


def _interface_shown(world: World, lif: Lif, svm: str) -> JsonObject:
    return {
        **_interface(world, lif),
        **of_svm(world, svm),
        "interface": {**shown(lif), "ip": {"address": lif.address}},
    }


@operation("PATCH /protocols/nfs/kerberos/interfaces/{interface.uuid}")
def change_interface(world: World, call: Call) -> Outcome:
    """Switch Kerberos on or off on a LIF."""
    lif = world[Lif][call.keys["interface.uuid"]]
    assert lif.svm is not None
    if call.query.get("interface.name", lif.name) != lif.name:
        raise Refused(262196, 'Field "interface.name" cannot be set in this operation.', "interface.name")
    old = _interface(world, lif)
    enabled = call.body.get("enabled", old["enabled"])
    if "enabled" in call.body and enabled == old["enabled"]:
        raise Refused(3276861, f"{_SWITCHED}.", "enabled")
    if enabled and not old["enabled"]:
        _check_principal(world, lif.svm, call.body)
    settings = {**merged(old, without(call.body, _SECRET)), "enabled": enabled}
    world[KerberosInterface].put(KerberosInterface(uuid=lif.uuid, settings=settings))
    return Done()


def _check_principal(world: World, svm: str, body: JsonObject) -> None:
    fields = ("spn",) if "keytab_uri" in body else ("spn", "user", "password")
    for field in fields:
        if not body.get(field):
            raise Refused(262212, f'Field "{field}" is required.', field)
    realm = body["spn"].rpartition("@")[2]
    if not any(one.name.lower() == realm.lower() for one in world[KerberosRealm].where(uuid=svm)):
        raise gone(target="spn")
