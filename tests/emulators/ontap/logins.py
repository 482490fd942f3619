"""Logins: who a request comes from, and what the role of that account lets it do."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Final

from tests.emulators.ontap.cluster import the_cluster
from tests.emulators.ontap.errors import FORBIDDEN, UNAUTHORIZED, Refused
from tests.emulators.ontap.operations import Login
from tests.emulators.ontap.world import Record, World

CLUSTER_ONLY: Final = (
    "/cluster/",
    "/storage/aggregates",
    "/storage/disks",
    "/network/ipspaces",
    "/network/ethernet/",
    "/network/ip/subnets",
    "/private/cli",
)
"""What a login to an SVM may not look at, but for the jobs of that SVM."""

ALLOWS: Final = {
    "none": frozenset[str](),
    "readonly": frozenset({"GET"}),
    "read_create": frozenset({"GET", "POST"}),
    "read_modify": frozenset({"GET", "PATCH"}),
    "read_create_modify": frozenset({"GET", "POST", "PATCH"}),
    "all": frozenset({"GET", "POST", "PATCH", "DELETE"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account(Record):
    """Somebody who may log in over HTTP."""

    name: str
    role: str
    password: str
    owner: str
    """The UUID of the SVM, or of the cluster."""
    methods: tuple[str, ...] = ("password",)
    locked: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Accounts of two owners may have one name."""
        return self.owner, self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Role(Record):
    """What the accounts that have it may do: the access of the longest prefix of the path that is listed."""

    name: str
    owner: str
    privileges: tuple[tuple[str, str], ...]
    builtin: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Roles of two owners may have one name."""
        return self.owner, self.name


LEAST_PRIVILEGE: Final = {
    # path: without share servers as the cluster's login, without them as the SVM's, with share servers
    "/api/cluster": ("readonly", "readonly", "readonly"),
    "/api/cluster/jobs": ("readonly", "readonly", "readonly"),
    "/api/cluster/nodes": ("none", "none", "readonly"),
    "/api/storage/disks": ("none", "none", "readonly"),
    "/api/storage/aggregates": ("readonly", "none", "readonly"),
    "/api/storage/volumes": ("all", "all", "all"),
    "/api/storage/luns": ("readonly", "readonly", "readonly"),
    "/api/storage/namespaces": ("readonly", "readonly", "readonly"),
    "/api/storage/qtrees": ("all", "all", "all"),
    "/api/storage/quota": ("all", "all", "all"),
    "/api/storage/qos/policies": ("all", "all", "all"),
    "/api/storage/snapshot-policies": ("all", "all", "all"),
    "/api/cluster/schedules": ("all", "readonly", "all"),
    "/api/storage/volume-efficiency-policies": ("readonly", "readonly", "readonly"),
    "/api/svm/svms": ("readonly", "readonly", "all"),
    "/api/network/ip/interfaces": ("readonly", "readonly", "all"),
    "/api/network/ip/routes": ("none", "none", "all"),
    "/api/network/ip/service-policies": ("none", "none", "read_modify"),
    "/api/network/ethernet/ports": ("none", "none", "all"),
    "/api/network/ethernet/broadcast-domains": ("none", "none", "all"),
    "/api/network/ipspaces": ("none", "none", "all"),
    "/api/protocols/nfs/export-policies": ("all", "all", "all"),
    "/api/protocols/nfs/services": ("readonly", "readonly", "all"),
    "/api/protocols/nfs/kerberos": ("readonly", "readonly", "all"),
    "/api/protocols/cifs/shares": ("all", "all", "all"),
    "/api/protocols/cifs/services": ("readonly", "readonly", "all"),
    "/api/protocols/cifs/domains": ("none", "none", "all"),
    "/api/name-services/dns": ("readonly", "readonly", "all"),
    "/api/name-services/ldap": ("readonly", "readonly", "all"),
    "/api/private/cli/volume/recovery-queue": ("all", "none", "all"),
}
"""The least that a driver needs for all it can do; the accounts below are held to it."""

LEAST_PRIVILEGED: Final = ("sharectl", "sharectl-svm", "sharectl-servers")
"""The accounts with these roles, in the order of the columns; the second is an account of the SVM of the fixture."""


def password_of(name: str) -> str:
    """Return the password that an account is given when the array is made."""
    return f"Emulated-{name}-1"


def add_account(world: World, name: str, role: str, owner: str, methods: tuple[str, ...] = ("password",)) -> Account:
    """Make an account; the same name without a password, for a certificate with that common name, is another method of it."""
    return world[Account].put(
        Account(uuid="", name=name, role=role, password=password_of(name), owner=owner, methods=methods)
    )


def _table(column: int) -> tuple[tuple[str, str], ...]:
    granted = {path: columns[column] for path, columns in LEAST_PRIVILEGE.items() if columns[column] != "none"}
    # a path that a shorter one would grant is denied by name, so that nobody comes to rely on it
    denied = [path for path in LEAST_PRIVILEGE if path not in granted and path.rpartition("/")[0] in granted]
    return (*granted.items(), *((path, "none") for path in denied))


def seed(world: World) -> None:
    """Make the accounts and roles that every array has, and those of the least privilege for the whole cluster."""
    owner = the_cluster(world).uuid
    for name, access in (("admin", "all"), ("readonly", "readonly"), ("none", "none")):
        world[Role].put(Role(uuid="", name=name, owner=owner, privileges=(("/api", access),), builtin=True))
    for name, column in ((LEAST_PRIVILEGED[0], 0), (LEAST_PRIVILEGED[2], 2)):
        world[Role].put(Role(uuid="", name=name, owner=owner, privileges=_table(column)))
        add_account(world, name, name, owner, ("password", "certificate"))
    add_account(world, "admin", "admin", owner, ("password", "certificate"))
    add_account(world, "monitor", "readonly", owner)


def seed_svm(world: World, svm: str) -> None:
    """Make the accounts of an SVM: its administrator, and one of the least privilege."""
    everything = (("/api", "all"), ("/api/svm/svms", "read_modify"))
    world[Role].put(Role(uuid="", name="vsadmin", owner=svm, privileges=everything, builtin=True))
    add_account(world, "vsadmin", "vsadmin", svm, ("password", "certificate"))
    world[Role].put(Role(uuid="", name=LEAST_PRIVILEGED[1], owner=svm, privileges=_table(1)))
    add_account(world, LEAST_PRIVILEGED[1], LEAST_PRIVILEGED[1], svm, ("password", "certificate"))


def authenticate(world: World, header: str | None, certificate: str | None) -> Login:
    """Return who a request comes from: a password in its header, or the common name of the certificate of its connection."""
    account = _by_certificate(world, certificate) if header is None else _by_password(world, header)
    if account is None or account.locked:
        raise Refused(UNAUTHORIZED, "User is not authorized.")
    is_cluster = account.owner == the_cluster(world).uuid
    return Login(account.name, account.role, None if is_cluster else account.owner)


def _by_certificate(world: World, certificate: str | None) -> Account | None:
    return next(
        (each for each in world[Account] if each.name == certificate and "certificate" in each.methods),
        None,
    )


def _by_password(world: World, header: str) -> Account | None:
    scheme, _, encoded = header.partition(" ")
    try:
        name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    if scheme.lower() != "basic":
        return None
    return next(
        (
            each
            for each in world[Account]
            if (each.name, each.password) == (name, password) and "password" in each.methods
        ),
        None,
    )


def authorize(world: World, login: Login, method: str, path: str) -> None:
    """Refuse what the role of a login, or its being of an SVM, does not allow; the release may be read by everybody."""
    method = "GET" if method in {"HEAD", "OPTIONS"} else method
    if path == "/cluster" and method == "GET":
        return
    confined = (
        login.svm is not None
        and path.startswith(CLUSTER_ONLY)
        and not path.startswith(("/cluster/jobs", "/cluster/schedules"))
    )
    if confined or method not in ALLOWS[access_of(world, login, path)]:
        raise Refused(FORBIDDEN, f'User "{login.name}" is not authorized for {method} of "/api{path}".')


def role_of(world: World, owner: str, name: str) -> Role | None:
    """Return the role of a name that an owner's accounts can have: one of its own, or of the cluster."""
    return world[Role].get((owner, name)) or world[Role].get((the_cluster(world).uuid, name))


def access_of(world: World, login: Login, path: str) -> str:
    """Return what a login's role grants it under a path."""
    role = role_of(world, login.svm or the_cluster(world).uuid, login.role)
    api = f"/api{path}"
    fitting = [
        (len(prefix), access)
        for prefix, access in (() if role is None else role.privileges)
        if api == prefix or api.startswith(prefix.rstrip("/") + "/")
    ]
    return max(fitting)[1] if fitting else "none"
