"""Volumes that others made in `vs1`, each odd in its own way: what an import meets, and what must stay as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.emulators.ontap.internal import perform
from tests.emulators.ontap.space import GIB
from tests.emulators.ontap.volume_records import Volume

if TYPE_CHECKING:
    from tests.emulators.ontap.world import World

SVM: Final = "vs1"
_PLAIN: Final = {
    "svm": {"name": SVM},
    "style": "flexvol",
    "aggregates": [{"name": "aggr1"}],
    "size": 10 * GIB,
    "guarantee": {"type": "none"},
    "snapshot_policy": {"name": "none"},
}
_PROJECTS: Final = (
    {
        "clients": [{"match": "10.0.1.0/24"}, {"match": "fd00:1::/64"}],
        "ro_rule": ["sys"],
        "rw_rule": ["sys"],
        "superuser": ["sys"],
        "anonymous_user": "65534",
    },
    {
        "clients": [{"match": "10.0.0.0/16"}],
        "ro_rule": ["sys"],
        "rw_rule": ["never"],
        "superuser": ["none"],
        "anonymous_user": "65534",
    },
)
_VOLUMES: Final[dict[str, dict[str, Any]]] = {
    "projects": {"nas.path": "/projects", "nas.export_policy.name": "projects", "comment": "of the project office"},
    "no_junction": {},
    "stopped": {},
    "big_group": {"style": "flexgroup", "aggregates": None, "size": 800 * GIB, "nas.path": "/big"},
    "mirror": {"type": "dp"},
    "with_lun": {"nas.path": "/with_lun"},
    "nested": {"nas.path": "/projects/nested", "nas.export_policy.name": "projects"},
    "MixedCase": {"nas.path": "/MixedCase", "nas.security_style": "ntfs"},
    "quoted": {"nas.path": "/quoted", "comment": 'it\'s "the" |*! one, sharectl:none\\'},
    "odd_reserve": {"nas.path": "/odd"},
    "was_mirror": {"nas.path": "/was_mirror", "snapshot_policy": {"name": "default"}},
}
_CHANGED: Final[dict[str, dict[str, Any]]] = {
    "stopped": {"state": "offline"},
    "with_lun": {"luns": 1},
    "odd_reserve": {"reserve_percent": 9.5, "data": 8 * GIB, "snapshot_data": 3 * GIB // 2},
    "was_mirror": {"size_fixed": True},
    "projects": {"data": 3 * GIB},
}
_CLONE: Final = "a_clone"
NAMES: Final = (*_VOLUMES, _CLONE)


def add(world: World) -> None:
    """Put them into the SVM, with a policy that two of them share, a share for Windows and a snapshot."""
    with world.lock:
        policy = {"svm": {"name": SVM}, "name": "projects", "rules": list(_PROJECTS)}
        perform(world, "POST /protocols/nfs/export-policies", policy)
        for name, fields in _VOLUMES.items():
            body = {"name": name, **_PLAIN, **fields}
            made = perform(
                world, "POST /storage/volumes", {key: value for key, value in body.items() if value is not None}
            )
            if name in _CHANGED:
                world[Volume].change(made["uuid"], **_CHANGED[name])
        _add_clone(world)
        share = {"svm": {"name": SVM}, "name": "Projects$", "path": "/projects", "acls": _acls()}
        perform(world, "POST /protocols/cifs/shares", share)


def _acls() -> list[dict[str, str]]:
    return [
        {"user_or_group": "EXAMPLE\\team", "permission": "change"},
        {"user_or_group": "BUILTIN\\Administrators", "permission": "full_control"},
    ]


def _add_clone(world: World) -> None:
    parent = world[Volume].where(name="projects", deleted_at=None)[0].uuid
    perform(world, "POST /storage/volumes/{volume.uuid}/snapshots", {"name": "before"}, keys={"volume.uuid": parent})
    origin = {"is_flexclone": True, "parent_volume": {"name": "projects"}, "parent_snapshot": {"name": "before"}}
    body = {"svm": {"name": SVM}, "name": _CLONE, "clone": origin, "nas.path": "/a_clone"}
    perform(world, "POST /storage/volumes", body)
