"""Accounts and roles: who may log in, to what, and what they may do there."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from tests.emulators.ontap.cluster import the_cluster
from tests.emulators.ontap.errors import FORBIDDEN, UNAUTHORIZED, Refused
from tests.emulators.ontap.operations import Login, Row, rows
from tests.emulators.ontap.world import Record, World

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.facts import JsonObject

CLUSTER_ONLY: Final = (
    "/cluster/",
    "/storage/aggregates",
    "/storage/disks",
    "/network/ipspaces",
    "/network/ethernet/",
    "/network/ip/subnets",
    "/private/cli",
    "/support/",
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


def password_of(name: str) -> str:
    """Return the password that an account is given when the array is made."""
    return f"Emulated-{name}-1"


def add_account(world: World, name: str, role: str, owner: str, methods: tuple[str, ...] = ("password",)) -> Account:
    """Make an account; the same name without a password, for a certificate with that common name, is another method of it."""
    return world[Account].put(
        Account(uuid="", name=name, role=role, password=password_of(name), owner=owner, methods=methods)
    )


def seed(world: World) -> None:
    """Make the accounts and roles that every array has."""
    owner = the_cluster(world).uuid
    for name, access in (("admin", "all"), ("readonly", "readonly"), ("none", "none")):
        world[Role].put(Role(uuid="", name=name, owner=owner, privileges=(("/api", access),), builtin=True))
    add_account(world, "admin", "admin", owner, ("password", "certificate"))
    add_account(world, "monitor", "readonly", owner)


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
    confined = login.svm is not None and path.startswith(CLUSTER_ONLY) and not path.startswith("/cluster/jobs")
    if confined or method not in ALLOWS[access_of(world, login, path)]:
        raise Refused(FORBIDDEN, f'User "{login.name}" is not authorized for {method} of "/api{path}".')


def access_of(world: World, login: Login, path: str) -> str:
    """Return what a login's role grants it under a path."""
    owner = login.svm or the_cluster(world).uuid
    role = world[Role].get((owner, login.role)) or world[Role].get((the_cluster(world).uuid, login.role))
    if role is None:
        return "none"
    api = f"/api{path}"
    fitting = [
        (len(prefix), access)
        for prefix, access in role.privileges
        if api == prefix or api.startswith(prefix.rstrip("/") + "/")
    ]
    return max(fitting)[1] if fitting else "none"


def _owner_shown(world: World, owner: str) -> JsonObject:
    cluster = the_cluster(world)
    if owner == cluster.uuid:
        return {"uuid": cluster.uuid, "name": cluster.name}
    from tests.emulators.ontap.tunnel import svm_name  # noqa: PLC0415 - logins come before SVMs

    return {"uuid": owner, "name": svm_name(world, owner)}


def _svm_of(world: World, owner: str) -> str | None:
    return None if owner == the_cluster(world).uuid else owner


@rows("account")
def accounts(world: World) -> Iterable[Row]:
    """Show the accounts, never their passwords."""
    for account in world[Account]:
        keys = {"owner.uuid": account.owner, "name": account.name}
        yield Row(keys, partial(_account_shown, world, account), _svm_of(world, account.owner))


def _account_shown(world: World, account: Account) -> JsonObject:
    return {
        "owner": _owner_shown(world, account.owner),
        "name": account.name,
        "role": {"name": account.role},
        "locked": account.locked,
        "scope": "cluster" if account.owner == the_cluster(world).uuid else "svm",
        "applications": [{"application": "http", "authentication_methods": list(account.methods)}],
    }


@rows("role")
def roles(world: World) -> Iterable[Row]:
    """Show the roles."""
    for role in world[Role]:
        keys = {"owner.uuid": role.owner, "name": role.name}
        yield Row(keys, partial(_role_shown, world, role), _svm_of(world, role.owner))


def _role_shown(world: World, role: Role) -> JsonObject:
    return {
        "owner": _owner_shown(world, role.owner),
        "name": role.name,
        "builtin": role.builtin,
        "scope": "cluster" if role.owner == the_cluster(world).uuid else "svm",
        "privileges": [{"path": path, "access": access} for path, access in role.privileges],
    }
