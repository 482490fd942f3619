"""The SVM `vs1` of the fixture, as far as its storage goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.emulators.ontap import aggregates, export_policies
from tests.emulators.ontap.export_rules import Rule
from tests.emulators.ontap.svm_records import Svm
from tests.emulators.ontap.volume_records import Volume

if TYPE_CHECKING:
    from tests.emulators.ontap.world import World

NAME = "vs1"
_OPEN = Rule(1, ("0.0.0.0/0", "::/0"), ("any",), ("any",), superuser=("any",))


def seed(world: World) -> None:
    """Give it both aggregates, a root volume, and a policy `default` that lets everyone in."""
    homes = tuple(aggregates.named(world, name).uuid for name in ("aggr1", "aggr2"))
    svm = world[Svm].where(name=NAME)[0]
    world[Svm].change(svm.uuid, aggregates=homes)
    policy = export_policies.create_default(world, svm.uuid, (_OPEN,))
    world[Volume].put(
        Volume(
            uuid=world.new_uuid(),
            name=f"{NAME}_root",
            svm=svm.uuid,
            aggregates=homes[:1],
            size=2**30,
            create_time=0.0,
            msid=world.next_number("msid", 2_163_225_632),
            path="/",
            policy=policy.id,
            root=True,
        )
    )
