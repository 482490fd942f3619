"""What the backends hold: each is asked one question, all of them side by side."""

from __future__ import annotations

from dataclasses import replace
from time import monotonic, sleep, time_ns
from typing import TYPE_CHECKING, Final, TypeVar

from sharectl.drivers.base import (
    BackendUnavailableError,
    ClonesSnapshots,
    DriverError,
    SnapshotsShares,
    TransientError,
    UnservedError,
    capabilities_of,
)
from sharectl.drivers.registry import driver_factory
from sharectl.drivers.share_checks import configured_capabilities
from sharectl.drivers.share_servers import HandlesShareServers
from sharectl.engine.answers import all_expected, pools_of, report_of
from sharectl.model.frozen import dataclass, field
from sharectl.model.observed import ObservedShare, ObservedSnapshot
from sharectl.planner.observed import BackendObservation
from sharectl.workspace.parallel import ask_each
from sharectl.workspace.share_servers import observe_servers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sharectl.drivers.base import Capability, Driver
    from sharectl.executors.answers import Failure
    from sharectl.model.backends import BackendSpec
    from sharectl.model.observed import BackendReport
    from sharectl.model.share_networks import ShareNetworkSubnet
    from sharectl.planner.observed import Observed, ServerObservation
    from sharectl.scheduler.pools import Pool
    from sharectl.workspace.backends import Backends

T = TypeVar("T")
_TIMES_ASKED: Final = 4


@dataclass(frozen=True, slots=True)
class Question:
    """What one backend is asked: its shares, snapshots and share servers (all, those with these ids, or not at all), and its pools.

    `strays` asks for all shares and `all_snapshots` for all snapshots even so, because the plan has to see what the state does not
    know: `resource_ids` then only says what is compared with the state. `subnets` are those of share networks, by name, in which a
    share server may be made.
    """

    lists: bool = False
    resource_ids: frozenset[str] | None = None
    strays: bool = False
    all_snapshots: bool = False
    pools: bool = False
    subnets: Mapping[str, ShareNetworkSubnet] = field(default_factory=dict)

    @property
    def lists_something(self) -> bool:
        """Tell whether anything but the pools is asked for."""
        return self.lists or self.strays or self.all_snapshots


