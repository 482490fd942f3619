"""CIFS servers of SVMs: joining a domain of Active Directory, and leaving it."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Final

from tests.emulators.ontap.access_records import ADMINISTRATIVE, CifsShare
from tests.emulators.ontap.active_directory import FIXTURE
from tests.emulators.ontap.errors import Refused, gone
from tests.emulators.ontap.licenses import demand_license
from tests.emulators.ontap.lifs import is_serving
from tests.emulators.ontap.network_records import Lif
from tests.emulators.ontap.operations import Call, Done, Job, Outcome, Row, get, operation, rows
from tests.emulators.ontap.service_settings import defaults, merged, without
from tests.emulators.ontap.surroundings import directory_of, domain_by_dns, set_directory
from tests.emulators.ontap.svm_lookup import made_svm, of_svm
from tests.emulators.ontap.svm_records import CifsService, LocalCifsUser, PreferredController, Svm

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.active_directory import Domain
    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World

JOIN_SECONDS: Final = 12.0
LEAVE_SECONDS: Final = 4.0
_CREATION: Final = "POST /protocols/cifs/services"
_SECRET: Final = ("svm", "force", "ad_domain.user", "ad_domain.password", "client_secret", "proxy_password")


@rows("cifs_service")
def cifs_services(world: World) -> Iterable[Row]:
    """Show the CIFS servers."""
    for one in world[CifsService]:
        keys = {"svm.uuid": one.uuid, "svm.name": world[Svm][one.uuid].name, "name": one.name}
        yield Row(keys, partial(_shown, world, one), one.uuid)


def _shown(world: World, one: CifsService) -> JsonObject:
    style = "domain" if one.domain is not None else "workgroup"
    return {**one.settings, **of_svm(world, one.uuid), "auth-style": style}


@operation("POST /protocols/cifs/services")
def create_cifs_service(world: World, call: Call) -> Outcome:
    """Begin to make the CIFS server of an SVM, and to join it to its domain."""
    svm = made_svm(world, call)
    demand_license(world, "cifs")
    if svm.uuid in world[CifsService]:
        raise Refused(655477, f'SVM "{svm.name}" already has a CIFS server.', "svm")
    name = str(get(call.body, "name", "")).upper()
    _check_name(world, name)
    joins = "workgroup" not in call.body
    for field in ("fqdn", "user", "password") if joins else ():
        if not get(call.body, f"ad_domain.{field}"):
            raise Refused(262212, f'Field "ad_domain.{field}" is required.', f"ad_domain.{field}")
    work = partial(_join if joins else _make, uuid=svm.uuid, name=name, body=call.body)
    if joins:
        work = partial(work, force=call.flag("force"))
    return Job(JOIN_SECONDS if joins else 1.0, work, {"svm.uuid": svm.uuid}, svm=svm.uuid)


def _check_name(world: World, name: str) -> None:
    if not name:
        raise Refused(262212, 'Field "name" is required.', "name")
    if not re.fullmatch(r"[A-Z0-9!@#$%^&()_'{}~-]+", name) or name.isdigit():
        raise Refused(655563, f'The NetBIOS name "{name}" has characters that are not allowed.', "name")
    if any(one.name == name for one in world[CifsService]):
        raise Refused(655538, f'The NetBIOS name "{name}" is already used by another CIFS server.', "name")


def _join(world: World, uuid: str, name: str, body: JsonObject, *, force: bool) -> None:
    """Talk to the domain, and make the server where that went well."""
    asked = body["ad_domain"]
    domain = _reached(world, uuid, asked["fqdn"])
    if not domain.accepts(asked["user"], asked["password"]):
        message = f'Could not authenticate as "{asked["user"]}": the user name or the password is wrong.'
        raise Refused(656464, message, "ad_domain.user")
    unit = asked.get("organizational_unit", "CN=Computers")
    if not domain.has_unit(unit):
        raise Refused(656467, f'The organizational unit "{unit}" does not exist.', "ad_domain.organizational_unit")
    if name in domain.machines and not force:
        raise Refused(656465, f'A machine account "{name}" already exists in "{domain.fqdn}".', "name")
    set_directory(world, directory_of(world).with_domain(domain.with_machine(name)))
    _make(world, uuid, name, {**body, "ad_domain": {"organizational_unit": unit, **asked, "fqdn": domain.fqdn.upper()}})


def _reached(world: World, svm: str, fqdn: str) -> Domain:
    lifs = [lif for lif in world[Lif].where(svm=svm) if is_serving(world, lif)]
    domain = domain_by_dns(world, svm, fqdn)
    if not lifs or domain is None:
        raise Refused(656466, f'No domain controller of "{fqdn}" was reached.', "ad_domain.fqdn")
    return domain


def seed(world: World) -> None:
    """Put up the domain, with the SVM of the fixture in it."""
    set_directory(world, FIXTURE)
    svm = world[Svm].where(name="vs1")[0]
    _make(world, svm.uuid, "VS1", {"ad_domain": {"fqdn": "EXAMPLE.COM", "organizational_unit": "CN=Computers"}})


def _make(world: World, uuid: str, name: str, body: JsonObject) -> None:
    given = {**without(body, _SECRET), "name": name}
    settings = merged(without(defaults(_CREATION, "cifs_service"), ("ad_domain",)), given)
    domain = get(settings, "ad_domain.fqdn")
    world[CifsService].put(CifsService(uuid=uuid, settings=settings, domain=domain))
    for share in ADMINISTRATIVE:
        world[CifsShare].put(CifsShare(uuid=uuid, name=share, path="/", administrative=True))


@operation("PATCH /protocols/cifs/services/{svm.uuid}")
def change_cifs_service(world: World, call: Call) -> Outcome:
    """Change the CIFS server of an SVM; its name and its domain take credentials, as they are changed in the domain too."""
    one = world[CifsService][call.keys["svm.uuid"]]
    name = str(get(call.body, "name", one.name)).upper()
    if name != one.name:
        _check_name(world, name)
    if one.domain is not None and (name != one.name or "ad_domain" in call.body):
        domain = _reached(world, one.uuid, one.domain)
        _check_credentials(domain, call.body)
        changed = domain.without_machine(one.name).with_machine(name)
        set_directory(world, directory_of(world).with_domain(changed))
    settings = {**merged(one.settings, without(call.body, _SECRET)), "name": name}
    world[CifsService].change(one.uuid, settings=settings)
    return Done()


def _check_credentials(domain: Domain, body: JsonObject) -> None:
    user, password = get(body, "ad_domain.user", ""), get(body, "ad_domain.password", "")
    if not domain.accepts(user, password):
        raise Refused(
            656464, f'Could not authenticate as "{user}": the user name or the password is wrong.', "ad_domain.user"
        )


@operation("DELETE /protocols/cifs/services/{svm.uuid}")
def delete_cifs_service(world: World, call: Call) -> Outcome:
    """Begin to remove the CIFS server of an SVM: it leaves its domain, or with `force` is removed on this side at least."""
    one = world[CifsService][call.keys["svm.uuid"]]
    force = call.flag("force")
    has_credentials = get(call.body, "ad_domain.user") and get(call.body, "ad_domain.password")
    if one.domain is not None and not has_credentials and not force:
        raise Refused(
            655525, "User and password of the domain are required to remove the machine account.", "ad_domain"
        )
    return Job(LEAVE_SECONDS, partial(_leave, uuid=one.uuid, body=call.body, force=force), svm=one.uuid)


def _leave(world: World, uuid: str, body: JsonObject, *, force: bool) -> None:
    one = world[CifsService][uuid]
    if one.domain is not None and "ad_domain" in body:
        try:
            domain = _reached(world, uuid, one.domain)
            _check_credentials(domain, body)
            set_directory(world, directory_of(world).with_domain(domain.without_machine(one.name)))
        except Refused:
            if not force:
                raise
    world[CifsService].remove(uuid)
    for share in world[CifsShare].where(uuid=uuid):
        world[CifsShare].remove(share.key)
    for user in world[LocalCifsUser].where(uuid=uuid):
        world[LocalCifsUser].remove(user.key)


@rows("cifs_domain")
def cifs_domains(world: World) -> Iterable[Row]:
    """Show how CIFS servers find their domains; of an SVM that has none yet there may be preferred controllers."""
    for svm in world[Svm]:
        yield Row({"svm.uuid": svm.uuid, "svm.name": svm.name}, partial(_domain_shown, world, svm.uuid), svm.uuid)


def _domain_shown(world: World, svm: str) -> JsonObject:
    record, service = of_svm(world, svm), world[CifsService].get(svm)
    if service is not None:
        record["server_discovery_mode"] = service.discovery
    preferred = [entry.settings for entry in world[PreferredController].where(uuid=svm)]
    return {**record, "preferred_dcs": preferred} if preferred else record


@operation("PATCH /protocols/cifs/domains/{svm.uuid}")
def change_cifs_domain(world: World, call: Call) -> Outcome:
    """Change how a CIFS server finds its domain controllers."""
    service = world[CifsService].get(call.keys["svm.uuid"])
    if service is None:
        raise gone(target="svm.uuid")
    world[CifsService].change(service.uuid, discovery=get(call.body, "server_discovery_mode", service.discovery))
    return Done()


@rows("cifs_domain_preferred_dc")
def preferred_controllers(world: World) -> Iterable[Row]:
    """Show the domain controllers that are to be asked first."""
    for one in world[PreferredController]:
        keys = {"svm.uuid": one.uuid, "svm.name": world[Svm][one.uuid].name, **one.settings}
        yield Row(keys, partial(_controller_shown, world, one), one.uuid)


def _controller_shown(world: World, one: PreferredController) -> JsonObject:
    known = [domain for domain in directory_of(world).domains if domain.is_answering]
    reachable = any(one.settings["server_ip"] in domain.controllers for domain in known)
    return {**of_svm(world, one.uuid), **one.settings, "status": {"reachable": reachable}}


_PREFERRED: Final = "/protocols/cifs/domains/{svm.uuid}/preferred-domain-controllers"


@operation(f"POST {_PREFERRED}")
def add_preferred_controller(world: World, call: Call) -> Outcome:
    """Name a domain controller that is to be asked first; there need not be a CIFS server yet."""
    fqdn, address = call.body.get("fqdn"), call.body.get("server_ip")
    for field, value in (("fqdn", fqdn), ("server_ip", address)):
        if not value:
            raise Refused(262212, f'Field "{field}" is required.', field)
    settings = {"fqdn": fqdn, "server_ip": address}
    uuid = call.keys["svm.uuid"]
    world[PreferredController].put(PreferredController(uuid=uuid, name=f"{fqdn}/{address}", settings=settings))
    return Done({"svm.uuid": uuid, **settings})


@operation(f"DELETE {_PREFERRED}/{{fqdn}}/{{server_ip}}")
def remove_preferred_controller(world: World, call: Call) -> Outcome:
    """Ask a domain controller first no more."""
    world[PreferredController].remove((call.keys["svm.uuid"], f"{call.keys['fqdn']}/{call.keys['server_ip']}"))
    return Done()
