"""What stands around the array: directories, name servers, LDAP servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.emulators.ontap.active_directory import Directory, Domain, resolved
from tests.emulators.ontap.svm_records import CifsService, DnsService, LocalCifsUser, Surroundings

if TYPE_CHECKING:
    from tests.emulators.ontap.world import World

_KEY = "surroundings"


def directory_of(world: World) -> Directory:
    """Return the directories and servers that the array can ask."""
    return world[Surroundings][_KEY].directory


def set_directory(world: World, directory: Directory) -> None:
    """Change them."""
    world[Surroundings].put(Surroundings(uuid=_KEY, directory=directory))


def domain_by_dns(world: World, svm: str, fqdn: str) -> Domain | None:
    """Return a domain whose controllers an SVM finds by its name servers, and which answer; or None."""
    directory, client = directory_of(world), world[DnsService].get(svm)
    domain = directory.domain(fqdn)
    if client is None or domain is None or not domain.is_answering or not domain.controllers:
        return None
    asked = set(client.settings["servers"]).difference(directory.silent_name_servers)
    return domain if asked & set(domain.name_servers) else None


def account_resolved(world: World, svm: str, name: str) -> str | None:
    """Return the name of an account as the CIFS server of an SVM spells it, or None where nobody knows it."""
    service = world[CifsService].get(svm)
    if service is None:
        return None
    domain = directory_of(world).domain(service.domain) if service.domain is not None else None
    local = tuple(str(user.settings["name"]) for user in world[LocalCifsUser].where(uuid=svm))
    return resolved(domain if domain is not None and domain.is_answering else None, service.name, local, name)


def account_shown(world: World, svm: str, asked: str, known: str) -> str:
    """Return how an entry shows an account that was found under a name: with its domain only if it was named with it, unless set."""
    domain = directory_of(world).domain(world[CifsService][svm].domain or "")
    of_domain = domain is not None and known.startswith(f"{domain.netbios}\\")
    is_bare = "\\" not in asked and "@" not in asked
    return known.rpartition("\\")[2] if is_bare and of_domain and not world.settings.accounts_get_domain else known
