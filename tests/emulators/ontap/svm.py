"""SVMs as they are shown and changed; how they come and go is in svm_life.py."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tests.emulators.ontap.cluster import the_cluster
from tests.emulators.ontap.errors import Refused
from tests.emulators.ontap.jobs import JobRecord
from tests.emulators.ontap.layer2 import ipspace_named, shown
from tests.emulators.ontap.network_records import Ipspace, Lif, ServicePolicy
from tests.emulators.ontap.operations import Call, Job, Outcome, Row, get, operation, rows
from tests.emulators.ontap.storage_of_svms import aggregate_named, aggregate_shown, recovery_queue
from tests.emulators.ontap.svm_lookup import check_made, svm_named
from tests.emulators.ontap.svm_records import CifsService, DnsService, LdapService, NfsService, Svm

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World

LONGEST_NAME: Final = 47
_CHANGE_SECONDS: Final = 0.5
_SOURCES: Final = {
    "hosts": {"dns", "files"},
    "passwd": {"files", "ldap", "nis"},
    "group": {"files", "ldap", "nis"},
    "netgroup": {"files", "ldap", "nis"},
    "namemap": {"files", "ldap"},
}
_NSSWITCH: Final = {
    "hosts": ["files", "dns"],
    "passwd": ["files"],
    "group": ["files"],
    "netgroup": ["files"],
    "namemap": ["files"],
}
_KEPT: Final = (
    "auto_enable_activity_tracking",
    "auto_enable_analytics",
    "certificate",
    "is_space_enforcement_logical",
    "is_space_reporting_logical",
    "max_volumes",
    "qos_adaptive_policy_group_template",
    "qos_policy",
    "qos_policy_group_template",
    "snapshot_autodelete_enabled",
    "snapshot_policy",
    "snapshot_reserve_percent",
    "storage",
)
"""Fields that are kept as they are given."""
_PROTOCOLS: Final = ("nfs", "cifs", "iscsi", "fcp", "nvme", "ndmp")
_DEFAULTS: Final[JsonObject] = {
    "auto_enable_activity_tracking": False,
    "auto_enable_analytics": False,
    "is_space_enforcement_logical": False,
    "is_space_reporting_logical": False,
    "max_volumes": "unlimited",
    "snapshot_policy": {"name": "default"},
    "storage": {"limit": 0, "limit_threshold_alert": 90},
    "allowed": {"nfs": True, "cifs": True, "iscsi": True, "fcp": True, "nvme": True, "ndmp": False},
    "nsswitch": _NSSWITCH,
}


def is_changing(world: World, svm: str, method: str) -> bool:
    """Tell whether a job that makes (POST) or removes (DELETE) an SVM is under way."""
    begin = f"{method} /api/svm/svms"
    return any(job.ended is None and job.description.startswith(begin) for job in world[JobRecord].where(svm=svm))


def svms_of(world: World) -> list[Svm]:
    """Return the SVMs; one that was not made although its job has ended is forgotten."""
    for svm in world[Svm]:
        if not svm.is_made and not is_changing(world, svm.uuid, "POST"):
            world[Svm].remove(svm.uuid)
    return list(world[Svm])


def state_of(world: World, svm: Svm) -> str:
    """Return the state that an SVM shows."""
    if not svm.is_made:
        return "initializing"
    if is_changing(world, svm.uuid, "DELETE"):
        return "deleting"
    return "running" if svm.is_running else "stopped"


@rows("svm")
def svms(world: World) -> Iterable[Row]:
    """Show the SVMs."""
    for one in svms_of(world):
        yield Row(shown(one), partial(svm_shown, world, one), one.uuid)


def svm_shown(world: World, one: Svm) -> JsonObject:
    """Return the record of an SVM."""
    kept = {**_DEFAULTS, **one.settings}
    count, size = recovery_queue(world, one.uuid)
    record: JsonObject = {
        **shown(one),
        "subtype": one.subtype,
        "state": state_of(world, one),
        "language": one.language,
        "comment": one.comment,
        "ipspace": shown(world[Ipspace][one.ipspace]),
        "aggregates": [aggregate_shown(world, uuid) for uuid in one.aggregates],
        "aggregates_delegated": bool(one.aggregates),
        "number_of_volumes_in_recovery_queue": count,
        "total_volume_size_in_recovery_queue": size,
        "nis": {"enabled": False},
        "snapmirror": {"is_protected": False, "protected_volumes_count": 0},
        **{name: value for name, value in kept.items() if name != "allowed"},
        **{name: {"allowed": kept["allowed"][name]} for name in _PROTOCOLS},
    }
    _show_services(world, one, record)
    if lifs := world[Lif].where(svm=one.uuid):
        record["ip_interfaces"] = [
            {
                **shown(lif),
                "ip": {"address": lif.address, "netmask": str(lif.length)},
                "service_policy": world[ServicePolicy][lif.policy].name,
                "services": list(world[ServicePolicy][lif.policy].services),
            }
            for lif in lifs
        ]
    return record


def _show_services(world: World, one: Svm, record: JsonObject) -> None:
    nfs, cifs = world[NfsService].get(one.uuid), world[CifsService].get(one.uuid)
    dns, ldap = world[DnsService].get(one.uuid), world[LdapService].get(one.uuid)
    record["nfs"]["enabled"] = nfs is not None and nfs.settings["enabled"]
    record["cifs"]["enabled"] = cifs is not None and cifs.settings["enabled"]
    if cifs is not None:
        record["cifs"]["name"] = cifs.name
        record["cifs"]["auth-style"] = "domain" if cifs.domain is not None else "workgroup"
        if cifs.domain is not None:
            record["cifs"]["ad_domain"] = cifs.settings["ad_domain"]
    if dns is not None:
        record["dns"] = {"domains": dns.settings["domains"], "servers": dns.settings["servers"]}
    record["ldap"] = {"enabled": ldap is not None}
    if ldap is not None:
        record["ldap"].update(
            {
                name: ldap.settings[name]
                for name in ("ad_domain", "base_dn", "bind_dn", "servers")
                if name in ldap.settings
            }
        )


def check_svm_name(world: World, name: str) -> None:
    """Refuse a name that an SVM may not have."""
    if len(name) > LONGEST_NAME:
        raise Refused(13434911, f'The SVM name "{name}" is longer than {LONGEST_NAME} characters.', "name")
    if svm_named(world, name) is not None or ipspace_named(world, name) is not None or name == the_cluster(world).name:
        raise Refused(13434908, f'The SVM name "{name}" is already used by an SVM, an IPspace or the cluster.', "name")


def settings_from(body: JsonObject, old: JsonObject) -> JsonObject:
    """Return the kept fields with those of a body."""
    settings = {**old, **{name: body[name] for name in _KEPT if name in body}}
    if "storage" in body:
        settings["storage"] = {**old.get("storage", _DEFAULTS["storage"]), **body["storage"]}
    allowed = {name: body[name]["allowed"] for name in _PROTOCOLS if "allowed" in body.get(name, {})}
    if allowed:
        settings["allowed"] = {**old.get("allowed", _DEFAULTS["allowed"]), **allowed}
    if "nsswitch" in body:
        for database, sources in body["nsswitch"].items():
            for source in sources:
                if source not in _SOURCES[database]:
                    raise Refused(23724038, f'"{source}" is no source for "{database}".', f"nsswitch.{database}")
        settings["nsswitch"] = {**old.get("nsswitch", _NSSWITCH), **body["nsswitch"]}
    return settings


def assigned(world: World, body: JsonObject) -> tuple[str, ...]:
    """Return the UUIDs of the aggregates that a body assigns."""
    return tuple(dict.fromkeys(aggregate_named(world, named) for named in body["aggregates"]))


@operation("PATCH /svm/svms/{uuid}")
def change_svm(world: World, call: Call) -> Outcome:
    """Rename an SVM, stop or start it, or change what is kept of it."""
    one = world[Svm][call.keys["uuid"]]
    check_made(world, one)
    if is_changing(world, one.uuid, "DELETE"):
        raise Refused(13434915, f'SVM "{one.name}" is being deleted.', "uuid")
    changes: dict[str, Any] = {"settings": settings_from(call.body, one.settings)}
    if (name := get(call.body, "name", one.name)) != one.name:
        check_svm_name(world, name)
    for field in ("name", "comment", "language"):
        if field in call.body:
            changes[field] = call.body[field]
    if "aggregates" in call.body:
        changes["aggregates"] = assigned(world, call.body)
    if "state" in call.body:
        changes["is_running"] = call.body["state"] in {"running", "starting"}
    return Job(_CHANGE_SECONDS, partial(_change, uuid=one.uuid, changes=changes), svm=one.uuid)


def _change(world: World, uuid: str, changes: dict[str, Any]) -> None:
    world[Svm].change(uuid, **changes)
