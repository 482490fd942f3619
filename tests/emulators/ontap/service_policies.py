"""Service policies: which services a LIF offers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from tests.emulators.ontap.errors import Refused, invalid
from tests.emulators.ontap.layer2 import asked_ipspace, shown
from tests.emulators.ontap.network_records import Ipspace, Lif, ServicePolicy
from tests.emulators.ontap.operations import Call, Done, Outcome, Row, get, operation, rows
from tests.emulators.ontap.svm_lookup import asked_svm, of_svm

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World

_CLIENTS: Final = (
    "management_dns_client",
    "management_ad_client",
    "management_ldap_client",
    "management_nis_client",
)
OF_AN_SVM: Final = {
    "default-data-files": ("data_core", "data_nfs", "data_cifs", "data_flexcache", "data_fpolicy_client", *_CLIENTS),
    "default-data-blocks": ("data_core", "data_iscsi", "data_fpolicy_client"),
    "default-data-iscsi": ("data_core", "data_iscsi"),
    "default-data-nvme-tcp": ("data_core", "data_nvme_tcp"),
    "default-management": ("data_core", "management_ssh", "management_https", *_CLIENTS),
}
OF_THE_CLUSTER: Final = {
    "default-management": (
        "management_core",
        "management_ssh",
        "management_https",
        "management_http",
        "management_autosupport",
        "management_ems",
        "management_ntp_client",
    ),
    "default-intercluster": ("intercluster_core", "management_https"),
    "default-cluster": ("cluster_core",),
}
_SERVICES: Final = frozenset(
    service for policies in (OF_AN_SVM, OF_THE_CLUSTER) for services in policies.values() for service in services
) | {
    "data_dns_server",
    "data_s3_server",
    "management_snmp_server",
    "management_bgp",
    "management_log_forwarding",
    "management_ntp_server",
    "management_portmap",
    "management_rsh_server",
    "management_telnet_server",
    "backup_ndmp_control",
}


def make_defaults(world: World, ipspace: str, svm: str | None) -> None:
    """Make the policies that an SVM, or the cluster, has from the beginning."""
    for name, services in (OF_THE_CLUSTER if svm is None else OF_AN_SVM).items():
        world[ServicePolicy].put(
            ServicePolicy(
                uuid=world.new_uuid(), name=name, ipspace=ipspace, services=services, svm=svm, is_built_in=True
            )
        )


def policy_named(world: World, svm: str | None, name: str) -> ServicePolicy | None:
    """Return a policy of an SVM, or of the cluster."""
    return next(iter(world[ServicePolicy].where(svm=svm, name=name)), None)


@rows("ip_service_policy")
def service_policies(world: World) -> Iterable[Row]:
    """Show the policies."""
    for one in world[ServicePolicy]:
        yield Row(shown(one), partial(_shown, world, one), one.svm)


def _shown(world: World, one: ServicePolicy) -> JsonObject:
    record: JsonObject = {
        **shown(one),
        "scope": "svm" if one.svm is not None else "cluster",
        "ipspace": shown(world[Ipspace][one.ipspace]),
        "services": list(one.services),
        "is_built_in": one.is_built_in,
    }
    return record if one.svm is None else {**record, **of_svm(world, one.svm)}


def _checked(services: list[str]) -> tuple[str, ...]:
    for service in services:
        if service not in _SERVICES:
            raise invalid(service, "services")
    return tuple(dict.fromkeys(services))


@operation("POST /network/ip/service-policies")
def create_service_policy(world: World, call: Call) -> Outcome:
    """Make a policy for an SVM, or for the cluster where a body names an IPspace alone."""
    for_cluster = "svm" not in call.body and call.svm is None
    svm = None if for_cluster else asked_svm(world, call, no_name=1967146, no_uuid=1967147)
    ipspace = asked_ipspace(world, call.body).uuid if svm is None else svm.ipspace
    name, owner = get(call.body, "name"), svm.uuid if svm is not None else None
    if name.startswith("default-"):
        raise Refused(53281931, 'The name of a service policy must not start with "default-".', "name")
    if policy_named(world, owner, name) is not None:
        raise Refused(53281946, f'Service policy "{name}" already exists.', "name")
    services = _checked(get(call.body, "services", []))
    made = ServicePolicy(uuid=world.new_uuid(), name=name, ipspace=ipspace, services=services, svm=owner)
    return Done({"uuid": world[ServicePolicy].put(made).uuid})


@operation("PATCH /network/ip/service-policies/{uuid}")
def change_service_policy(world: World, call: Call) -> Outcome:
    """Rename a policy, or change its services, which its LIFs then offer."""
    one = world[ServicePolicy][call.keys["uuid"]]
    name = get(call.body, "name", one.name)
    if name != one.name:
        if one.is_built_in:
            raise Refused(53281930, f'Service policy "{one.name}" is the system\'s own and cannot be renamed.', "name")
        if policy_named(world, one.svm, name) is not None:
            raise Refused(53281946, f'Service policy "{name}" already exists.', "name")
    services = _checked(get(call.body, "services", list(one.services)))
    world[ServicePolicy].change(one.uuid, name=name, services=services)
    return Done()


@operation("DELETE /network/ip/service-policies/{uuid}")
def delete_service_policy(world: World, call: Call) -> Outcome:
    """Remove a policy that no LIF has."""
    one = world[ServicePolicy][call.keys["uuid"]]
    if one.is_built_in:
        raise Refused(53281927, f'Service policy "{one.name}" is the system\'s own.', "uuid")
    if world[Lif].where(policy=one.uuid):
        raise Refused(53281928, f'Service policy "{one.name}" is in use by LIFs.', "uuid")
    world[ServicePolicy].remove(one.uuid)
    return Done()
