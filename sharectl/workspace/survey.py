"""A repository at work: its project, manifests, state and backends brought together for the planner and the engine."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from sharectl.drivers.base import (
    BackendUnavailableError,
    Capability,
    ChecksConfig,
    ClonesSnapshots,
    DriverEnvironment,
    DriverError,
    ObservedShare,
    ObservedSnapshot,
    SettlesExports,
    SnapshotsShares,
    capabilities_of,
)
from sharectl.drivers.ignoring import leaving_alone
from sharectl.drivers.registry import UnknownDriverError, driver_factory, driver_names, make_secret_resolver
from sharectl.drivers.secret_references import missing_secrets
from sharectl.drivers.share_servers import HandlesShareServers
from sharectl.engine.answers import all_expected, pools_of, report_of, told
from sharectl.manifests.loader import load
from sharectl.model.diagnostics import error, warning
from sharectl.model.ignoring import IgnoreList
from sharectl.model.kinds import Kind, address_of, is_of, name_of, resource_of
from sharectl.model.settings import SchedulerSettings
from sharectl.model.specs import Protocol
from sharectl.opening import OpenedOnce
from sharectl.parallel import ask_each
from sharectl.plan import addresses_with_rules, plan
from sharectl.planner.access.exports import export_wishes
from sharectl.planner.backends.problems import extra_spec_findings, storage_findings
from sharectl.planner.drift import find_deviations
from sharectl.planner.imports.unfinished import import_address
from sharectl.planner.observed import BackendObservation
from sharectl.workspace.share_servers import NetworkServices, observe_servers, server_findings, subnets_to_check

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from sharectl.drivers.base import BackendReport, ConfigProblem, Driver, SecretResolver
    from sharectl.manifests.desired import Desired
    from sharectl.manifests.loader import Loaded
    from sharectl.manifests.project import Project
    from sharectl.model.backends import BackendSpec
    from sharectl.model.canonical import JsonObject
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address
    from sharectl.model.plans import Plan
    from sharectl.model.records import LockStatus, RuleRecord, StateView
    from sharectl.model.share_networks import ShareNetworkSubnet
    from sharectl.planner.access.exports import ExportWishes
    from sharectl.planner.observed import Observed, ServerObservation
    from sharectl.planner.options import PlanOptions
    from sharectl.scheduler import Pool
    from sharectl.state.contract import StateReader, StateStore

QUESTION_TIMEOUT_SECONDS = 120.0
CLOSE_TIMEOUT_SECONDS = 20.0
_ASKED_BY_ID = {"full": ("share", "snapshot", "share_server"), "changed": ("share", "snapshot")}


def driver_schema(name: str) -> JsonObject | None:
    """Return the schema of `spec.config` for the driver called `name`, or None where there is no such driver."""
    try:
        return driver_factory(name).config_schema
    except DriverError:
        return None


def load_manifests(
    project: Project,
    sources: Sequence[str] = (),
    *,
    directory: Path,
    only: Collection[Address] | None = None,
    stdin: BinaryIO | None = None,
) -> Loaded:
    """Return the manifests of the project, or of `sources` (under `directory`) where the user named some, with all that is wrong."""
    from sharectl.manifests.cache import ManifestCache  # noqa: PLC0415 - brings in sqlite3

    loaded = load(
        list(sources) or list(project.manifests),
        base_directory=directory if sources else project.root,
        cache=ManifestCache(project.cache_directory),
        driver_schema=driver_schema,
        known_drivers=driver_names,
        only=only,
        stdin=stdin,
    )
    wrong = (
        *setting_findings(project, directory),
        *server_findings(loaded.desired),
        *config_findings(loaded.desired),
        *storage_findings(loaded.desired, str(project.root), _own_folders(project)),
        *extra_spec_findings(loaded.desired),
    )
    return replace(loaded, diagnostics=(*wrong, *loaded.diagnostics)) if wrong else loaded


def _own_folders(project: Project) -> dict[str, str]:
    """Return the folders in which no backend may keep its storage, resolved, and what they are."""
    folders = {str(project.state_path.parent.resolve()): "the folder of the state"}
    folders[str(project.cache_directory.resolve())] = "the folder of the cache"
    return folders


def secret_findings(desired: Desired, project: Project) -> tuple[Diagnostic, ...]:
    """Return an error for each secret that a backend's manifest refers to and that is not there now."""
    resolver = make_secret_resolver(str(project.root))
    return tuple(
        error(
            "backend.secret",
            f"backend {name}: {problem.summary}",
            remedy=problem.remedy,
            address=address_of(Kind.BACKEND, name),
            source=desired.field_source(address_of(Kind.BACKEND, name), "spec", *problem.path),
        )
        for name, spec in desired.backends.items()
        for problem in _missing_secrets(spec, resolver)
    )


