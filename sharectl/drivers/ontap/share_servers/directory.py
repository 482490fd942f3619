"""Security services as an SVM has them: DNS, and at most one each of Active Directory, LDAP and Kerberos. Pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.drivers.base import DriverError
from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sharectl.model.share_networks import SecurityServiceSpec

ACTIVE_DIRECTORY: Final = "active_directory"
LDAP: Final = "ldap"
KERBEROS: Final = "kerberos"

_NEEDED: Final[Mapping[str, Mapping[str, str]]] = {
    ACTIVE_DIRECTORY: {"domain": "domain", "dns_ip": "dnsIp", "user": "user", "password": "password"},
    LDAP: {},
    KERBEROS: {"domain": "domain", "server": "server", "user": "user", "password": "password"},
}
"""What a service of each type cannot do without, by its name in the state and as it is written."""
_MOST_DNS_SERVERS: Final = 3


class ServiceProblem(NamedTuple):
    """Why a share server cannot join a directory service as it is written."""

    service: str
    field: str
    summary: str
    remedy: str


@dataclass(frozen=True, slots=True)
class ActiveDirectory:
    """A domain that the SVM's CIFS server joins; `password` is a reference. `controller` is asked before others."""

    domain: str
    user: str
    password: Mapping[str, str]
    organizational_unit: str | None = None
    controller: str | None = None


@dataclass(frozen=True, slots=True)
class Ldap:
    """A directory of UNIX users: on `server`, or in the Active Directory `domain`."""

    server: str | None
    domain: str | None
    user: str | None = None
    password: Mapping[str, str] | None = None
    base: str | None = None


@dataclass(frozen=True, slots=True)
class Kerberos:
    """A realm for NFS, with the account that makes the servers' principals."""

    realm: str
    controller: str
    user: str
    password: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Directory:
    """All that an SVM joins."""

    dns_domains: tuple[str, ...] = ()
    dns_servers: tuple[str, ...] = ()
    active_directory: ActiveDirectory | None = None
    ldap: Ldap | None = None
    kerberos: Kerberos | None = None

    @property
    def types(self) -> tuple[str, ...]:
        """The types of the services, sorted."""
        found = {ACTIVE_DIRECTORY: self.active_directory, KERBEROS: self.kerberos, LDAP: self.ldap}
        return tuple(sorted(name for name, service in found.items() if service is not None))


def service_problems(services: Sequence[SecurityServiceSpec]) -> Iterator[ServiceProblem]:
    """Yield what keeps an SVM from joining these services together."""
    seen: dict[str, str] = {}
    for service in services:
        other = seen.setdefault(service.service_type, service.name)
        if other != service.name:
            summary = f"an SVM joins one service of the type {service.service_type}, and {other!r} is one as well"
            yield ServiceProblem(service.name, "type", summary, "keep one of the two on the share network")
        for field, written in _NEEDED.get(service.service_type, {}).items():
            if field not in service.config:
                summary = f"{service.name!r} has no {written}, without which an SVM cannot join it"
                yield ServiceProblem(service.name, written, summary, f"add {written}")
        yield from _of_ldap(service) if service.service_type == LDAP else ()
        yield from _of_kerberos(service) if service.service_type == KERBEROS else ()
    addresses = dict.fromkeys(service.config["dns_ip"] for service in services if "dns_ip" in service.config)
    if len(addresses) > _MOST_DNS_SERVERS:
        summary = f"an SVM has at most {_MOST_DNS_SERVERS} DNS servers, and these services name {len(addresses)}"
        yield ServiceProblem(services[-1].name, "dnsIp", summary, "let services share a DNS server")


def _of_ldap(service: SecurityServiceSpec) -> Iterator[ServiceProblem]:
    config = service.config
    if ("server" in config) == ("domain" in config):
        summary = f"{service.name!r} needs a server, or the domain of an Active Directory, and not both"
        yield ServiceProblem(service.name, "server", summary, "write either server or domain")
    elif "domain" in config and "dns_ip" not in config:
        summary = f"{service.name!r} is found by its domain, and has no dnsIp of a server that knows it"
        yield ServiceProblem(service.name, "domain", summary, "add dnsIp, or write server in place of domain")
    elif "dns_ip" not in config and not _is_address(config["server"]):
        summary = f"{service.name!r} names its server {config['server']!r}, and has no dnsIp of a server that knows where that is"
        yield ServiceProblem(service.name, "server", summary, "add dnsIp, or write the address of the server")
    if ("user" in config) != ("password" in config):
        summary = f"{service.name!r} has a user without a password, or a password without a user"
        yield ServiceProblem(
            service.name, "user", summary, "write both, or none where the directory lets everybody read"
        )


def _of_kerberos(service: SecurityServiceSpec) -> Iterator[ServiceProblem]:
    server = service.config.get("server")
    if server is not None and not _is_address(server):
        summary = (
            f"{server!r} is not an address, and an SVM looks for the key distribution centre of a realm by its address"
        )
        yield ServiceProblem(service.name, "server", summary, "write its IPv4 or IPv6 address")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def directory_of(services: Sequence[SecurityServiceSpec]) -> Directory:
    """Return what an SVM is to join. Raises DriverError where it cannot."""
    for problem in service_problems(services):
        message = f"{problem.summary}; {problem.remedy}"
        raise DriverError(message)
    by_type = {service.service_type: service.config for service in services}
    domains = (str(service.config["domain"]).lower() for service in services if "domain" in service.config)
    servers = dict.fromkeys(str(service.config["dns_ip"]) for service in services if "dns_ip" in service.config)
    active_directory, ldap, kerberos = (by_type.get(name) for name in (ACTIVE_DIRECTORY, LDAP, KERBEROS))
    return Directory(
        dns_domains=tuple(dict.fromkeys(domains)) if servers else (),
        dns_servers=tuple(servers),
        active_directory=None
        if active_directory is None
        else ActiveDirectory(
            active_directory["domain"],
            active_directory["user"],
            active_directory["password"],
            active_directory.get("ou"),
            active_directory.get("server"),
        ),
        ldap=None
        if ldap is None
        else Ldap(ldap.get("server"), ldap.get("domain"), ldap.get("user"), ldap.get("password"), ldap.get("ou")),
        kerberos=None
        if kerberos is None
        else Kerberos(kerberos["domain"].upper(), kerberos["server"], kerberos["user"], kerberos["password"]),
    )


def known_directory_of(services: Sequence[SecurityServiceSpec]) -> Directory:
    """Return what an SVM has joined by services that may be written otherwise today; nothing where they cannot be made out."""
    try:
        return directory_of(services)
    except DriverError:
        return Directory()
