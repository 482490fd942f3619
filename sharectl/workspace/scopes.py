"""What a run needs for itself: the addresses that its plan reads or writes, while other runs work on others of the same state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import DriverError, FencesEachLease, RefusesOldFences
from sharectl.engine.environment import new_resource_id
from sharectl.engine.rows import addresses_of
from sharectl.model.plans import backends_of
from sharectl.model.records import EVERYTHING, Scope
from sharectl.planner.strays import import_address

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sharectl.model.kinds import Address
    from sharectl.model.plans import Plan
    from sharectl.state.contract import StateStore
    from sharectl.workspace.backends import Backends

_MOST: Final = 10_000
"""A plan of more addresses takes everything."""
_NOWHERE: Final = frozenset({""})
"""The backends of a run that has nothing to do: it holds an address that nobody else asks for."""


def can_be_shared(backends: Backends, names: Iterable[str]) -> bool:
    """Tell whether several runs may work on these backends at once.

    Not with share servers, whose addresses are accounts of the whole state, not through workers, and not with a driver that
    refuses every run but the newest.
    """
    return all(_is_shared(backends, name) for name in names)


def _is_shared(backends: Backends, name: str) -> bool:
    if backends.has_share_servers(name) or backends.is_remote(name):
        return False
    try:
        driver = backends.driver(name)
    except DriverError:
        return False
    return isinstance(driver, FencesEachLease) or not isinstance(driver, RefusesOldFences)


def scope_of(plan: Plan, store: StateStore, backends: Backends, wanted: Collection[Address] = ()) -> Scope:
    """Return what a run of the plan has to hold: the addresses of its steps, what those need, and the `wanted` ones.

    It is of this moment: rows that change before the lease is held are refused by their versions, and an intent that comes
    meanwhile on a backend elsewhere is left open, which its step says.
    """
    addresses = {*addresses_of(plan), *wanted}
    if not addresses:
        return Scope(_NOWHERE, frozenset({new_resource_id()}))
    if len(addresses) > _MOST:
        return EVERYTHING
    with store.read() as reader:
        view = reader.view(addresses)
    begun = [operation for operation in view.operations if operation.address in addresses]
    addresses |= {import_address(operation.address) for operation in begun}
    names = {*backends_of(plan.steps), *(record.backend for record in view.records.values())}
    names |= {operation.backend for operation in begun}
    known = {name for name in names if name is not None}
    if not known or not can_be_shared(backends, known):
        return EVERYTHING
    return Scope(frozenset(known), frozenset(addresses))


def covers(held: Scope, needed: Scope) -> bool:
    """Tell whether a lease for `held` is enough for `needed`."""
    if held.is_everything or needed.backends == _NOWHERE:
        return True
    return not needed.is_everything and needed.backends <= held.backends and needed.addresses <= held.addresses