def _missing_secrets(spec: BackendSpec, resolver: SecretResolver) -> tuple[ConfigProblem, ...]:
    configs = {"config": spec.config}
    if spec.network is not None:
        configs["network"] = {"config": spec.network.config}
    return missing_secrets(configs, resolver)


def config_findings(desired: Desired) -> tuple[Diagnostic, ...]:
    """Return an error for everything in the configuration of a backend that meets the schema and that its driver finds wrong all the same."""
    return tuple(
        error(
            "backend.config",
            problem.summary,
            remedy=problem.remedy,
            address=address_of(Kind.BACKEND, name),
            source=desired.field_source(address_of(Kind.BACKEND, name), "spec", "config", *problem.path),
        )
        for name, spec in desired.backends.items()
        for problem in _config_problems(spec)
    )


def _config_problems(spec: BackendSpec) -> Sequence[ConfigProblem]:
    try:
        factory = driver_factory(spec.driver)
    except DriverError:
        return ()  # a finding of the manifest's own
    if not isinstance(factory, ChecksConfig):
        return ()
    import jsonschema_rs  # noqa: PLC0415 - only for drivers that check more than their schema

    if not jsonschema_rs.Draft202012Validator(factory.config_schema).is_valid(dict(spec.config)):
        return ()  # said already, and what does not meet the schema cannot be looked into
    return factory.config_problems(spec)


def setting_findings(project: Project, directory: Path) -> tuple[Diagnostic, ...]:
    """Return an error for each scheduler setting that cannot work, at its place in the project file as seen from `directory`."""
    if project.scheduler == SchedulerSettings():
        return ()
    from sharectl.manifests.project import setting_source  # noqa: PLC0415 - only where something other than the default is set
    from sharectl.scheduler import setting_problems  # noqa: PLC0415 - as above

    return tuple(
        replace(problem.diagnostic, source=setting_source(project, problem.setting, directory, key=problem.at_key))
        for problem in setting_problems(project.scheduler)
    )


class Backends:
    """Opens the driver of each backend once, whichever thread asks first; closes them all at the end."""

    def __init__(self, specs: Mapping[str, BackendSpec], base_directory: str) -> None:
        """Know the backends of `specs`; relative paths in their configuration are under `base_directory`."""
        self._specs = dict(specs)
        resolver = make_secret_resolver(base_directory)
        self._environment = DriverEnvironment(base_directory, resolver)
        self.networks = NetworkServices(self._specs, base_directory, resolver)
        self._drivers: OpenedOnce[Driver] = OpenedOnce(self._open, lambda driver: driver.close())

    def driver(self, backend: str) -> Driver:
        """Return the driver of the backend; one that opens slowly holds up no other. Raises DriverError."""
        return self._drivers.get(backend)

    def missing_secrets(self, backend: str) -> tuple[ConfigProblem, ...]:
        """Return the secrets of the backend that are not there now, by their paths within its `spec`."""
        spec = self._specs.get(backend)
        return () if spec is None else _missing_secrets(spec, self._environment.resolve_secret)

    def width(self, backend: str) -> int:
        """Return how many calls may run on the backend at once."""
        spec = self._specs.get(backend)
        return 1 if spec is None else spec.lanes

    def _open(self, backend: str) -> Driver:
        spec = self._specs.get(backend)
        if spec is None:
            message = f"backend {backend} has no manifest"
            raise DriverError(message)
        driver = driver_factory(spec.driver).open(spec, self._environment)
        return leaving_alone(driver, IgnoreList.from_plain(spec.ignore))

    def close(self) -> tuple[Diagnostic, ...]:
        """Close every driver and network service that was opened; return a warning for each that could not be, or not in time."""
        of_networks = self.networks.close()
        of_drivers = self._drivers.close(CLOSE_TIMEOUT_SECONDS)
        return (
            *(_not_closed(name, "the driver", problem) for name, problem in sorted(of_drivers.items())),
            *(_not_closed(name, "the network service", problem) for name, problem in sorted(of_networks.items())),
        )


