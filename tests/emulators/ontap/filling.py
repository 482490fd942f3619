"""Volumes by the thousand, for benchmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.emulators.ontap.internal import perform

if TYPE_CHECKING:
    from tests.emulators.ontap.world import World

_AGGREGATES = ("aggr1", "aggr2")


def fill(world: World, shares: int, svm: str = "vs1") -> None:
    """Put thin volumes of 1 GiB into an SVM, each mounted, with an export policy of three rules of its own."""
    for number in range(shares):
        name = f"filled_{number:05d}"
        net = f"10.{64 + number // 65_536}.{number // 256 % 256}.{number % 256}"
        flavours = {"ro_rule": ["sys"], "superuser": ["sys"], "anonymous_user": "65534", "protocols": ["nfs"]}
        clients = [(f"{net}", "sys"), (f"172.20.{number // 256 % 256}.{number % 256}", "sys"), ("10.0.0.0/12", "never")]
        rules = [{"clients": [{"match": match}], "rw_rule": [rw], **flavours} for match, rw in clients]
        policy = {"svm": {"name": svm}, "name": f"policy_{name}", "rules": rules}
        perform(world, "POST /protocols/nfs/export-policies", policy)
        volume = {
            "svm": {"name": svm},
            "name": name,
            "style": "flexvol",
            "aggregates": [{"name": _AGGREGATES[number % len(_AGGREGATES)]}],
            "size": 2**30,
            "guarantee": {"type": "none"},
            "snapshot_policy": {"name": "none"},
            "nas": {"path": f"/{name}", "export_policy": {"name": policy["name"]}},
        }
        perform(world, "POST /storage/volumes", volume)
