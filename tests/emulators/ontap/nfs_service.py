"""NFS servers of SVMs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from tests.emulators.ontap.errors import Refused, duplicate, invalid
from tests.emulators.ontap.licenses import demand_license
from tests.emulators.ontap.network_records import Lif
from tests.emulators.ontap.operations import Call, Done, Outcome, Row, get, operation, rows
from tests.emulators.ontap.service_settings import defaults, merged, without
from tests.emulators.ontap.svm_lookup import made_svm, of_svm
from tests.emulators.ontap.svm_records import KerberosInterface, NfsService, Svm

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World

_CREATION: Final = "POST /protocols/nfs/services"
_TRANSFER_BYTES: Final = (8192, 1_048_576)


@rows("nfs_service")
def nfs_services(world: World) -> Iterable[Row]:
    """Show the NFS servers."""
    for one in world[NfsService]:
        keys = {"svm.uuid": one.uuid, "svm.name": world[Svm][one.uuid].name}
        yield Row(keys, partial(_shown, world, one), one.uuid)


def _shown(world: World, one: NfsService) -> JsonObject:
    serves = one.settings["enabled"] and world[Svm][one.uuid].is_running
    return {**one.settings, **of_svm(world, one.uuid), "state": "online" if serves else "offline"}


@operation("POST /protocols/nfs/services")
def create_nfs_service(world: World, call: Call) -> Outcome:
    """Make the NFS server of an SVM."""
    svm = made_svm(world, call)
    demand_license(world, "nfs")
    if not svm.is_running:
        raise Refused(3276916, f'SVM "{svm.name}" is not running.', "svm")
    if svm.uuid in world[NfsService]:
        raise duplicate(target="svm.uuid")
    settings = _checked(merged(defaults(_CREATION, "nfs_service"), without(call.body, ("svm",))))
    world[NfsService].put(NfsService(uuid=svm.uuid, settings=settings))
    return Done({"svm.uuid": svm.uuid})


def _checked(settings: JsonObject) -> JsonObject:
    least, most = _TRANSFER_BYTES
    size = get(settings, "transport.tcp_max_transfer_size", least)
    if not least <= size <= most:
        raise invalid(size, "transport.tcp_max_transfer_size", f"<{least}..{most}>")
    return settings


@operation("PATCH /protocols/nfs/services/{svm.uuid}")
def change_nfs_service(world: World, call: Call) -> Outcome:
    """Change the NFS server of an SVM."""
    one = world[NfsService][call.keys["svm.uuid"]]
    if not world[Svm][one.uuid].is_running:
        raise Refused(3276916, f'SVM "{world[Svm][one.uuid].name}" is not running.', "svm")
    world[NfsService].change(one.uuid, settings=_checked(merged(one.settings, without(call.body, ("svm",)))))
    return Done()


@operation("DELETE /protocols/nfs/services/{svm.uuid}")
def delete_nfs_service(world: World, call: Call) -> Outcome:
    """Remove the NFS server of an SVM on whose LIFs there is no Kerberos."""
    uuid = call.keys["svm.uuid"]
    if not world[Svm][uuid].is_running:
        raise Refused(3276916, f'SVM "{world[Svm][uuid].name}" is not running.', "svm")
    with_kerberos = (world[KerberosInterface].get(lif.uuid) for lif in world[Lif].where(svm=uuid))
    if any(one is not None and one.settings["enabled"] for one in with_kerberos):
        raise Refused(3277008, "Kerberos is enabled on a LIF of the SVM.", "svm")
    world[NfsService].remove(uuid)
    return Done()
