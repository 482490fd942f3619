"""Accounts, roles and their privileges, as resources."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING

from tests.emulators.ontap.cluster import the_cluster
from tests.emulators.ontap.errors import GONE, Refused, duplicate, gone, invalid
from tests.emulators.ontap.logins import ALLOWS, Account, Role, role_of
from tests.emulators.ontap.operations import Call, Done, Outcome, Row, get, operation, rows
from tests.emulators.ontap.tunnel import resolved, svm_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World


def _owner_shown(world: World, owner: str) -> JsonObject:
    cluster = the_cluster(world)
    return {"uuid": owner, "name": cluster.name if owner == cluster.uuid else svm_name(world, owner)}


def _svm_of(world: World, owner: str) -> str | None:
    return None if owner == the_cluster(world).uuid else owner


def _scope_of(world: World, owner: str) -> str:
    return "cluster" if _svm_of(world, owner) is None else "svm"


def _owner_of(world: World, call: Call) -> str:
    """Return who is to own what a POST makes: the SVM that it names or is confined to, or the cluster."""
    cluster = the_cluster(world)
    given = get(call.body, "owner", {})
    if call.svm is not None:
        return call.svm
    if given.get("name") == cluster.name or given.get("uuid") == cluster.uuid:
        return cluster.uuid
    return resolved(world, given) or cluster.uuid


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
        "scope": _scope_of(world, account.owner),
        "applications": [{"application": "http", "authentication_methods": list(account.methods)}],
    }


def _methods_of(body: JsonObject) -> tuple[str, ...]:
    given = [each for each in body.get("applications", ()) if each.get("application") == "http"]
    return tuple(method for each in given for method in each.get("authentication_methods", ()))


def _demand_role(world: World, owner: str, name: str) -> None:
    if role_of(world, owner, name) is None:
        raise Refused(GONE, f'Role "{name}" does not exist.', "role.name")


@operation("POST /security/accounts")
def create_account(world: World, call: Call) -> Outcome:
    """Make an account."""
    owner, name = _owner_of(world, call), call.body["name"]
    if (owner, name) in world[Account]:
        raise duplicate("name")
    role = get(call.body, "role.name", "vsadmin" if _svm_of(world, owner) else "admin")
    _demand_role(world, owner, role)
    world[Account].put(
        Account(
            uuid="",
            name=name,
            role=role,
            owner=owner,
            password=call.body.get("password", ""),
            methods=_methods_of(call.body),
            locked=call.body.get("locked", False),
        )
    )
    return Done({"owner.uuid": owner, "name": name})


@operation("PATCH /security/accounts/{owner.uuid}/{name}")
def change_account(world: World, call: Call) -> Outcome:
    """Change the password, the role or the lock of an account."""
    key = call.keys["owner.uuid"], call.keys["name"]
    changes = {name: call.body[name] for name in ("password", "locked") if name in call.body}
    if (role := get(call.body, "role.name")) is not None:
        _demand_role(world, key[0], role)
        changes["role"] = role
    if "applications" in call.body:
        changes["methods"] = _methods_of(call.body)
    world[Account].change(key, **changes)
    return Done()


@operation("DELETE /security/accounts/{owner.uuid}/{name}")
def delete_account(world: World, call: Call) -> Outcome:
    """Take an account away."""
    world[Account].remove((call.keys["owner.uuid"], call.keys["name"]))
    return Done()


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
        "scope": _scope_of(world, role.owner),
        "privileges": [{"path": path, "access": access} for path, access in role.privileges],
    }


def _privilege(given: JsonObject) -> tuple[str, str]:
    if given.get("access") not in ALLOWS:
        raise invalid(given.get("access"), "access", ", ".join(ALLOWS))
    return str(given["path"]), str(given["access"])


@operation("POST /security/roles")
def create_role(world: World, call: Call) -> Outcome:
    """Make a role."""
    owner, name = _owner_of(world, call), call.body["name"]
    if (owner, name) in world[Role]:
        raise duplicate("name")
    privileges = tuple(_privilege(each) for each in call.body["privileges"])
    world[Role].put(Role(uuid="", name=name, owner=owner, privileges=privileges))
    return Done({"owner.uuid": owner, "name": name})


@operation("DELETE /security/roles/{owner.uuid}/{name}")
def delete_role(world: World, call: Call) -> Outcome:
    """Take a role away that no account has."""
    key = call.keys["owner.uuid"], call.keys["name"]
    if world[Role][key].builtin or world[Account].where(owner=key[0], role=key[1]):
        raise Refused(262145, f'Role "{key[1]}" is predefined or in use.')
    world[Role].remove(key)
    return Done()


@rows("role_privilege")
def privileges(world: World) -> Iterable[Row]:
    """Show what each role may do."""
    for role in world[Role]:
        for path, access in role.privileges:
            keys = {"owner.uuid": role.owner, "name": role.name, "path": path}
            shown = partial(dict[str, object], path=path, access=access)
            yield Row(keys, shown, _svm_of(world, role.owner))


def _with(role: Role, path: str, access: str | None) -> Role:
    """Return a role with another access under a path, or with none said of it."""
    kept = tuple(each for each in role.privileges if each[0] != path)
    return dataclasses.replace(role, privileges=kept if access is None else (*kept, (path, access)))


def deny(world: World, owner: str, name: str, path: str, access: str = "none") -> None:
    """Let a role have less under a path than it did."""
    world[Role].put(_with(world[Role][owner, name], path, access))


@operation("POST /security/roles/{owner.uuid}/{name}/privileges")
def create_privilege(world: World, call: Call) -> Outcome:
    """Give a role a privilege."""
    role = world[Role].get((call.keys["owner.uuid"], call.keys["name"]))
    if role is None:
        raise gone("name")
    path, access = _privilege({"access": "all", **call.body})
    if any(each == path for each, _ in role.privileges):
        raise duplicate("path")
    world[Role].put(_with(role, path, access))
    return Done({"owner.uuid": role.owner, "name": role.name, "path": path})


@operation("PATCH /security/roles/{owner.uuid}/{name}/privileges/{path}")
def change_privilege(world: World, call: Call) -> Outcome:
    """Change what a role may do under a path."""
    path, access = _privilege({**call.body, "path": call.keys["path"]})
    deny(world, call.keys["owner.uuid"], call.keys["name"], path, access)
    return Done()


@operation("DELETE /security/roles/{owner.uuid}/{name}/privileges/{path}")
def delete_privilege(world: World, call: Call) -> Outcome:
    """Take a privilege from a role."""
    role = world[Role][call.keys["owner.uuid"], call.keys["name"]]
    world[Role].put(_with(role, call.keys["path"], None))
    return Done()
