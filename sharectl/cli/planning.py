"""What plan, apply, destroy and import have in common: options made into values, and a plan made and shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sharectl.cli.options import Format
from sharectl.cli.session import desired_of, parse_addresses, parse_labels

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sharectl.cli.session import Session
    from sharectl.manifests.desired import Desired
    from sharectl.model import Address
    from sharectl.planning.options import PlanOptions
    from sharectl.planning.types import Plan
    from sharectl.state.store import StateStore
    from sharectl.workspace import Backends


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


def options_from(session: Session, words: Words) -> PlanOptions:
    """Return the options that the words say. Raises DiagnosticError."""
    from sharectl.planning.options import PlanOptions

    return PlanOptions(
        targets=parse_addresses(words.target),
        excludes=parse_addresses(words.exclude),
        labels=parse_labels(words.label),
        backends=frozenset(words.backend or ()),
        replaces=parse_addresses(words.replace),
        limits=session.project.safety,
        allow_deletions=words.allow_deletions,
        allow_recreations=words.allow_recreations,
        allow_empty=words.allow_empty,
        override_protection=parse_addresses(words.override_protection),
        destroy=words.destroy,
    )


def manifests_for(session: Session, files: Sequence[str] | None, options: PlanOptions) -> Desired:
    """Return the manifests that the plan needs: all, or those of its targets."""
    only: Collection[Address] | None = (
        {t.partition("/access/")[0] for t in options.targets} if options.targets else None
    )
    return desired_of(session, files, only)


def planned(  # noqa: PLR0917 - everything that a plan is made of
    session: Session,
    desired: Desired,
    store: StateStore,
    backends: Backends,
    options: PlanOptions,
    refresh: str,
) -> Plan:
    """Return the plan."""
    from sharectl.workspace import PlanRequest, make_plan

    return make_plan(session.project, desired, store, backends, PlanRequest(options, refresh))


def show_plan(session: Session, plan: Plan, output: Format) -> None:
    """Write the plan in the format that was asked for, and its diagnostics."""
    out = session.output
    if output is Format.JSON:
        from sharectl.render.plan_json import plan_object

        out.write_json(plan_object(plan))
    elif output is Format.MARKDOWN:
        from sharectl.render.plan_markdown import plan_markdown

        out.write_lines(plan_markdown(plan))
    else:
        from sharectl.render.plan_text import plan_lines

        out.write_lines(plan_lines(plan, color=out.color_out))
    if plan.diagnostics:
        out.diagnostics(plan.diagnostics)
