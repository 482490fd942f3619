"""The plan of a repository: read the state, ask the backends what matters, and call the planner."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from sharectl.drivers.base import (
    DriverError,
    SettlesExports,
)
from sharectl.drivers.registry import driver_factory
from sharectl.model.diagnostics import DiagnosticError
from sharectl.model.frozen import dataclass, field
from sharectl.model.kinds import Kind, address_of, is_of, name_of, of_kind, resource_of
from sharectl.model.specs import Protocol, Replacement
from sharectl.plan import plan
from sharectl.planner.exports import export_policy, find_exports
from sharectl.planner.observed import find_deviations
from sharectl.planner.records import outdated_policies
from sharectl.planner.selection import addresses_with_rules, compare, unknown_address
from sharectl.planner.strays import IN_THE_WAY, import_address
from sharectl.state.contract import KeepsPromises
from sharectl.workspace.share_servers import subnets_to_check
from sharectl.workspace.survey import Question, survey

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sharectl.manifests.desired import Desired
    from sharectl.manifests.project import Project
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address
    from sharectl.model.plans import Plan
    from sharectl.model.records import LockStatus, Promise, Record, StateView
    from sharectl.planner.exports import ExportPolicy
    from sharectl.planner.observed import Observed
    from sharectl.planner.options import PlanOptions
    from sharectl.planner.selection import Comparison, Difference
    from sharectl.state.contract import StateStore
    from sharectl.workspace.backends import Backends
    from sharectl.workspace.repository import Repository

    See = Callable[[StateView, Observed, bool], object]
    """Is shown the state, or a part of it, with what the backends answered, and whether it is the whole state."""


_ASKED_BY_ID = {"full": ("share", "snapshot", "share_server"), "changed": ("share", "snapshot")}


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What a plan is made of besides the options: how much of reality is looked at, and who sees it too."""

    options: PlanOptions
    refresh: str = "full"
    see: See | None = None


def make_plan(project: Project, desired: Desired, store: StateStore, backends: Backends, request: PlanRequest) -> Plan:
    """Read the state, ask the backends what the refresh mode wants to know, and return the plan."""
    writer = _other_writer(store)
    with store.read() as reader:
        addresses = _addresses_to_read(desired, request.options)
        view = reader.view(addresses)
        if any(spec.share_servers for spec in desired.backends.values()):
            backends.networks.attach_for_reading(reader, view.lineage)
            view = replace(view, records={**reader.find(kind=Kind.SHARE_SERVER), **view.records})
        compared = compare(desired, view.records, destroy=request.options.destroy)
        questions = questions_for(desired, view, compared, request)
        if addresses is not None and any(looks_for_strays(question) for question in questions.values()):
            view, addresses = reader.view(), None  # what is not in a part of the state may be in another
            compared = compare(desired, view.records, destroy=request.options.destroy)
    promises = _promises(store, questions)  # before pools are asked: what is made meanwhile counts twice, not never
    desired.let_go()  # where shares have changed, all have been decoded by now
    found = survey(desired.backends, backends, questions)  # this may take minutes: the state is not kept open meanwhile
    narrow = {name: found.observed[name] for name, question in questions.items() if not question.strays}
    lost = _backends_of_lost_shares(view, narrow)
    if lost:  # what became of them is seen only by who sees all
        if addresses is not None:
            with store.read() as reader:
                view, addresses = reader.view(), None
            compared = compare(desired, view.records, destroy=request.options.destroy)
        again = survey(desired.backends, backends, {name: replace(questions[name], strays=True) for name in lost})
        found = replace(found, observed={**found.observed, **{name: again.observed[name] for name in lost}})
    if request.see is not None:
        request.see(view, found.observed, addresses is None)
    pools = found.pools
    if promises:
        from sharectl.planner.promises import reduced  # noqa: PLC0415 - where other runs make shares just now

        pools = reduced(pools, promises)
    if request.options.witness is not None:
        request.options.witness.pools = found.pools
        request.options.witness.observed = found.observed
    view = replace(view, writer=writer or _other_writer(store), arrived=_arrived(store, view, found.observed))
    deviations = find_deviations(view, found.observed)
    exports = find_exports(view, found.observed, _export_policies(desired, questions))
    wanted = addresses_with_rules(desired, view, compared, deviations, request.options, exports)
    if wanted:
        with store.read() as reader:
            view = replace(view, rules=reader.rules(wanted), rules_total=reader.count_rules())
    made = plan(desired, view, found.observed, pools, request.options, project.scheduler, deviations, compared, exports)
    if not promises:
        return made
    from sharectl.planner.promises import warnings_of  # noqa: PLC0415 - as above

    return replace(made, diagnostics=(*made.diagnostics, *warnings_of(promises, pools)))


