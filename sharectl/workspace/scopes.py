"""What a run needs for itself: the addresses that its plan reads or writes, while other runs work on others of the same state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import DriverError, serves_runs_beside
from sharectl.engine.environment import new_resource_id
from sharectl.engine.rows import addresses_of
from sharectl.model.kinds import Kind, address_of
from sharectl.model.plans import backends_of
from sharectl.model.records import EVERYTHING, Scope
from sharectl.model.verbs import Verb
from sharectl.planner.records import share_server_id_of
from sharectl.planner.strays import import_address

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sharectl.model.kinds import Address
    from sharectl.model.plans import Plan
    from sharectl.model.records import Record
    from sharectl.state.contract import StateReader, StateStore
    from sharectl.workspace.backends import Backends

_MOST: Final = 10_000
"""A plan of more addresses takes everything."""
_NOWHERE: Final = frozenset({""})
"""The backends of a run that has nothing to do: it holds an address that nobody else asks for."""


def can_be_shared(backends: Backends, names: Iterable[str]) -> bool:
    """Tell whether several runs may work on these backends at once: not with a driver that refuses every run but the newest."""
    return all(_is_shared(backends, name) for name in names)


def _is_shared(backends: Backends, name: str) -> bool:
    try:
        return serves_runs_beside(backends.driver(name))
    except DriverError:
        return False


def scope_of(plan: Plan, store: StateStore, backends: Backends, wanted: Collection[Address] = ()) -> Scope:
    """Return what a run of the plan has to hold: the addresses of its steps, what those need, and the `wanted` ones.

    With a share goes the share server that it is on: what is done to one waits for what is done to the other. Where the manifest
    limits the number of servers, only one run at a time makes some. Only a run of everything gives back an address that no server has,
    since only a look at all servers shows that.

    It is of this moment: rows that change before the lease is held are refused by their versions, and an intent that comes
    meanwhile on a backend elsewhere is left open, which its step says.
    """
    addresses = {*addresses_of(plan), *wanted}
    if not addresses:
        return Scope(_NOWHERE, frozenset({new_resource_id()}))
    if len(addresses) > _MOST or any(step.verb is Verb.RELEASE_ALLOCATION for step in plan.steps):
        return EVERYTHING
    with store.read() as reader:
        view = reader.view(addresses)
        servers = _servers_of(view.records.values(), reader)
    addresses |= servers
    addresses |= {
        address_of(Kind.BACKEND, step.backend)
        for step in plan.steps
        if step.verb is Verb.CREATE_SHARE_SERVER and step.backend and backends.limits_servers(step.backend)
    }
    begun = [operation for operation in view.operations if operation.address in addresses]
    addresses |= {import_address(operation.address) for operation in begun}
    names = {*backends_of(plan.steps), *(record.backend for record in view.records.values())}
    names |= {operation.backend for operation in begun}
    known = {name for name in names if name is not None}
    if not known or not can_be_shared(backends, known):
        return EVERYTHING
    return Scope(frozenset(known), frozenset(addresses))


def _servers_of(records: Iterable[Record], reader: StateReader) -> set[Address]:
    """Return the addresses of the share servers that recorded shares are on."""
    ids = {server for record in records if record.kind == Kind.SHARE and (server := share_server_id_of(record))}
    return set(reader.with_ids(ids)) if ids else set()


def covers(held: Scope, needed: Scope) -> bool:
    """Tell whether a lease for `held` is enough for `needed`."""
    if held.is_everything or needed.backends == _NOWHERE:
        return True
    return not needed.is_everything and needed.backends <= held.backends and needed.addresses <= held.addresses
