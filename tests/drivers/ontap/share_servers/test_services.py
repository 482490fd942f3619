"""Directory services of share servers: joined, changed and left, with the accounts of the one before."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.base import ConflictError, DriverError, ShareInUseError, TransientError
from sharectl.drivers.ontap.share_servers.names import netbios_name
from sharectl.model.share_networks import SecurityServiceSpec
from tests.drivers.ontap.share_servers.arrays import array_of, domain, new_request, ref_of, servers_of
from tests.emulators.ontap.surroundings import directory_of, set_directory

if TYPE_CHECKING:
    from sharectl.model.canonical import JsonObject
    from sharectl.model.requests import ShareServerRequest
    from tests.emulators.ontap.active_directory import Domain
    from tests.emulators.ontap.server import Emulator


def machines(emulator: Emulator) -> tuple[str, ...]:
    """Return the machine accounts in the domain, but those of the fixture."""
    (found,) = directory_of(emulator.world).domains
    return tuple(name for name in found.machines if name not in {"TAKEN", "VS1"})


def change_domain(emulator: Emulator, **changes: Any) -> None:  # noqa: ANN401 - of any field
    """Let somebody change the domain."""
    with emulator.world.lock:
        directory = directory_of(emulator.world)
        (known,) = directory.domains
        changed: Domain = replace(known, **changes)
        set_directory(emulator.world, replace(directory, domains=(changed,)))


def of_svm(emulator: Emulator, path: str, request: ShareServerRequest, *fields: str) -> list[JsonObject]:
    """Return the records of a service of the SVM."""
    name = f"sharectl_{request.resource_id.replace('-', '')}"
    return array_of(emulator).records(path, query={"svm.name": name}, fields=fields)


def ldap(**config: Any) -> SecurityServiceSpec:  # noqa: ANN401 - the config of a service
    """Return a directory of UNIX users."""
    return SecurityServiceSpec("people", "ldap", {"server": "10.0.0.4", **config})


def kerberos(realm: str = "example.com") -> SecurityServiceSpec:
    """Return a realm."""
    config = {"domain": realm, "server": "10.0.0.2", "user": "joiner", "password": {"env": "joiner"}}
    return SecurityServiceSpec("realm", "kerberos", config)


def test_a_server_moves_as_many_bytes_at_once_as_the_backend_says(emulator: Emulator) -> None:
    """Where the setting changes, a server that is there is not well until it is put right, in place."""
    request = new_request()
    servers_of(emulator).create(request)

    def sizes() -> list[int]:
        found = of_svm(emulator, "protocols/nfs/services", request, "transport.tcp_max_transfer_size")
        return [each["transport"]["tcp_max_transfer_size"] for each in found]

    assert sizes() == [65536]
    larger = servers_of(emulator, transfer_bytes=262144)
    (found,) = larger.list([request.resource_id])
    assert (found.healthy, found.problem) == (False, "its NFS server moves 65536 bytes at once, not 262144")
    assert larger.create(request).healthy
    assert sizes() == [262144]
    (found,) = larger.list([request.resource_id])
    assert found.healthy


# Active Directory


def test_a_server_joins_a_domain_and_leaves_it(emulator: Emulator) -> None:
    """With its unit, and a controller that is asked before others; nothing of it is left in the domain."""
    before = emulator.dump()
    request = new_request(domain(ou="OU=Filers,OU=Storage", server="10.0.0.3"))
    made = servers_of(emulator).create(request)
    assert made.healthy, made.problem
    assert machines(emulator) == (netbios_name(request.resource_id),)
    (service,) = of_svm(emulator, "protocols/cifs/services", request, "ad_domain", "enabled")
    assert service["enabled"]
    assert service["ad_domain"]["organizational_unit"] == "OU=Filers,OU=Storage"
    path = ("protocols/cifs/domains", made.backend_id, "preferred-domain-controllers")
    assert [each["server_ip"] for each in array_of(emulator).records(path)] == ["10.0.0.3"]
    assert servers_of(emulator).create(request) == made
    servers_of(emulator).delete(ref_of(request, made))
    assert machines(emulator) == ()
    assert emulator.dump() == before


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"password": {"env": "wrong"}}, "656464"),
        ({"ou": "OU=Nowhere"}, "656467"),
        ({"domain": "other.example"}, "656466"),
    ],
)
def test_what_the_domain_refuses_is_told_once(emulator: Emulator, config: dict[str, Any], said: str) -> None:
    """A password is tried once, lest the account be locked; a domain that is not reached may be later. What was made is swept."""
    before = emulator.dump()
    request = new_request(domain(**config))
    with pytest.raises(DriverError, match=said) as refused:
        servers_of(emulator).create(request)
    assert isinstance(refused.value, TransientError) == (said == "656466")
    assert emulator.calls.counted()["POST /protocols/cifs/services"] == 1
    assert "nonsense" not in str(refused.value)
    servers_of(emulator).delete(ref_of(request))
    assert emulator.dump() == before


def test_an_account_of_that_name_is_overwritten_only_where_told(emulator: Emulator) -> None:
    """It may be somebody else's."""
    request = new_request(domain())
    change_domain(emulator, machines=("TAKEN", "VS1", netbios_name(request.resource_id)))
    with pytest.raises(DriverError, match=r"machineAccounts\.existing: overwrite"):
        servers_of(emulator).create(request)
    assert servers_of(emulator, overwrites_accounts=True).create(request).healthy


