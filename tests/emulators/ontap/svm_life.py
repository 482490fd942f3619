"""How SVMs come and go."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Final

from tests.emulators.ontap import cifs_service, dns, ldap, lifs, nfs_service, routes, service_policies
from tests.emulators.ontap.errors import Refused
from tests.emulators.ontap.jobs import JobRecord
from tests.emulators.ontap.layer2 import asked_ipspace, ipspace_named
from tests.emulators.ontap.logins import Account, Role
from tests.emulators.ontap.network_records import Lif, Route, ServicePolicy
from tests.emulators.ontap.operations import Call, Job, Outcome, get, operation
from tests.emulators.ontap.storage_of_svms import data_volumes, forget_storage, make_root, place_of_root
from tests.emulators.ontap.svm import assigned, check_svm_name, is_changing, settings_from, svms_of
from tests.emulators.ontap.svm_lookup import check_made
from tests.emulators.ontap.svm_records import (
    CifsService,
    DnsService,
    Entry,
    KerberosRealm,
    LdapService,
    LocalCifsUser,
    LocalHost,
    NameMapping,
    NfsService,
    PreferredController,
    Svm,
    SvmService,
    UnixGroup,
    UnixUser,
)

if TYPE_CHECKING:
    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World

MOST_AT_ONCE: Final = 5
CREATE_SECONDS: Final = 8.0
DELETE_SECONDS: Final = 4.0
_SERVICES: Final[tuple[type[SvmService], ...]] = (NfsService, CifsService, DnsService, LdapService)
_ENTRIES: Final[tuple[type[Entry], ...]] = (
    KerberosRealm,
    LocalHost,
    UnixUser,
    UnixGroup,
    NameMapping,
    LocalCifsUser,
    PreferredController,
)
_INLINE: Final = ("ip_interfaces", "routes", "dns", "nfs", "cifs", "ldap")


def _check_limit(world: World) -> None:
    begins = ("POST /api/svm/svms", "DELETE /api/svm/svms")
    under_way = sum(job.ended is None and job.description.startswith(begins) for job in world[JobRecord])
    if under_way >= MOST_AT_ONCE:
        raise Refused(13434894, f"The limit of {MOST_AT_ONCE} SVM create and delete jobs at once has been reached.")


@operation("POST /svm/svms")
def create_svm(world: World, call: Call) -> Outcome:
    """Begin to make an SVM, with the services that its body asks for."""
    svms_of(world)
    name = get(call.body, "name")
    if not name:
        raise Refused(262212, 'Field "name" is required.', "name")
    if (
        "uuid" not in get(call.body, "ipspace", {})
        and ipspace_named(world, get(call.body, "ipspace.name", "Default")) is None
    ):
        raise Refused(13434912, f'IPspace "{get(call.body, "ipspace.name")}" does not exist.', "ipspace.name")
    ipspace = asked_ipspace(world, call.body)
    _check_limit(world)
    check_svm_name(world, name)
    aggregates = assigned(world, call.body) if "aggregates" in call.body else ()
    place = place_of_root(world, aggregates)
    made = Svm(
        uuid=world.new_uuid(),
        name=name,
        ipspace=ipspace.uuid,
        language=get(call.body, "language", "c.utf_8"),
        aggregates=aggregates,
        comment=get(call.body, "comment", ""),
        subtype=get(call.body, "subtype", "default"),
        is_made=False,
        settings=settings_from(call.body, {}),
    )
    world[Svm].put(made)
    inline = {field: call.body[field] for field in _INLINE if field in call.body}
    work = partial(_make, uuid=made.uuid, place=place, inline=inline, call=dataclasses.replace(call, body={}))
    return Job(CREATE_SECONDS, work, {"uuid": made.uuid}, svm=made.uuid)


def _make(world: World, uuid: str, place: str, inline: JsonObject, call: Call) -> None:
    made = world[Svm].change(uuid, is_made=True)
    service_policies.make_defaults(world, made.ipspace, uuid)
    make_root(world, made, place)

    def asked(body: JsonObject) -> Call:
        return dataclasses.replace(call, body={**body, "svm": {"uuid": uuid}}, svm=None)

    for body in inline.get("ip_interfaces", ()):
        policy = {"service_policy": {"name": body["service_policy"]}} if "service_policy" in body else {}
        lifs.create_lif(world, asked({**body, **policy}))
    for body in inline.get("routes", ()):
        routes.create_route(world, asked(body))
    if inline.get("dns", {}).get("servers"):
        dns.create_dns(world, asked(inline["dns"]))
    if inline.get("nfs", {}).get("enabled"):
        nfs_service.create_nfs_service(world, asked({"enabled": True}))
    if "name" in inline.get("cifs", {}):
        body = {field: value for field, value in inline["cifs"].items() if field != "allowed"}
        outcome = cifs_service.create_cifs_service(world, asked(body))
        if isinstance(outcome, Job):
            outcome.work(world)
    if any(field in inline.get("ldap", {}) for field in ("servers", "ad_domain")):
        body = {field: value for field, value in inline["ldap"].items() if field != "enabled"}
        ldap.create_ldap(world, asked(body))


@operation("DELETE /svm/svms/{uuid}")
def delete_svm(world: World, call: Call) -> Outcome:
    """Begin to remove an SVM that has no data volumes and is in no Active Directory domain."""
    one = world[Svm][call.keys["uuid"]]
    check_made(world, one)
    if is_changing(world, one.uuid, "DELETE"):
        raise Refused(13434915, f'SVM "{one.name}" is being deleted.', "uuid")
    _check_limit(world)
    cifs = world[CifsService].get(one.uuid)
    if cifs is not None and cifs.domain is not None:
        raise Refused(
            2621525,
            f'SVM "{one.name}" cannot be deleted: delete its CIFS server, which is joined to a domain, first.',
            "uuid",
        )
    if volumes := data_volumes(world, one.uuid):
        raise Refused(917531, f'SVM "{one.name}" cannot be deleted: it has volumes ("{volumes[0].name}").', "uuid")
    return Job(DELETE_SECONDS, partial(_remove, uuid=one.uuid), svm=one.uuid)


def _remove(world: World, uuid: str) -> None:
    if volumes := data_volumes(world, uuid):
        raise Refused(917531, f'The SVM cannot be deleted: it has volumes ("{volumes[0].name}").', "uuid")
    forget_storage(world, uuid)
    for lif in world[Lif].where(svm=uuid):
        lifs.forget_lif(world, lif.uuid)
    for route in world[Route].where(svm=uuid):
        world[Route].remove(route.uuid)
    for policy in world[ServicePolicy].where(svm=uuid):
        world[ServicePolicy].remove(policy.uuid)
    for service in _SERVICES:
        world[service].remove(uuid)
    for table in _ENTRIES:
        for entry in world[table].where(uuid=uuid):
            world[table].remove(entry.key)
    for account in world[Account].where(owner=uuid):
        world[Account].remove(account.key)
    for role in world[Role].where(owner=uuid):
        world[Role].remove(role.key)
    world[Svm].remove(uuid)
