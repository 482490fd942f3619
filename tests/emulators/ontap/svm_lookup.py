"""Which SVM a call is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.emulators.ontap.errors import Refused
from tests.emulators.ontap.operations import Call, get
from tests.emulators.ontap.svm_records import Svm

if TYPE_CHECKING:
    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World


def svm_named(world: World, name: str) -> Svm | None:
    """Return the SVM of that name."""
    return next(iter(world[Svm].where(name=name)), None)


def of_svm(world: World, uuid: str, field: str = "svm") -> JsonObject:
    """Return how a record shows the SVM that it belongs to."""
    return {field: {"uuid": uuid, "name": world[Svm][uuid].name}}


def asked_svm(world: World, call: Call, *, no_name: int = 2621462, no_uuid: int = 2621462, under: str = "svm") -> Svm:
    """Return the SVM that a body names, or that the call is confined to; the codes are those for one that is not there."""
    uuid, name = get(call.body, f"{under}.uuid"), get(call.body, f"{under}.name")
    if uuid is None and name is None:
        if call.svm is None:
            raise Refused(2621707, "No SVM was specified. Either svm.name or svm.uuid must be given.", under)
        return world[Svm][call.svm]
    by_uuid = world[Svm].get(uuid) if uuid is not None else None
    by_name = svm_named(world, name) if name is not None else None
    if uuid is not None and by_uuid is None:
        raise Refused(no_uuid, f'SVM "{uuid}" does not exist.', f"{under}.uuid")
    if name is not None and by_name is None:
        raise Refused(no_name, f'SVM "{name}" does not exist.', f"{under}.name")
    found = by_uuid or by_name
    assert found is not None
    if by_name is not None and by_name.uuid != found.uuid:
        raise Refused(2621706, f'The SVM UUID "{uuid}" is not that of SVM "{name}".', under)
    return found


def made_svm(world: World, call: Call, *, no_name: int = 2621462, no_uuid: int = 2621462, under: str = "svm") -> Svm:
    """Return the SVM in which a call makes something; one that is still being made takes nothing."""
    svm = asked_svm(world, call, no_name=no_name, no_uuid=no_uuid, under=under)
    check_made(world, svm)
    return svm


def check_made(world: World, svm: Svm) -> None:
    """Refuse what needs an SVM that is still being made."""
    if not svm.is_made:
        raise Refused(13434916, f'SVM "{svm.name}" is still being created. Wait a few minutes, then try again.', "svm")