def test_an_account_that_cannot_be_removed_stays_only_where_told(emulator: Emulator) -> None:
    """Else the server stays too, and the removal can be repeated."""
    request = new_request(domain())
    made = servers_of(emulator).create(request)
    reference = ref_of(request, made)
    wrong = replace(reference, security_services=(domain(password={"env": "wrong"}),))
    for known in (wrong, replace(reference, security_services=())):
        with pytest.raises(DriverError, match=r"machineAccounts\.onRemoval: leave"):
            servers_of(emulator).delete(known)
    change_domain(emulator, is_answering=False)
    with pytest.raises(TransientError):
        servers_of(emulator).delete(reference)
    assert machines(emulator) == (netbios_name(request.resource_id),)
    servers_of(emulator, may_leave_accounts=True).delete(reference)
    assert [server for server in servers_of(emulator).list() if server.resource_id is not None] == []
    assert machines(emulator) == (netbios_name(request.resource_id),)


def test_a_server_joins_and_leaves_a_domain_later(emulator: Emulator) -> None:
    """As its network's manifest says; the DNS servers come and go with it."""
    servers = servers_of(emulator)
    request = new_request()
    servers.create(request)
    joined = replace(request, security_services=(domain(),))
    assert servers.update(joined).healthy
    assert len(machines(emulator)) == 1
    assert of_svm(emulator, "name-services/dns", request, "servers")[0]["servers"] == ["10.0.0.2"]
    other = domain(dns_ip="10.0.0.3")
    servers.update(replace(joined, security_services=(other,), former_security_services=(domain(),)))
    assert of_svm(emulator, "name-services/dns", request, "servers")[0]["servers"] == ["10.0.0.3"]
    servers.update(replace(request, former_security_services=(other,)))
    assert machines(emulator) == ()
    assert of_svm(emulator, "name-services/dns", request) == []
    assert of_svm(emulator, "protocols/cifs/services", request) == []


def test_a_domain_whose_users_have_shares_is_not_left(emulator: Emulator) -> None:
    """They would be locked out."""
    servers = servers_of(emulator)
    request = new_request(domain())
    made = servers.create(request)
    array, svm = array_of(emulator), f"sharectl_{request.resource_id.replace('-', '')}"
    acls = [{"user_or_group": "EXAMPLE\\bob", "permission": "read"}]
    array.post("protocols/cifs/shares", {"svm": {"name": svm}, "name": "team", "path": "/", "acls": acls})
    with pytest.raises(ShareInUseError, match="team"):
        servers.update(replace(request, security_services=(), former_security_services=(domain(),)))
    assert servers.list([request.resource_id]) == [made]


def test_a_cifs_server_that_is_gone_or_off_is_mended(emulator: Emulator) -> None:
    """The listing knows from the SVM's comment that there is to be one."""
    servers = servers_of(emulator)
    request = new_request(domain())
    made = servers.create(request)
    array = array_of(emulator)
    array.patch(("protocols/cifs/services", made.backend_id), {"enabled": False})
    for _ in range(2):
        (seen,) = servers.list([request.resource_id])
        assert seen.problem == "its CIFS server is off or gone"
        assert servers.create(request) == made
        credentials = {"user": "joiner", "password": "Secret-2"}
        array.delete(("protocols/cifs/services", made.backend_id), {"ad_domain": credentials})


def test_a_cifs_server_in_another_domain_is_somebodys(emulator: Emulator) -> None:
    """It is neither taken nor removed."""
    servers = servers_of(emulator)
    request = new_request(domain())
    servers.create(request)
    elsewhere = replace(request, security_services=(domain(domain="other.example"),))
    with pytest.raises(ConflictError, match=r"EXAMPLE\.COM"):
        servers.create(elsewhere)
    assert len(machines(emulator)) == 1


def test_a_change_of_domain_that_is_repeated_leaves_only_the_former_one(emulator: Emulator) -> None:
    """As a run does it that was cut short after the SVM had joined the next: it stays there, and its account too."""
    with emulator.world.lock:
        directory = directory_of(emulator.world)
        next_one = replace(directory.domains[0], fqdn="next.example", netbios="NEXT", machines=())
        set_directory(emulator.world, replace(directory, domains=(*directory.domains, next_one)))
    servers = servers_of(emulator, may_leave_accounts=True)
    request = new_request(domain())
    servers.create(request)
    moved = replace(
        request, security_services=(domain(domain="next.example"),), former_security_services=request.security_services
    )
    for _ in range(2):
        assert servers.update(moved).healthy
    assert emulator.calls.counted()["POST /protocols/cifs/services"] == 2
    former, joined = directory_of(emulator.world).domains
    assert netbios_name(request.resource_id) not in former.machines
    assert joined.machines == (netbios_name(request.resource_id),)


