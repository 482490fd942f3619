"""The SVM `vs1` of the fixture, as far as its storage goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.emulators.ontap import aggregates, storage_of_svms
from tests.emulators.ontap.export_rules import Rule
from tests.emulators.ontap.svm_records import Svm

if TYPE_CHECKING:
    from tests.emulators.ontap.world import World

NAME = "vs1"
_OPEN = Rule(1, ("0.0.0.0/0", "::/0"), ("any",), ("any",), superuser=("any",))


def seed(world: World) -> None:
    """Give it both aggregates, a root volume, and a policy `default` that lets everyone in."""
    homes = tuple(aggregates.named(world, name).uuid for name in ("aggr1", "aggr2"))
    svm = world[Svm].where(name=NAME)[0]
    world[Svm].change(svm.uuid, aggregates=homes)
    storage_of_svms.make_root(world, world[Svm][svm.uuid], homes[0], (_OPEN,))
