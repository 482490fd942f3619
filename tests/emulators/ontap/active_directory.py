"""A small Active Directory beside the array: its domains, what the array asks of them, and what their answers lead to."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Account:
    """One user or group of a domain; the name is spelt as the directory spells it."""

    name: str
    kind: str = "user"


@dataclass(frozen=True, slots=True)
class Domain:
    """One domain: who may join machines to it, what is in it, and which of its servers answer."""

    fqdn: str
    netbios: str
    administrators: tuple[tuple[str, str], ...]
    """Names and passwords of those who may add and remove machine accounts."""
    units: tuple[str, ...] = ("CN=Computers",)
    accounts: tuple[Account, ...] = ()
    controllers: tuple[str, ...] = ()
    name_servers: tuple[str, ...] = ()
    """The DNS servers that know where the controllers are."""
    machines: tuple[str, ...] = ()
    """The machine accounts, in upper case."""
    is_answering: bool = True

    def accepts(self, user: str, password: str) -> bool:
        """Tell whether these may join machines, whichever way the user is written."""
        return (plain_user(user).lower(), password) in {(name.lower(), known) for name, known in self.administrators}

    def has_unit(self, unit: str) -> bool:
        """Tell whether an organizational unit is there; the domain's own components may be left out or given."""
        own = ",".join(f"dc={part}" for part in self.fqdn.lower().split("."))
        return unit.lower().removesuffix(f",{own}") in {known.lower() for known in self.units}

    def with_machine(self, name: str) -> Domain:
        """Return the domain with a machine account."""
        return replace(self, machines=tuple(sorted({*self.machines, name.upper()})))

    def without_machine(self, name: str) -> Domain:
        """Return the domain without a machine account."""
        return replace(self, machines=tuple(known for known in self.machines if known != name.upper()))


@dataclass(frozen=True, slots=True)
class Directory:
    """All that stands around the array: domains, and the servers of names and of LDAP that answer."""

    domains: tuple[Domain, ...] = ()
    silent_name_servers: tuple[str, ...] = ()
    ldap_servers: tuple[str, ...] = ()
    ldap_binds: tuple[tuple[str, str], ...] = ()

    def domain(self, name: str) -> Domain | None:
        """Return the domain of that full or NetBIOS name."""
        wanted = name.lower()
        return next((one for one in self.domains if wanted in {one.fqdn.lower(), one.netbios.lower()}), None)

    def with_domain(self, domain: Domain) -> Directory:
        """Return these with one domain replaced."""
        return replace(self, domains=tuple(domain if one.fqdn == domain.fqdn else one for one in self.domains))


def plain_user(user: str) -> str:
    """Return a user's name without its domain."""
    return user.rpartition("\\")[2].partition("@")[0]


_WELL_KNOWN = {
    "everyone": "Everyone",
    "administrators": "BUILTIN\\Administrators",
    "builtin\\administrators": "BUILTIN\\Administrators",
    "builtin\\users": "BUILTIN\\Users",
    "builtin\\guests": "BUILTIN\\Guests",
    "authenticated users": "NT AUTHORITY\\Authenticated Users",
    "nt authority\\authenticated users": "NT AUTHORITY\\Authenticated Users",
}


def resolved(domain: Domain | None, machine: str, local: tuple[str, ...], name: str) -> str | None:
    """Return an account's name as a CIFS server spells it, or None where nobody knows it.

    `domain` is the server's own, `machine` its NetBIOS name and `local` its local users; a name without a domain is looked for among
    the well-known ones, the local users, and in the server's domain.
    """
    if (well_known := _WELL_KNOWN.get(name.lower())) is not None:
        return well_known
    prefix, _, plain = name.rpartition("\\")
    if "@" in plain and not prefix:
        plain, _, prefix = plain.partition("@")
    if prefix.lower() in {"", machine.lower()}:
        found = next((one for one in local if one.lower() == plain.lower()), None)
        if found is not None:
            return f"{machine}\\{found}"
    if domain is None or prefix.lower() not in {"", domain.netbios.lower(), domain.fqdn.lower()}:
        return None
    known = next((one for one in domain.accounts if one.name.lower() == plain.lower()), None)
    return f"{domain.netbios}\\{known.name}" if known is not None else None


FIXTURE = Directory(
    domains=(
        Domain(
            fqdn="example.com",
            netbios="EXAMPLE",
            administrators=(("Administrator", "Secret-1"), ("joiner", "Secret-2")),
            units=("CN=Computers", "OU=Storage", "OU=Filers,OU=Storage"),
            accounts=(
                Account("alice"),
                Account("bob"),
                Account("carol"),
                Account("Dave O'Neil"),
                Account("service$"),
                Account("Domain Users", "group"),
                Account("Domain Admins", "group"),
                Account("team", "group"),
                Account("Research & Development", "group"),
            ),
            controllers=("10.0.0.2", "10.0.0.3"),
            name_servers=("10.0.0.2", "10.0.0.3"),
            machines=("TAKEN", "VS1"),
        ),
    ),
    silent_name_servers=("10.0.0.99", "fd00::99"),
    ldap_servers=("10.0.0.4", "10.0.0.5", "ldap.example.com"),
    ldap_binds=(("cn=reader,dc=example,dc=com", "Secret-3"),),
)
"""What the emulator starts with."""