@dataclass(frozen=True, slots=True)
class Planner:
    """All that a plan is made of, except state and backends."""

    repository: Repository
    desired: Desired
    options: PlanOptions
    refresh: str = "full"
    see: See | None = field(default=None, compare=False)

    @property
    def chosen(self) -> frozenset[Address] | None:
        """The addresses that the options name, where they narrow the plan; None where it is of everything."""
        options = self.options
        return frozenset(owners(options)) if options.targets or options.labels or options.backends else None

    def __call__(self, store: StateStore, backends: Backends) -> Plan:
        """Return the plan. Raises DiagnosticError where a target is nowhere to be found."""
        self._require_targets(store)
        request = PlanRequest(self.options, self.refresh, self.see)
        made = make_plan(self.repository.project, self.desired, store, backends, request)
        lost = self._state_of_what_is_in_the_way(store, made)
        return made if lost is None else replace(made, diagnostics=(lost, *made.diagnostics))

    def _state_of_what_is_in_the_way(self, store: StateStore, made: Plan) -> Diagnostic | None:
        in_the_way = {found.address for found in made.diagnostics if found.code == IN_THE_WAY and found.address}
        if not in_the_way:
            return None
        from sharectl.workspace.copies import replaced_state  # noqa: PLC0415 - only where something is in the way

        return replaced_state(store, self.repository.project, self.repository.environ, in_the_way)

    def _require_targets(self, store: StateStore) -> None:
        """Refuse unknown targets with the nearest of all addresses; a plan of targets has read only those."""
        missing = owners(self.options)
        if missing and (missing := missing - set(self.desired.addresses)):
            with store.read() as reader:
                missing -= reader.view(missing).records.keys()
        if missing:
            raise DiagnosticError(
                *(
                    unknown_address(self.desired, address, partial(self.repository.nearest, address, store))
                    for address in sorted(missing)
                )
            )


def owners(options: PlanOptions) -> set[Address]:
    """Return the targets, each access rule as its share."""
    return {resource_of(target) for target in options.targets}


def _export_policies(desired: Desired, questions: Mapping[str, Question]) -> dict[str, ExportPolicy]:
    """Return the settings that exports are to have on each backend that is asked, where its driver says them."""
    extra_specs = {name: share_type.extra_specs for name, share_type in desired.share_types.items()}
    policies = {}
    for name in questions:
        spec = desired.backends[name]
        try:
            factory = driver_factory(spec.driver)
        except DriverError:
            continue  # the survey has said so
        if isinstance(factory, SettlesExports):
            settings_of = partial(factory.export_settings, spec)
            policies[name] = export_policy(settings_of, tuple(Protocol), extra_specs)
    return policies


def looks_for_strays(question: Question) -> bool:
    """Tell whether the answer shows what the state does not know."""
    return question.strays or question.all_snapshots or (question.lists and question.resource_ids is None)


def _backends_of_lost_shares(view: StateView, observed: Observed) -> list[str]:
    """Return the backends that were asked for some of their shares, and did not have them all."""
    found: set[str] = set()
    if not any(seen.shares is not None and seen.asked_ids is not None for seen in observed.values()):
        return []
    for record in view.records.values():
        seen = observed.get(record.backend or "")
        if (
            record.kind == Kind.SHARE
            and seen is not None
            and seen.shares is not None
            and seen.asked_ids is not None
            and record.resource_id in seen.asked_ids
            and record.resource_id not in seen.shares
        ):
            found.add(seen.backend)
    return sorted(found)


def _other_writer(store: StateStore) -> LockStatus | None:
    """Return who holds the lock, unless that is this process, or one that is known to have ended."""
    me = (os.getpid(), os.uname().nodename)
    living = (status for status in store.leases() if not status.expired)
    return next((status for status in living if (status.holder.process_id, status.holder.host) != me), None)


def _promises(store: StateStore, questions: Mapping[str, Question]) -> Sequence[Promise]:
    """Return the room that runs have promised, where any pool matters."""
    if not isinstance(store, KeepsPromises) or not any(question.pools for question in questions.values()):
        return ()
    return store.promises()


