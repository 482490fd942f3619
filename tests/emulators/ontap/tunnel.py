"""Which SVM a call is about: by its login, by a tunnelling header, or by name in its body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.emulators.ontap.errors import FORBIDDEN, Refused
from tests.emulators.ontap.operations import Login, rows_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World

NO_SUCH_SVM: Final = 2621462
NAME_AND_UUID_DIFFER: Final = 2621706


def svm_name(world: World, uuid: str) -> str | None:
    """Return the name of an SVM."""
    return next((str(row.keys["name"]) for row in rows_of(world, "svm") if row.keys["uuid"] == uuid), None)


def svm_uuid(world: World, name: str) -> str | None:
    """Return the UUID of the SVM of a name."""
    return next((str(row.keys["uuid"]) for row in rows_of(world, "svm") if row.keys["name"] == name), None)


def resolved(world: World, given: Mapping[str, str]) -> str | None:
    """Return the UUID of the SVM `{"name": …, "uuid": …}`, None where neither is given; refuse one that does not exist."""
    name, uuid = given.get("name"), given.get("uuid")
    if name is None and uuid is None:
        return None
    found = svm_uuid(world, name) if name is not None else uuid
    if found is None or svm_name(world, found) is None:
        raise Refused(NO_SUCH_SVM, f'SVM "{name or uuid}" does not exist.', "svm.name" if name else "svm.uuid")
    if uuid is not None and uuid != found:
        raise Refused(NAME_AND_UUID_DIFFER, "The SVM name and UUID do not refer to the same SVM.", "svm")
    return found


def scope_of(world: World, login: Login, headers: Mapping[str, str]) -> str | None:
    """Return the UUID of the SVM that a login or the header confines a call to."""
    given = {
        key: headers[header]
        for key, header in (("name", "x-dot-svm-name"), ("uuid", "x-dot-svm-uuid"))
        if header in headers
    }
    tunnelled = resolved(world, given)
    if login.svm is not None and tunnelled not in {None, login.svm}:
        raise Refused(FORBIDDEN, f'User "{login.name}" is not authorized for that SVM.')
    return login.svm or tunnelled


def confine(world: World, body: JsonObject, scope: str | None, login: Login) -> None:
    """Refuse a body that is about another SVM than the one that the call is confined to."""
    given = body.get("svm")
    if scope is None or not isinstance(given, dict):
        return
    if resolved(world, given) != scope:
        if login.svm is not None:
            raise Refused(FORBIDDEN, f'User "{login.name}" is not authorized for that SVM.')
        raise Refused(262188, "The SVM in the body is not the one that the request is tunneled to.", "svm")