def _not_closed(backend: str, what: str, problem: str) -> Diagnostic:
    return warning(
        "backend.not-closed",
        f"{what} of backend {backend} could not be closed: {problem}",
        detail="what the command did is done and recorded; the driver may have left a connection or a process behind.",
        remedy="look for those where the backend is; if it happens each time, tell whoever wrote the driver",
        address=address_of(Kind.BACKEND, backend),
    )


@contextmanager
def opened_backends(
    specs: Mapping[str, BackendSpec], project: Project, warn: Callable[[Sequence[Diagnostic]], object]
) -> Iterator[Backends]:
    """Yield the backends, and close their drivers afterwards; `warn` is told of those that could not be."""
    backends = Backends(specs, str(project.root))
    try:
        yield backends
    finally:
        problems = backends.close()
        if problems:
            warn(problems)


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


def survey(specs: Mapping[str, BackendSpec], backends: Backends, questions: Mapping[str, Question]) -> Survey:
    """Ask every backend its question, side by side; one that does not answer is observed with its error."""
    asked = {name: question for name, question in questions.items() if question.lists_something or question.pools}
    answers = ask_each(sorted(asked), lambda name: _ask(specs[name], backends, asked[name]), QUESTION_TIMEOUT_SECONDS)
    observed: dict[str, BackendObservation] = {}
    pools: list[Pool] = []
    for name in sorted(specs):
        answer = answers.get(name)
        if answer is not None and answer.value is not None:
            observed[name], found = answer.value
            pools += found
            continue
        error = None
        if answer is not None:
            error = f"no answer within {QUESTION_TIMEOUT_SECONDS:g} s" if answer.error is None else told(answer.error)
        asked_ids = asked[name].resource_ids if name in asked else frozenset()
        observed[name] = BackendObservation(name, _capabilities(specs[name]), error=error, asked_ids=asked_ids)
    for name, seen in tuple(observed.items()):
        if problems := backends.missing_secrets(name):
            observed[name] = replace(seen, missing_secrets=problems)
    return Survey(observed, tuple(pools))


def _capabilities(spec: BackendSpec) -> frozenset[Capability]:
    try:
        return driver_factory(spec.driver).capabilities
    except UnknownDriverError:
        return frozenset()


