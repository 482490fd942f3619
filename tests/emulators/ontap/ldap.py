"""LDAP clients of SVMs; the servers are asked before they are taken."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from tests.emulators.ontap.addresses import address_of
from tests.emulators.ontap.errors import Refused, duplicate
from tests.emulators.ontap.operations import Call, Done, Outcome, Row, operation, rows
from tests.emulators.ontap.service_settings import merged, without
from tests.emulators.ontap.surroundings import directory_of, domain_by_dns
from tests.emulators.ontap.svm_lookup import made_svm, of_svm
from tests.emulators.ontap.svm_records import DnsService, LdapService, Svm

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World

_SCHEMAS: Final = ("AD-IDMU", "AD-SFU", "MS-AD-BIS", "RFC-2307")
_DEFAULTS: Final[JsonObject] = {
    "port": 389,
    "schema": "RFC-2307",
    "base_scope": "subtree",
    "min_bind_level": "sasl",
    "session_security": "none",
    "query_timeout": 3,
    "use_start_tls": False,
    "ldaps_enabled": False,
    "referral_enabled": False,
    "bind_as_cifs_server": False,
    "try_channel_binding": True,
}
_NOT_KEPT: Final = ("svm", "bind_password", "skip_config_validation")


@rows("ldap_service")
def ldap_clients(world: World) -> Iterable[Row]:
    """Show the LDAP clients, never their passwords."""
    for one in world[LdapService]:
        keys = {"svm.uuid": one.uuid, "svm.name": world[Svm][one.uuid].name}
        yield Row(keys, partial(_shown, world, one), one.uuid)


def _shown(world: World, one: LdapService) -> JsonObject:
    return {**one.settings, **of_svm(world, one.uuid), "status": {"state": "up", "code": 0}, "is_owner": True}


def _check(world: World, svm: str, settings: JsonObject, body: JsonObject) -> None:
    if settings.get("servers") and settings.get("ad_domain"):
        raise Refused(262186, 'Fields "servers" and "ad_domain" exclude each other.', "servers")
    if not settings.get("servers") and not settings.get("ad_domain"):
        raise Refused(262212, 'One of the fields "servers" and "ad_domain" is required.', "servers")
    if settings["schema"] not in _SCHEMAS:
        raise Refused(4915203, f'The LDAP schema "{settings["schema"]}" does not exist.', "schema")
    if body.get("skip_config_validation", False):
        return
    if settings.get("ad_domain"):
        _check_domain(world, svm, settings, body)
    else:
        _check_servers(world, svm, settings, body)


def _check_domain(world: World, svm: str, settings: JsonObject, body: JsonObject) -> None:
    domain = domain_by_dns(world, svm, settings["ad_domain"])
    if domain is None:
        raise Refused(4915258, f'No LDAP server of the domain "{settings["ad_domain"]}" was reached.', "ad_domain")
    if "bind_password" in body and not domain.accepts(settings.get("bind_dn", ""), body["bind_password"]):
        raise Refused(4915265, "The bind DN or the bind password is wrong.", "bind_dn")


def _check_servers(world: World, svm: str, settings: JsonObject, body: JsonObject) -> None:
    directory = directory_of(world)
    for server in settings["servers"]:
        if address_of(server) is None and svm not in world[DnsService]:
            raise Refused(4915231, f'The name of the LDAP server "{server}" was not resolved.', "servers")
    if not set(settings["servers"]) & set(directory.ldap_servers):
        raise Refused(4915258, "None of the LDAP servers was reached.", "servers")
    if "bind_password" in body and (settings.get("bind_dn", ""), body["bind_password"]) not in directory.ldap_binds:
        raise Refused(4915265, "The bind DN or the bind password is wrong.", "bind_dn")


@operation("POST /name-services/ldap")
def create_ldap(world: World, call: Call) -> Outcome:
    """Make the LDAP client of an SVM."""
    svm = made_svm(world, call)
    if svm.uuid in world[LdapService]:
        raise duplicate(target="svm.uuid")
    settings = merged(_DEFAULTS, without(call.body, _NOT_KEPT))
    _check(world, svm.uuid, settings, call.body)
    world[LdapService].put(LdapService(uuid=svm.uuid, settings=settings))
    return Done({"svm.uuid": svm.uuid})


@operation("PATCH /name-services/ldap/{svm.uuid}")
def change_ldap(world: World, call: Call) -> Outcome:
    """Change the LDAP client of an SVM."""
    one = world[LdapService][call.keys["svm.uuid"]]
    settings = merged(one.settings, without(call.body, _NOT_KEPT))
    for given, other in (("servers", "ad_domain"), ("ad_domain", "servers")):
        if given in call.body and other not in call.body:
            settings.pop(other, None)
    _check(world, one.uuid, settings, call.body)
    world[LdapService].change(one.uuid, settings=settings)
    return Done()


@operation("DELETE /name-services/ldap/{svm.uuid}")
def delete_ldap(world: World, call: Call) -> Outcome:
    """Remove the LDAP client of an SVM."""
    world[LdapService].remove(call.keys["svm.uuid"])
    return Done()
