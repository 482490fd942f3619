"""Plans as the options of a command ask for them: made, measured and shown."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from sharectl.cli.session import parse_addresses, parse_labels
from sharectl.model.diagnostics import Severity
from sharectl.render.formats import Format

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from sharectl.cli.options import PlanChoices
    from sharectl.cli.session import Session
    from sharectl.model.backends import BackendSpec
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.plans import Plan
    from sharectl.planner.options import PlanOptions
    from sharectl.state.contract import StateStore
    from sharectl.workspace.metrics import Measured
    from sharectl.workspace.plans import Planner
    from sharectl.workspace.usage import UseSeen


def planner(session: Session, choices: PlanChoices, *, destroy: bool = False) -> Planner:
    """Return the planner of what the options say, with the manifests that it needs: all, or those of its targets."""
    from sharectl.workspace.plans import Planner, owners

    options = _options(session, choices, destroy=destroy)
    desired = session.repository.desired(owners(options) or None)
    options = replace(options, elsewhere=session.repository.elsewhere())
    return Planner(session.repository, desired, options, choices.refresh.value)


def looking_planner(session: Session, choices: PlanChoices) -> tuple[Planner, bool]:
    """Return a planner that only looks, and whether all manifests could be read: with those that could not, no plan is to be trusted."""
    from sharectl.workspace.plans import Planner, owners

    options = _options(session, choices)
    desired, is_whole = session.readable(owners(options) or None)
    return Planner(session.repository, desired, options, choices.refresh.value), is_whole


def _options(session: Session, choices: PlanChoices, *, destroy: bool = False) -> PlanOptions:
    from sharectl.planner.options import PlanOptions

    return PlanOptions(
        targets=parse_addresses(choices.target),
        excludes=parse_addresses(choices.exclude),
        labels=parse_labels(choices.label),
        backends=frozenset(choices.backend or ()),
        replaces=parse_addresses(choices.replace),
        limits=session.project.safety,
        allow_deletions=choices.allow_deletions,
        allow_recreations=choices.allow_recreations,
        allow_revocations=choices.allow_revocations,
        allow_empty=choices.allow_empty,
        override_protection=parse_addresses(choices.override_protection),
        destroy=destroy,
        allow_unreadable=frozenset(choices.allow_unreadable or ()),
        allow_shared=frozenset(choices.allow_shared or ()),
    )


@contextmanager
def gathered(session: Session, output: Format) -> Iterator[tuple[Session, list[Diagnostic]]]:
    """Yield a session whose warnings are kept, for a format that has them in its document; they are told if there is none after all."""
    told: list[Diagnostic] = []
    if not output.is_for_a_forge:
        yield session, told
        return
    try:
        yield replace(session, repository=replace(session.repository, tell=told.extend)), told
    except BaseException:
        session.output.diagnostics(told)
        raise


def measuring(session: Session, path: Path | None, command: str) -> AbstractContextManager[Measured | None]:
    """Return what yields that which the command is to fill for `--metrics FILE`, None where no file was named. Raises DiagnosticError."""
    if path is None:
        return nullcontext()
    from sharectl.cli.metrics import written_afterwards

    return written_afterwards(session, path, command)


@contextmanager
def _measured(
    measured: Measured | None, plan: Plan, store: StateStore, specs: Mapping[str, BackendSpec]
) -> Iterator[None]:
    """Measure what the plan says, and what the state holds after the block."""
    try:
        yield
    finally:
        if measured is not None:
            measured.plan, measured.backends = plan, specs.keys()
            measured.look(store)


def planned(
    session: Session, make_plan: Planner, seen: UseSeen | None = None, measured: Measured | None = None
) -> Plan:
    """Return the plan for a command that changes nothing; one from a state that a kept copy has overtaken is stopped.

    What was `seen` of use is noted, unless that is so.
    """
    repository = session.repository
    with (
        repository.store(tells_overtaken=False) as store,
        repository.backends(make_plan.desired.backends) as backends,
    ):
        plan, found = make_plan(store, backends), repository.overtaken(store)
        with _measured(measured, plan, store, make_plan.desired.backends):
            if seen is not None and found is None:
                session.output.diagnostics(seen.note(store, backends, make_plan.desired.backends))
    if found is None:
        return plan
    is_stopped = plan.is_stopped or found.severity is Severity.ERROR
    return replace(plan, diagnostics=(found, *plan.diagnostics), is_stopped=is_stopped)


def show_plan(
    session: Session, plan: Plan, output: Format, *, verbose: bool = False, hint: bool = False, brief: bool = False
) -> None:
    """Write the plan in the format that was asked for, and its diagnostics; `hint` adds what to do with it, a `brief` text is the sum."""
    out = session.output
    out.show("plan", output, plan, verbose=verbose, hint=hint, brief=brief)
    if plan.diagnostics and output is not Format.GITHUB:  # annotations have said so, in the same log
        out.diagnostics(plan.diagnostics)