def _arrived(store: StateStore, view: StateView, observed: Observed) -> frozenset[str]:
    """Return the ids of what backends hold that the view does not know, and the state does by now: another run has made it meanwhile."""
    held: set[str] = set()
    for seen in observed.values():
        held.update(seen.shares or (), seen.snapshots or ())
        servers = seen.servers
        if servers is not None:
            held.update(servers.servers or ())
            held.update(allocation.share_server_id for allocation in (servers.allocations or {}).values())
    if not held:
        return frozenset()
    held.difference_update(record.resource_id for record in view.records.values())
    held.difference_update(operation.resource_id for operation in view.operations)
    if not held:
        return frozenset()
    with store.read() as reader:
        recorded = {record.resource_id for record in reader.with_ids(held).values()}
        begun = {operation.resource_id for operation in reader.view(()).operations}
    return frozenset(held & (recorded | begun))


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


def questions_for(desired: Desired, view: StateView, compared: Comparison, request: PlanRequest) -> dict[str, Question]:
    """Return what each backend is asked.

    `full` lists everything on every backend (of targets, just those), `changed` looks up what the manifests would change,
    `none` asks nothing. In each mode a backend that the state does not know is listed whole; where something is to be placed, so are
    all shares, and the pools are asked; where a share grows, or snapshots of it are to be taken, its pool is; where a share may be removed, all
    snapshots of its backend are.
    """
    options, records = request.options, view.records
    places = _places_something(compared, options)
    pools = places or options.witness is not None
    asking = set() if pools or options.destroy else _backends_with_pools_to_ask(desired, records, compared)
    ids: dict[str, set[str]] = {}
    whole = request.refresh == "full" and not options.targets
    if request.refresh != "none" and not whole:
        for address, record in records.items():
            looks = request.refresh == "full" or not record.is_applied(desired.digests.get(address, b""))
            if looks and record.backend is not None and record.kind in _ASKED_BY_ID[request.refresh]:
                ids.setdefault(record.backend, set()).add(record.resource_id)
    importing = {wanted.backend for wanted in options.imports.values()}
    removing = set() if whole else _backends_of_removals(records, options, compared)
    takes = not whole and any(is_of(Kind.SNAPSHOT, address) for address in compared.missing)
    subnets = subnets_to_check(desired, view) if places else {}
    questions = {}
    for name in desired.backends:
        listed_whole = whole or name in importing or address_of(Kind.BACKEND, name) not in records
        asks = pools or name in asking
        if not (listed_whole or asks or takes or name in removing or not options.backends or name in options.backends):
            continue
        questions[name] = Question(
            lists=listed_whole or name in ids,
            resource_ids=None if listed_whole else frozenset(ids.get(name, ())),
            strays=places,
            all_snapshots=takes or name in removing,
            pools=asks,
            subnets=subnets.get(name, {}),
        )
    return questions


def _backends_of_removals(records: Mapping[Address, Record], options: PlanOptions, compared: Comparison) -> set[str]:
    """Return the backends from which the plan may remove a share, and with it snapshots that nobody has listed."""
    rows = [records[address] for address in {*compared.without_manifest, *options.replaces} if address in records]
    rows += (different.record for different in compared.different.values() if _may_be_replaced(different))
    return {row.backend for row in rows if row.kind == Kind.SHARE and row.backend is not None}


def _backends_with_pools_to_ask(desired: Desired, records: Mapping[Address, Record], compared: Comparison) -> set[str]:
    """Return the backends of shares that are there, and grow, or of which snapshots may be taken by the plan or by a new policy: not each pool can."""
    of_types = any(share_type.snapshot_policy for share_type in desired.share_types.values())
    shares = outdated_policies(desired, records) if of_types else set()
    for address in of_kind(Kind.SNAPSHOT, chain(compared.missing, compared.different)):
        shares.add(address_of(Kind.SHARE, desired.snapshot(address).share))
    found = {records[address].backend for address in shares if address in records}
    for record, wanted, _ in compared.different.values():
        if wanted is not None and (
            wanted.example.snapshot_policy is not None or wanted.example.size_bytes > (record.size_bytes or 0)
        ):
            found.add(record.backend)
    return {backend for backend in found if backend is not None}


def _places_something(compared: Comparison, options: PlanOptions) -> bool:
    """Tell whether the plan may hold a new share; sure only afterwards, hence the replacements that are merely possible."""
    if options.destroy:
        return False
    if options.replaces:
        return True
    return any(is_of(Kind.SHARE, address) for address in compared.missing) or any(
        map(_may_be_replaced, compared.different.values())
    )


def _may_be_replaced(different: Difference) -> bool:
    """Tell whether a share may give way to a new one, because of what its manifest says now."""
    return different.wanted is not None and different.wanted.example.replacement != Replacement.REFUSE
