"""Security services as an SVM has them."""

from __future__ import annotations

from typing import Any

import pytest

from sharectl.drivers.base import DriverError
from sharectl.drivers.ontap.share_servers.directory import (
    ActiveDirectory,
    Directory,
    Kerberos,
    Ldap,
    directory_of,
    known_directory_of,
    service_problems,
)
from sharectl.model.share_networks import SecurityServiceSpec

PASSWORD = {"env": "PASSWORD"}
ACCOUNT = {"user": "joiner", "password": PASSWORD}


def service(name: str, service_type: str, **config: Any) -> SecurityServiceSpec:  # noqa: ANN401 - the config of a service
    """Return a security service."""
    return SecurityServiceSpec(name, service_type, config)


AD = service(
    "ad", "active_directory", domain="Corp.example", dns_ip="10.0.0.5", ou="OU=Filers", server="10.0.0.6", **ACCOUNT
)


def test_all_three_kinds_are_joined_together() -> None:
    """With one DNS server for both domains; a realm is in capitals."""
    kerberos = service("krb", "kerberos", domain="corp.example", dns_ip="10.0.0.5", server="10.0.0.6", **ACCOUNT)
    ldap = service("people", "ldap", server="10.0.0.4", user="cn=reader", password=PASSWORD, ou="dc=example")
    assert directory_of([AD, kerberos, ldap]) == Directory(
        ("corp.example",),
        ("10.0.0.5",),
        ActiveDirectory("Corp.example", "joiner", PASSWORD, "OU=Filers", "10.0.0.6"),
        Ldap("10.0.0.4", None, "cn=reader", PASSWORD, "dc=example"),
        Kerberos("CORP.EXAMPLE", "10.0.0.6", "joiner", PASSWORD),
    )
    assert directory_of([AD, ldap]).types == ("active_directory", "ldap")
    assert directory_of([]) == Directory()


@pytest.mark.parametrize(
    ("services", "fields"),
    [
        ([service("ad", "active_directory", domain="corp.example")], ["dnsIp", "user", "password"]),
        ([AD, service("other", "active_directory", **AD.config)], ["type"]),
        ([service("l", "ldap")], ["server"]),
        ([service("l", "ldap", server="l.example", domain="corp.example", dns_ip="10.0.0.5")], ["server"]),
        ([service("l", "ldap", domain="corp.example")], ["domain"]),
        ([service("l", "ldap", server="l.example")], ["server"]),
        ([service("l", "ldap", server="10.0.0.4", user="reader")], ["user"]),
        ([service("k", "kerberos", domain="corp.example", server="kdc.example", **ACCOUNT)], ["server"]),
        ([service(f"l{n}", f"x{n}", dns_ip=f"10.0.0.{n}") for n in range(4)], ["dnsIp"]),
    ],
)
def test_what_an_svm_cannot_join_is_told_by_its_field(services: list[SecurityServiceSpec], fields: list[str]) -> None:
    """And refused, whoever asks for it."""
    assert [problem.field for problem in service_problems(services)] == fields
    with pytest.raises(DriverError):
        directory_of(services)
    assert known_directory_of(services) == Directory()
