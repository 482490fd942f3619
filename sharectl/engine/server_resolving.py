"""Resolving an open intent about a share server: finished where it was made, undone where it was not, and no address lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sharectl.drivers.base import DriverError, TransientError
from sharectl.engine.server_calls import Server, make_server, release, remove_server
from sharectl.model.kinds import name_of
from sharectl.model.records import PutResource, RemoveResource
from sharectl.model.share_networks import ShareServerSpec
from sharectl.model.verbs import Verb
from sharectl.state.rows import payload_of, server_spec_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.drivers.base import Driver
    from sharectl.drivers.share_servers import HandlesShareServers
    from sharectl.engine.resolving import Outcome
    from sharectl.engine.tenure import Permit
    from sharectl.model.kinds import Address
    from sharectl.model.records import OperationRecord, Record
    from sharectl.network.base import NetworkPlugin


def resolve_server(
    driver: Driver,
    plugin: NetworkPlugin,
    operation: OperationRecord,
    records: Mapping[Address, Record],
    permit: Permit,
) -> Outcome:
    """Ask the backend what became of the intent; return what that changes in the state, and how it ended, in words.

    Raises DriverError, what `permit` raises, and ValueError or KeyError for an intent that this version does not know. Asked again it gives the same answer.
    """
    if operation.verb == Verb.RELEASE_ALLOCATION:
        release(plugin, name_of(operation.address), permit)
        return [], "the address has been given back"
    record = records.get(operation.address)
    if record is not None and record.resource_id != operation.resource_id:
        record = None
    there = bool(cast("HandlesShareServers", driver).list_share_servers([operation.resource_id]))
    if operation.verb == Verb.DELETE_SHARE_SERVER:
        return _deletion(driver, plugin, record, permit, there=there)
    spec = ShareServerSpec.from_plain(payload_of(operation)["spec"])
    if operation.verb == Verb.CREATE_SHARE_SERVER:
        free = operation.address not in records
        return _creation(driver, plugin, operation, spec, permit, finishes=there and free)
    return _change(driver, plugin, operation, spec, record if there else None, permit)


def _creation(  # noqa: PLR0913 - the intent, and what there is
    driver: Driver,
    plugin: NetworkPlugin,
    operation: OperationRecord,
    spec: ShareServerSpec,
    permit: Permit,
    *,
    finishes: bool,
) -> Outcome:
    if not finishes:
        # Also sweeps what is half made, and not listed for that.
        remove_server(driver, plugin, operation.resource_id, spec, permit=permit)
        return [], "it was not made, and its addresses have been given back"
    server = Server(operation.address, operation.resource_id, operation.backend or "")
    fresh = make_server(driver, plugin, server, spec, permit)
    return [PutResource(fresh, None)], "it had been made, and is recorded now"


def _deletion(driver: Driver, plugin: NetworkPlugin, record: Record | None, permit: Permit, *, there: bool) -> Outcome:
    if record is None:
        return [], "it had been removed"
    if there:
        return [], "it had not been removed"
    remove_server(driver, plugin, record.resource_id, server_spec_of(record), record, permit=permit)
    return [
        RemoveResource(record.address, record.version)
    ], "it had been removed, and its addresses have been given back"


def _change(  # noqa: PLR0913, PLR0917 - the intent, and what there is
    driver: Driver,
    plugin: NetworkPlugin,
    operation: OperationRecord,
    spec: ShareServerSpec,
    record: Record | None,
    permit: Permit,
) -> Outcome:
    """Finish a repair or update, since half of it may be done; what is refused stays as recorded, and the next plan looks at it."""
    if record is None:
        return [], "the share server is not there; the next plan shows it"
    server = Server(record.address, record.resource_id, record.backend or "", record)
    try:
        fresh = make_server(driver, plugin, server, spec, permit, updates=operation.verb == Verb.UPDATE_SHARE_SERVER)
    except TransientError:
        raise
    except DriverError as error:
        return [], f"it was not finished ({error}); the next plan looks at it again"
    return [PutResource(fresh, record.version)], "it has been finished"