def _ask(spec: BackendSpec, backends: Backends, question: Question) -> tuple[BackendObservation, tuple[Pool, ...]]:
    driver = backends.driver(spec.name)
    report = report_of(driver)
    capabilities = capabilities_of(driver)
    shares = snapshots = None
    unmanaged: tuple[ObservedShare, ...] = ()
    unmanaged_snapshots: tuple[ObservedSnapshot, ...] = ()
    servers = error = None
    if question.lists_something:
        try:
            if question.lists or question.strays:
                ids = None if question.strays else question.resource_ids
                listed = all_expected("list_shares", ObservedShare, driver.list_shares(ids))
                shares = {share.resource_id: share for share in listed if share.resource_id is not None}
                unmanaged = tuple(share for share in listed if share.resource_id is None)
            if isinstance(driver, SnapshotsShares) and (question.lists or question.all_snapshots):
                ids = None if question.all_snapshots else question.resource_ids
                found = all_expected("list_snapshots", ObservedSnapshot, driver.list_snapshots(ids))
                snapshots = {snapshot.resource_id: snapshot for snapshot in found if snapshot.resource_id is not None}
                unmanaged_snapshots = tuple(snapshot for snapshot in found if snapshot.resource_id is None)
        except BackendUnavailableError as problem:
            error = str(problem)
    if spec.share_servers and isinstance(driver, HandlesShareServers) and error is None:
        try:
            servers = _ask_servers(spec, driver, backends, question)
        except BackendUnavailableError as problem:
            error = str(problem)
    pools: tuple[Pool, ...] = ()
    if question.pools and spec.enabled:
        pools = _pools(spec, driver, report, capabilities)
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
    spec: BackendSpec, driver: HandlesShareServers, backends: Backends, question: Question
) -> ServerObservation:
    return observe_servers(
        driver,
        lambda: backends.networks.plugin(spec.name),
        question.subnets,
        lists=question.lists,
        resource_ids=question.resource_ids,
    )