# LDAP and Kerberos


def test_unix_users_come_from_ldap_first_while_it_is_joined(emulator: Emulator) -> None:
    """A changed one is changed in place; bind passwords are only sent."""
    servers = servers_of(emulator)
    request = new_request(ldap(ou="dc=example,dc=com"))
    servers.create(request)
    assert of_svm(emulator, "name-services/ldap", request, "servers", "base_dn")[0]["base_dn"] == "dc=example,dc=com"
    array, name = array_of(emulator), f"sharectl_{request.resource_id.replace('-', '')}"

    def sources() -> list[str]:
        found = array.records("svm/svms", query={"name": name}, fields=("nsswitch",))
        return list(found[0]["nsswitch"]["passwd"])

    assert sources() == ["ldap", "files"]
    other = ldap(server="10.0.0.5")
    servers.update(replace(request, security_services=(other,), former_security_services=request.security_services))
    assert of_svm(emulator, "name-services/ldap", request, "servers")[0]["servers"] == ["10.0.0.5"]
    servers.update(replace(request, security_services=(), former_security_services=(other,)))
    assert of_svm(emulator, "name-services/ldap", request) == []
    assert sources() == ["files"]


def test_a_bind_that_is_refused_says_so(emulator: Emulator) -> None:
    """Without the password."""
    service = ldap(user="cn=reader,dc=example,dc=com", password={"env": "wrong"})
    with pytest.raises(DriverError) as refused:
        servers_of(emulator).create(new_request(service))
    assert "nonsense" not in str(refused.value)


def test_users_of_a_domain_are_looked_up_by_ldap(emulator: Emulator) -> None:
    """With the account and the DNS servers of the domain."""
    config = {"domain": "example.com", "dns_ip": "10.0.0.2", "user": "joiner", "password": {"env": "joiner"}}
    request = new_request(SecurityServiceSpec("people", "ldap", config))
    servers_of(emulator).create(request)
    found = of_svm(emulator, "name-services/ldap", request, "ad_domain", "schema")[0]
    assert (found["ad_domain"], found["schema"]) == ("example.com", "MS-AD-BIS")


def test_kerberos_is_on_at_every_lif_and_taken_off_before_they_go(emulator: Emulator) -> None:
    """Also at one that comes later; a realm that is not wanted any more is forgotten."""
    before = emulator.dump()
    servers = servers_of(emulator)
    request = new_request(kerberos())
    made = servers.create(request)
    assert [each["enabled"] for each in of_svm(emulator, "protocols/nfs/kerberos/interfaces", request, "enabled")] == [
        True,
        True,
    ]
    assert of_svm(emulator, "protocols/nfs/kerberos/realms", request)[0]["name"] == "EXAMPLE.COM"
    array_of(emulator).delete(
        (
            "network/ip/interfaces",
            array_of(emulator).records("network/ip/interfaces", query={"name": "sharectl_0"})[0]["uuid"],
        )
    )
    assert servers.create(replace(request, former_security_services=request.security_services)).healthy
    assert [each["enabled"] for each in of_svm(emulator, "protocols/nfs/kerberos/interfaces", request, "enabled")] == [
        True,
        True,
    ]
    servers.update(replace(request, security_services=(), former_security_services=request.security_services))
    assert of_svm(emulator, "protocols/nfs/kerberos/realms", request) == []
    servers.update(request)
    servers.delete(ref_of(request, made))
    assert emulator.dump() == before


def test_lifs_go_from_one_realm_to_the_next(emulator: Emulator) -> None:
    """The former is forgotten; what is in the next already, when a change is repeated, stays there."""
    servers = servers_of(emulator)
    request = new_request(kerberos())
    servers.create(request)
    moved = replace(
        request, security_services=(kerberos("next.example"),), former_security_services=request.security_services
    )
    for _ in range(2):
        assert servers.update(moved).healthy
        lifs = of_svm(emulator, "protocols/nfs/kerberos/interfaces", request, "enabled", "spn")
        assert [(each["enabled"], each["spn"].partition("@")[2]) for each in lifs] == [(True, "NEXT.EXAMPLE")] * 2
        realms = of_svm(emulator, "protocols/nfs/kerberos/realms", request)
        assert [each["name"] for each in realms] == ["NEXT.EXAMPLE"]
    assert emulator.calls.counted()["PATCH /protocols/nfs/kerberos/interfaces/{interface.uuid}"] == 6
