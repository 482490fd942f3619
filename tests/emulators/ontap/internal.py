"""Operations done from inside, without a request: how the fixture and the filling are made, and what changes behind clients' backs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.emulators.ontap.facts import JsonObject, operation_of
from tests.emulators.ontap.operations import HANDLERS, Call, Job, Login
from tests.emulators.ontap.schema import read_body

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.emulators.ontap.world import World

_INSIDE = Login("admin", "admin")


def perform(
    world: World, name: str, body: JsonObject, *, keys: Mapping[str, str] | None = None, svm: str | None = None
) -> Mapping[str, object]:
    """Do an operation at once, its job included, and return the keys of what it made; a refusal is raised."""
    operation = operation_of(name)
    parameters: dict[str, str] = {}
    if operation.resource is not None:
        mode = "c" if operation.method == "POST" else "u"
        body, parameters = read_body(operation.resource, mode, world.version, operation.query, body)
    outcome = HANDLERS[name](world, Call(name, keys or {}, parameters, body, _INSIDE, svm))
    if isinstance(outcome, Job):
        outcome.work(world)
    return outcome.keys