def _pools(
    spec: BackendSpec, driver: Driver, report: BackendReport, capabilities: frozenset[Capability]
) -> tuple[Pool, ...]:
    from sharectl.scheduler import pool_from_report  # noqa: PLC0415 - only where something is to be placed

    return tuple(pool_from_report(spec, report, pool, capabilities) for pool in pools_of(driver))


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What a plan is made of besides the options: how much of reality is looked at."""

    options: PlanOptions
    refresh: str = "full"


def make_plan(project: Project, desired: Desired, store: StateStore, backends: Backends, request: PlanRequest) -> Plan:
    """Read the state, ask the backends what the refresh mode wants to know, and return the plan."""
    writer = _other_writer(store)
    with store.read() as reader:
        addresses = _addresses_to_read(desired, request.options)
        view = reader.view(addresses)
        if any(spec.share_servers for spec in desired.backends.values()):
            backends.networks.attach_for_reading(reader, view.lineage)
            view = replace(view, records={**reader.of_kind(Kind.SHARE_SERVER), **view.records})
        questions = questions_for(desired, view, request)
        if addresses is not None and any(looks_for_strays(question) for question in questions.values()):
            view = reader.view()  # what is not in a part of the state may be in another
        found = survey(desired.backends, backends, questions)
        view = replace(view, writer=writer or _other_writer(store))
        deviations = find_deviations(view, found.observed)
        view = replace(view, rules=_rules(reader, addresses_with_rules(desired, view, deviations, request.options)))
    wishes = _export_wishes(desired, questions)
    return plan(desired, view, found.observed, found.pools, request.options, project.scheduler, deviations, wishes)


def _export_wishes(desired: Desired, questions: Mapping[str, Question]) -> dict[str, ExportWishes]:
    """Return the settings that exports are to have on each backend that is asked, where its driver says them."""
    extra_specs = {name: share_type.extra_specs for name, share_type in desired.share_types.items()}
    wishes = {}
    for name in questions:
        spec = desired.backends[name]
        try:
            factory = driver_factory(spec.driver)
        except (UnknownDriverError, DriverError):
            continue  # the survey has said so
        if isinstance(factory, SettlesExports):
            settings_of = partial(factory.export_settings, spec)
            wishes[name] = export_wishes(settings_of, tuple(Protocol), extra_specs)
    return wishes


def looks_for_strays(question: Question) -> bool:
    """Tell whether the answer shows what the state does not know."""
    return question.strays or question.all_snapshots or (question.lists and question.resource_ids is None)


def _other_writer(store: StateStore) -> LockStatus | None:
    """Return who holds the lock, unless that is this process, or one that is known to have ended."""
    status = store.lock_status()
    if status is None or status.expired:
        return None
    own = status.holder.process_id == os.getpid() and status.holder.host == socket.gethostname()
    return None if own else status


def _rules(reader: StateReader, addresses: Collection[Address]) -> Mapping[Address, tuple[RuleRecord, ...]]:
    return reader.rules(addresses) if addresses else {}


def _addresses_to_read(desired: Desired, options: PlanOptions) -> set[Address] | None:
    """Return the addresses whose rows matter to a plan of targets; None where all do."""
    if not options.targets:
        return None
    targets = {resource_of(target) for target in options.targets}
    if not all(
        target in desired.digests or (is_of(Kind.BACKEND, target) and name_of(target) in desired.backends)
        for target in targets
    ):
        return None  # something is to be removed: what depends on it may have no manifest either
    wanted = targets | set(desired.digests)
    wanted.update(address_of(Kind.BACKEND, name) for name in desired.backends)
    wanted.update(import_address(address) for address in desired.digests)
    for former in desired.moves.values():
        wanted.update(former)
    for address in desired.digests:
        if is_of(Kind.SHARE, address):
            hints = desired.share(address).hints
            wanted.update(address_of(Kind.SHARE, name) for name in (*hints.same_host, *hints.different_host))
    return wanted


def questions_for(desired: Desired, view: StateView, request: PlanRequest) -> dict[str, Question]:
    """Return what each backend is asked.

    `full` lists everything on every backend (of targets, just those), `changed` looks up what the manifests would change,
    `none` asks nothing. In each mode a backend that the state does not know is listed whole; where something is to be placed, so are
    all shares, and the pools are asked; where a share may be removed, all snapshots of its backend are.
    """
    options, records = request.options, view.records
    places = _places_something(desired, view, options)
    ids: dict[str, set[str]] = {}
    whole = request.refresh == "full" and not options.targets
    if request.refresh != "none" and not whole:
        for address, record in records.items():
            looks = request.refresh == "full" or desired.digests.get(address) != record.digest
            if looks and record.backend is not None and record.kind in _ASKED_BY_ID[request.refresh]:
                ids.setdefault(record.backend, set()).add(record.resource_id)
    importing = {wanted.backend for wanted in options.imports.values()}
    removing = set() if whole else _backends_of_removals(desired, view, options)
    takes = not whole and any(is_of(Kind.SNAPSHOT, address) and address not in records for address in desired.digests)
    subnets = subnets_to_check(desired, view) if places else {}
    questions = {}
    for name in desired.backends:
        listed_whole = whole or name in importing or address_of(Kind.BACKEND, name) not in records
        if not (
            listed_whole or places or takes or name in removing or not options.backends or name in options.backends
        ):
            continue
        questions[name] = Question(
            lists=listed_whole or name in ids,
            resource_ids=None if listed_whole else frozenset(ids.get(name, ())),
            strays=places,
            all_snapshots=takes or name in removing,
            pools=places,
            subnets=subnets.get(name, {}),
        )
    return questions


def _backends_of_removals(desired: Desired, view: StateView, options: PlanOptions) -> set[str]:
    """Return the backends from which the plan may remove a share, and with it snapshots that nobody has listed."""
    found: set[str] = set()
    for address, record in view.records.items():
        if record.kind == Kind.SHARE and record.backend is not None and record.backend not in found:
            digest = desired.digests.get(address)
            replaced = digest is not None and (
                address in options.replaces
                or (record.digest[:16] != digest[:16] and desired.share(address).replacement != "refuse")
            )
            if digest is None or options.destroy or replaced:
                found.add(record.backend)
    return found


def _places_something(desired: Desired, view: StateView, options: PlanOptions) -> bool:
    """Tell whether the plan may hold a new share; sure only afterwards, hence the replacements that are merely possible."""
    if options.destroy:
        return False
    if options.replaces:
        return True
    records = view.records
    for address, digest in desired.digests.items():
        if is_of(Kind.SHARE, address):
            record = records.get(address)
            if record is None:
                return True
            if record.digest[:16] != digest[:16] and desired.share(address).replacement != "refuse":
                return True
    return False
