"""What SVMs have of the storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.emulators.ontap.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World


def aggregate_named(world: World, named: Mapping[str, Any]) -> str:
    """Return the UUID of the aggregate that a body names."""
    raise Refused(917508, f'Aggregate "{named.get("name", named.get("uuid"))}" does not exist.', "aggregates")


def aggregate_shown(world: World, uuid: str) -> JsonObject:
    """Return an assigned aggregate as its SVM shows it."""
    return {"uuid": uuid}


def recovery_queue(world: World, svm: str) -> tuple[int, int]:
    """Return how many deleted volumes an SVM still has, and their size."""
    return 0, 0
