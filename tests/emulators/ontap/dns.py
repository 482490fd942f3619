"""DNS clients of SVMs; the servers are asked before they are taken."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from tests.emulators.ontap.addresses import address_of
from tests.emulators.ontap.errors import Refused, duplicate, invalid
from tests.emulators.ontap.operations import Call, Done, Outcome, Row, operation, rows
from tests.emulators.ontap.service_settings import merged, without
from tests.emulators.ontap.surroundings import directory_of
from tests.emulators.ontap.svm_lookup import made_svm, of_svm
from tests.emulators.ontap.svm_records import DnsService, Svm

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World

_MOST_DOMAINS: Final = 6
_MOST_SERVERS: Final = 3
_DEFAULTS: Final[JsonObject] = {
    "attempts": 1,
    "timeout": 2,
    "packet_query_match": True,
    "source_address_match": True,
    "tld_query_enabled": True,
    "scope": "svm",
    "dynamic_dns": {"enabled": False, "use_secure": False, "time_to_live": "P1D"},
}
_NOT_KEPT: Final = ("svm", "uuid", "skip_config_validation", "dynamic_dns.skip_fqdn_validation")


@rows("dns")
def dns_clients(world: World) -> Iterable[Row]:
    """Show the DNS clients."""
    for one in world[DnsService]:
        keys = {"uuid": one.uuid, "svm.uuid": one.uuid, "svm.name": world[Svm][one.uuid].name}
        yield Row(keys, partial(_shown, world, one), one.uuid)


def _shown(world: World, one: DnsService) -> JsonObject:
    return {"uuid": one.uuid, **one.settings, **of_svm(world, one.uuid)}


def _checked(world: World, settings: JsonObject, *, skip: bool) -> JsonObject:
    domains, servers = settings.get("domains", []), settings.get("servers", [])
    if len(domains) > _MOST_DOMAINS:
        raise Refused(8847361, f"More than {_MOST_DOMAINS} domains were given.", "domains")
    if len(servers) > _MOST_SERVERS:
        raise Refused(8847362, f"More than {_MOST_SERVERS} name servers were given.", "servers")
    if not servers:
        raise Refused(23724157, "At least one name server is needed.", "servers")
    if not domains:
        raise Refused(262212, 'Field "domains" is required.', "domains")
    silent = {address_of(text) for text in directory_of(world).silent_name_servers}
    for server in servers:
        if address_of(server) is None:
            raise invalid(server, "servers")
        if not skip and address_of(server) in silent:
            raise Refused(8847399, f'The name server "{server}" does not respond.', "servers")
    return settings


@operation("POST /name-services/dns")
def create_dns(world: World, call: Call) -> Outcome:
    """Make the DNS client of an SVM."""
    svm = made_svm(world, call)
    if svm.uuid in world[DnsService]:
        raise duplicate(target="svm.uuid")
    settings = merged(_DEFAULTS, without(call.body, _NOT_KEPT))
    checked = _checked(world, settings, skip=call.body.get("skip_config_validation", False))
    world[DnsService].put(DnsService(uuid=svm.uuid, settings=checked))
    return Done({"uuid": svm.uuid})


@operation("PATCH /name-services/dns/{uuid}")
def change_dns(world: World, call: Call) -> Outcome:
    """Change the DNS client of an SVM."""
    one = world[DnsService][call.keys["uuid"]]
    settings = merged(one.settings, without(call.body, _NOT_KEPT))
    checked = _checked(world, settings, skip=call.body.get("skip_config_validation", False))
    world[DnsService].change(one.uuid, settings=checked)
    return Done()


@operation("DELETE /name-services/dns/{uuid}")
def delete_dns(world: World, call: Call) -> Outcome:
    """Remove the DNS client of an SVM."""
    world[DnsService].remove(call.keys["uuid"])
    return Done()
