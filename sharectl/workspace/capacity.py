"""The pools of the backends, now and once the manifests are applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.model.diagnostics import DiagnosticError, error, one_of, warning
from sharectl.model.frozen import dataclass
from sharectl.model.kinds import Kind, address_of
from sharectl.model.plans import CreateShare, ResizeShare
from sharectl.model.quantities import GIB
from sharectl.model.verbs import Verb
from sharectl.state.contract import StateError
from sharectl.state.rows import spec_object_of
from sharectl.workspace.lookup import require_backends
from sharectl.workspace.survey import Question, survey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.manifests.desired import Desired
    from sharectl.manifests.project import Project
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.plans import Step
    from sharectl.planner.options import Elsewhere
    from sharectl.scheduler.pools import Pool
    from sharectl.state.contract import StateStore
    from sharectl.workspace.backends import Backends
    from sharectl.workspace.repository import Repository


def survey_pools(
    desired: Desired, backends: Backends, names: frozenset[str] = frozenset()
) -> tuple[tuple[Pool, ...], tuple[Diagnostic, ...]]:
    """Return the pools of these backends (of an empty set: of all), and an error for each backend that did not answer."""
    asked = require_backends(names, desired.backends) or frozenset(desired.backends)
    found = survey(desired.backends, backends, {name: Question(pools=True) for name in asked})
    diagnostics = tuple(
        error(
            "backend.unknown",
            f"backend {name} could not be asked: {seen.error}",
            address=address_of(Kind.BACKEND, name),
        )
        for name, seen in found.observed.items()
        if seen.error is not None
    )
    return found.pools, diagnostics


def promised_room(repository: Repository, pools: Sequence[Pool]) -> tuple[Diagnostic, ...]:
    """Return warnings of the room in these pools that runs at work have promised to their shares."""
    from sharectl.planner.promises import warnings_of  # noqa: PLC0415 - only where pools are shown

    if repository.project.state_path is not None:
        return ()  # a state in a file takes one run at a time
    try:
        with repository.store(hint=False) as store:
            return tuple(warnings_of(repository.promises(store), pools))
    except StateError as failure:
        summary = f"whether other runs have promised room in these pools is not known: {failure}"
        return (warning("pool.promises-unknown", summary, remedy=failure.remedy),)


def pools_of_type(project: Project, desired: Desired, pools: Sequence[Pool], share_type: str) -> tuple[Pool, ...]:
    """Return the pools that shares of the type may use at all. Raises DiagnosticError where there is no such type."""
    from sharectl.scheduler.explanation import suitable_pools  # noqa: PLC0415 - only where it is asked for

    if share_type not in desired.share_types:
        known = sorted(desired.share_types)
        remedy = one_of(share_type, known)
        raise DiagnosticError(error("pools.unknown-type", f"there is no share type named {share_type}", remedy=remedy))
    return suitable_pools(pools, project.scheduler, desired.share_types[share_type])


@dataclass(frozen=True, slots=True)
class Forecast:
    """The pools as they will be once the manifests are applied, and what the plan has to say."""

    pools: tuple[Pool, ...]
    diagnostics: tuple[Diagnostic, ...]


def pools_after_plan(  # noqa: PLR0913, PLR0917 - what a plan is made of
    project: Project,
    desired: Desired,
    store: StateStore,
    backends: Backends,
    pools: Sequence[Pool],
    elsewhere: Elsewhere | None = None,
) -> Forecast:
    """Return what the pools hold after a plan of everything: new shares, growth and shrinkage, and what is deleted.

    `elsewhere` is what the project describes, where the manifests are of other files. Sizes are counted as the scheduler reserves them. Shares that cannot be placed are among the diagnostics, as errors.
    """
    from sharectl.planner.options import PlanOptions  # noqa: PLC0415 - only where a plan is asked for
    from sharectl.scheduler.engine import Scheduler  # noqa: PLC0415 - as above
    from sharectl.scheduler.extra_specs import uses_thin_logic  # noqa: PLC0415 - as above
    from sharectl.scheduler.request import request_from_share  # noqa: PLC0415 - as above
    from sharectl.workspace.plans import PlanRequest, make_plan  # noqa: PLC0415 - as above

    options = PlanOptions(limits=project.safety, elsewhere=elsewhere)
    plan = make_plan(project, desired, store, backends, PlanRequest(options))
    with store.read() as reader:
        records = reader.view().records
    former = {step.address: step.former for step in plan.steps if step.verb is Verb.MOVE}
    scheduler = Scheduler(pools, project.scheduler)
    for step in plan.steps:
        record = records.get(former.get(step.address) or step.address)
        if isinstance(step.work, CreateShare):
            spec, first = step.work.spec, step.work.candidates[0]
            share_type = desired.share_types.get(spec.share_type or "")
            scheduler.reserve(request_from_share(spec, share_type), f"{first.backend}#{first.pool}")
        elif record is not None and record.size_bytes is not None:
            growth_gib = (_size_after(step, record.size_bytes) - record.size_bytes) / GIB
            if growth_gib:
                share_type = desired.share_types.get(spec_object_of(record).get("share_type") or "")
                thin_logic = share_type is None or uses_thin_logic(share_type.extra_specs)
                scheduler.consume(f"{record.backend}#{record.pool}", growth_gib, thin_logic=thin_logic)
    return Forecast(scheduler.pools_after(), plan.diagnostics)


def _size_after(step: Step, size_bytes: int) -> int:
    if isinstance(step.work, ResizeShare):
        return step.work.spec.size_bytes
    return 0 if step.verb is Verb.DELETE_SHARE else size_bytes