@dataclass(frozen=True, slots=True)
class Survey:
    """What the backends answered."""

    observed: Observed = field(default_factory=dict)
    pools: tuple[Pool, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """A backend was asked its question: when, in nanoseconds since 1970, and why it could not be read, if it could not."""

    backend: str
    began_ns: int
    ended_ns: int
    error: str = ""


def survey(specs: Mapping[str, BackendSpec], backends: Backends, questions: Mapping[str, Question]) -> Survey:
    """Ask every backend its question, side by side; one that does not answer is observed with its error."""
    asked = {name: question for name, question in questions.items() if question.lists_something or question.pools}
    seconds = {name: specs[name].list_timeout_seconds for name in asked}
    began_ns, ended_ns = time_ns(), dict[str, int]()

    def ask(name: str) -> tuple[BackendObservation, tuple[Pool, ...]]:
        try:
            return _ask(specs[name], backends, asked[name])
        finally:
            ended_ns[name] = time_ns()

    answers = ask_each(sorted(asked), ask, seconds, backends.tell)
    given_up_ns = time_ns()
    observed: dict[str, BackendObservation] = {}
    pools: list[Pool] = []
    for name in sorted(specs):
        answer = answers.get(name)
        if answer is not None and answer.value is not None:
            observed[name], found = answer.value
            pools += found
            continue
        error = None
        is_unserved = answer is not None and isinstance(answer.error, UnservedError)
        if answer is not None:
            error = (
                f"no answer within {seconds[name]:g} s" if answer.error is None else _failure_of(answer.error).message
            )
        asked_ids = asked[name].resource_ids if name in asked else frozenset()
        observed[name] = BackendObservation(
            name, _capabilities(specs[name]), error=error, asked_ids=asked_ids, is_unserved=is_unserved
        )
    if backends.asked is not None:
        for name in sorted(asked):
            ended = ended_ns[name] if answers[name].in_time else given_up_ns
            backends.asked(Asked(name, began_ns, ended, observed[name].error or ""))
    for name, seen in tuple(observed.items()):
        if problems := backends.missing_secrets(name):
            passwords = backends.passwords_of(name, problems)
            observed[name] = replace(seen, missing_secrets=problems, missing_passwords=passwords)
    return Survey(observed, tuple(pools))


def _capabilities(spec: BackendSpec) -> frozenset[Capability]:
    """Return what the driver of a backend that has not answered can do, as far as its configuration says; nothing where it cannot be loaded."""
    try:
        return configured_capabilities(driver_factory(spec.driver), spec)
    except DriverError:
        return frozenset()


def _failure_of(problem: BaseException) -> Failure:
    from sharectl.executors.failures import failure_of  # noqa: PLC0415 - most backends answer

    return failure_of(problem)


def _answered(ask: Callable[[], T], until: float) -> T:
    """Return an answer; a backend that says when to ask again is asked again then, a few times, but not after `until`."""
    for left in reversed(range(_TIMES_ASKED)):
        try:
            return ask()
        except TransientError as problem:
            pause_seconds = _failure_of(problem).retry_after_seconds
            if pause_seconds is None or not left or monotonic() + pause_seconds >= until:
                raise
            sleep(max(pause_seconds, 0.0))
    raise AssertionError


def _ask(spec: BackendSpec, backends: Backends, question: Question) -> tuple[BackendObservation, tuple[Pool, ...]]:
    until = monotonic() + spec.list_timeout_seconds
    driver = _answered(lambda: backends.driver(spec.name), until)
    report = _answered(lambda: report_of(driver), until)
    capabilities = capabilities_of(driver)
    shares = snapshots = None
    unmanaged: tuple[ObservedShare, ...] = ()
    unmanaged_snapshots: tuple[ObservedSnapshot, ...] = ()
    servers = error = None
    if question.lists_something:
        try:
            if question.lists or question.strays:
                ids = None if question.strays else question.resource_ids
                listed = _answered(lambda: all_expected("list_shares", ObservedShare, driver.list_shares(ids)), until)
                shares = {share.resource_id: share for share in listed if share.resource_id is not None}
                unmanaged = tuple(share for share in listed if share.resource_id is None)
            if isinstance(driver, SnapshotsShares) and (question.lists or question.all_snapshots):
                ids, snapshots_of = None if question.all_snapshots else question.resource_ids, driver.list_snapshots
                found = _answered(lambda: all_expected("list_snapshots", ObservedSnapshot, snapshots_of(ids)), until)
                snapshots = {snapshot.resource_id: snapshot for snapshot in found if snapshot.resource_id is not None}
                unmanaged_snapshots = tuple(snapshot for snapshot in found if snapshot.resource_id is None)
        except BackendUnavailableError as problem:
            error = _failure_of(problem).message
    if spec.share_servers and isinstance(driver, HandlesShareServers) and error is None:
        try:
            servers = _ask_servers(spec, driver, backends, question, until)
        except BackendUnavailableError as problem:
            error = _failure_of(problem).message
    pools: tuple[Pool, ...] = ()
    if question.pools and spec.enabled:
        pools = _pools(spec, driver, report, capabilities, until)
    observation = BackendObservation(
        backend=spec.name,
        capabilities=capabilities,
        report=report,
        shares=shares,
        snapshots=snapshots,
        unmanaged_snapshots=unmanaged_snapshots,
        unmanaged=unmanaged,
        clones_within=driver.clones_within if isinstance(driver, ClonesSnapshots) else "backend",
        error=error,
        asked_ids=question.resource_ids,
        all_snapshots=question.all_snapshots,
        servers=servers,
    )
    return observation, pools


def _ask_servers(
    spec: BackendSpec, driver: HandlesShareServers, backends: Backends, question: Question, until: float
) -> ServerObservation:
    def ask() -> ServerObservation:
        return observe_servers(
            driver,
            lambda: backends.networks.plugin(spec.name),
            question.subnets,
            lists=question.lists,
            resource_ids=question.resource_ids,
        )

    return _answered(ask, until)


def pools_on(spec: BackendSpec, backends: Backends) -> tuple[Pool, ...]:
    """Return the pools of a backend as they are now. Raises DriverError."""
    until = monotonic() + spec.list_timeout_seconds
    driver = backends.driver(spec.name)
    report = _answered(lambda: report_of(driver), until)
    return _pools(spec, driver, report, capabilities_of(driver), until)


def _pools(
    spec: BackendSpec, driver: Driver, report: BackendReport, capabilities: frozenset[Capability], until: float
) -> tuple[Pool, ...]:
    from sharectl.scheduler.pools import pool_from_report  # noqa: PLC0415 - only where something is to be placed

    found = _answered(lambda: pools_of(driver), until)
    return tuple(pool_from_report(spec, report, pool, capabilities) for pool in found)
