"""What plan, apply, destroy and refresh have in common: options made into values, and a plan made and shown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sharectl.cli.options import Format
from sharectl.cli.session import (
    all_addresses,
    described_elsewhere,
    desired_for_looking,
    desired_of,
    parse_addresses,
    parse_labels,
)
from sharectl.model.diagnostics import DiagnosticError, did_you_mean, error
from sharectl.model.kinds import resource_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.cli.session import Session
    from sharectl.manifests.desired import Desired
    from sharectl.model.plans import Plan
    from sharectl.planner.options import PlanOptions
    from sharectl.state.contract import StateStore
    from sharectl.workspace.backends import Backends


@dataclass(frozen=True, slots=True)
class Words:
    """The options of a plan as the command line has them."""

    target: Sequence[str] | None = None
    exclude: Sequence[str] | None = None
    replace: Sequence[str] | None = None
    label: Sequence[str] | None = None
    backend: Sequence[str] | None = None
    override_protection: Sequence[str] | None = None
    allow_deletions: int = 0
    allow_recreations: int = 0
    allow_empty: bool = False
    destroy: bool = False
    allow_unreadable: Sequence[str] | None = None
    allow_revocations: int = 0
    allow_shared: Sequence[str] | None = None

    @property
    def are_given(self) -> bool:
        """Tell whether the user has said any of them."""
        return self != Words()


@dataclass(frozen=True, slots=True)
class Planner:
    """All that a plan is made of, but for state and backends. `files` are the manifests that the user named, if any."""

    session: Session
    files: Sequence[str] | None
    desired: Desired
    options: PlanOptions
    refresh: str

    def __call__(self, store: StateStore, backends: Backends) -> Plan:
        """Return the plan. Raises DiagnosticError where a target is nowhere to be found."""
        from sharectl.workspace.plans import PlanRequest, make_plan

        self._require_targets(store)
        request = PlanRequest(self.options, self.refresh)
        return make_plan(self.session.project, self.desired, store, backends, request)

    def _require_targets(self, store: StateStore) -> None:
        """Refuse unknown targets with the nearest of all addresses; a plan of targets has read only those."""
        missing = _owners(self.options) - set(self.desired.addresses)
        if missing:
            with store.read() as reader:
                missing -= reader.view(missing).records.keys()
        if missing:
            known = all_addresses(self.session, self.files, store)
            raise DiagnosticError(
                *(
                    error(
                        "plan.unknown-address",
                        f"there is no {address}, neither in the manifests nor in the state",
                        remedy=did_you_mean(address, known) or "`sharectl state list` names what there is",
                        address=address,
                    )
                    for address in sorted(missing)
                )
            )


def planner(session: Session, files: Sequence[str] | None, words: Words, refresh: str) -> Planner:
    """Return the planner of what the words say, with the manifests that it needs: all, or those of its targets."""
    options = options_from(session, words)
    desired = desired_of(session, files, _owners(options) or None)
    if files:
        options = replace(options, elsewhere=described_elsewhere(session))
    return Planner(session, files, desired, options, refresh)


def looking_planner(session: Session, files: Sequence[str] | None, words: Words, refresh: str) -> tuple[Planner, bool]:
    """Return a planner that only looks, and whether all manifests could be read: with those that could not, no plan is to be trusted."""
    options = options_from(session, words)
    desired, is_whole = desired_for_looking(session, files, _owners(options) or None)
    return Planner(session, files, desired, options, refresh), is_whole


def options_from(session: Session, words: Words) -> PlanOptions:
    """Return the options that the words say. Raises DiagnosticError."""
    from sharectl.planner.options import PlanOptions

    return PlanOptions(
        targets=parse_addresses(words.target),
        excludes=parse_addresses(words.exclude),
        labels=parse_labels(words.label),
        backends=frozenset(words.backend or ()),
        replaces=parse_addresses(words.replace),
        limits=session.project.safety,
        allow_deletions=words.allow_deletions,
        allow_recreations=words.allow_recreations,
        allow_revocations=words.allow_revocations,
        allow_empty=words.allow_empty,
        override_protection=parse_addresses(words.override_protection),
        destroy=words.destroy,
        allow_unreadable=frozenset(words.allow_unreadable or ()),
        allow_shared=frozenset(words.allow_shared or ()),
    )


def _owners(options: PlanOptions) -> set[str]:
    """Return the targets, each access rule as its share."""
    return {resource_of(target) for target in options.targets}


def show_plan(session: Session, plan: Plan, output: Format, *, hint: bool = False) -> None:
    """Write the plan in the format that was asked for, and its diagnostics; `hint` adds what to do with it."""
    out = session.output
    if output is Format.JSON:
        from sharectl.render.plan_json import plan_object

        out.write_json(plan_object(plan))
    elif output is Format.MARKDOWN:
        from sharectl.render.plan_markdown import plan_markdown

        out.write_lines(plan_markdown(plan))
    else:
        from sharectl.render.plan_text import plan_lines

        out.write_lines(plan_lines(plan, color=out.color_out, hint=hint))
    if plan.diagnostics:
        out.diagnostics(plan.diagnostics)
