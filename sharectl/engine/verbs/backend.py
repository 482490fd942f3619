"""Backends: which storage is behind one, and making it ready for its first share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from sharectl.drivers.base import ClonesSnapshots, ConflictError, capabilities_of, serves_runs_beside
from sharectl.drivers.share_servers import HandlesShareServers
from sharectl.engine.answers import expected, pools_of, report_of
from sharectl.engine.verbs.base import Calls, Entry, Executions, Intent, Outcome, Result, Runner, Site, put
from sharectl.executors.answers import (
    LISTS_USAGE,
    RUNS_BESIDE,
    CallFailedError,
    Described,
    Failure,
    FailureKind,
    Identity,
    PoolsListed,
)
from sharectl.executors.calls import Describe, Identify, ListPools, PrepareBackend, ask
from sharectl.model.verbs import Verb
from sharectl.planner.records import backend_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.engine.verbs.base import Task
    from sharectl.model import plans


def expect_storage(backend: str, pinned: str | None, *, network: bool = False) -> Calls[None]:
    """Make sure that behind the backend is the storage that the state has `pinned` (None: it was never prepared).

    With `network`, that its network service can be opened, too.
    """
    found = (yield from ask(Identify(network))).identity
    message = ""
    if pinned is None:
        message = f"backend {backend} has never been prepared"
    elif found != pinned:
        seen = f"is {found}" if found else "was never prepared (is its file system mounted?)"
        message = f"backend {backend} is not the storage that the state knows: it {seen}, pinned is {pinned}"
    if message:
        raise CallFailedError(Failure(FailureKind.REFUSED, message))


def _prepared(task: Task, answer: Identity) -> Result:
    return put(backend_record(task.step.address, answer.identity or "", task.driver_name))


def _recover(intent: Intent) -> Calls[Outcome]:
    """Leave it to the next plan: preparing is idempotent, and pins the identity that it finds."""
    yield from ()
    return Outcome((), f"backend {intent.operation.backend} will be prepared by the next plan")


TABLE: Final[Mapping[Verb, Entry]] = {
    Verb.PREPARE_BACKEND: Entry(
        Runner.DRIVER,
        lambda task: ask(PrepareBackend(task.backend or "", cast("plans.PrepareBackend", task.step.work).identity)),
        _prepared,
        _recover,
    ),
}


def _identify(site: Site, call: Identify) -> Identity:
    identity = report_of(site.driver).identity
    if call.network:
        site.open_network()
    return Identity(identity)


def _prepare(site: Site, call: PrepareBackend) -> Identity:
    """Make the backend ready, unless somebody has begun to use it since the plan was made, which then has not seen that."""
    found = report_of(site.driver).identity
    if found not in {None, call.planned_identity} and any(share.resource_id for share in site.driver.list_shares()):
        message = (
            f"backend {call.backend} holds shares of another state by now, which the plan has not seen; plan again"
        )
        raise ConflictError(message)
    return Identity(expected("prepare", str, site.driver.prepare()))


def _describe(site: Site, _call: Describe) -> Described:
    driver = site.driver
    clones_within = driver.clones_within if isinstance(driver, ClonesSnapshots) else None
    addresses = driver.share_server_allocations() if isinstance(driver, HandlesShareServers) else None
    beside = (RUNS_BESIDE,) if serves_runs_beside(driver) else ()
    capabilities = (*sorted(capabilities_of(driver)), *beside, LISTS_USAGE)
    return Described(report_of(driver), capabilities, clones_within, addresses)


EXECUTIONS: Final[Executions] = {
    Identify: _identify,
    PrepareBackend: _prepare,
    Describe: _describe,
    ListPools: lambda site, _call: PoolsListed(tuple(pools_of(site.driver))),
}
