"""The options that several commands have, each written once."""

from __future__ import annotations

import inspect
from dataclasses import fields
from enum import StrEnum
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from sharectl.cli.complete import complete_address, complete_backend
from sharectl.model.frozen import dataclass
from sharectl.render.formats import DOCUMENTS, Format

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def output(*documents: str, among: Iterable[Format] = Format) -> Any:  # noqa: ANN401 - an option, as typer declares it
    """Return the option that chooses between the formats of the documents that a command shows, as far as they are `among` those."""
    formats = [style for style in among if any(style in DOCUMENTS[name] for name in documents)]

    def chosen(text: str) -> Format:
        if text not in formats:
            message = f"{str(text)!r} is not one of {', '.join(repr(each.value) for each in formats)}."
            raise typer.BadParameter(message)
        return Format(text)

    def begun(incomplete: str) -> list[str]:
        return [style.value for style in formats if style.startswith(incomplete)]

    help_text = "How the result is written."
    return typer.Option(
        "--output", "-o", help=help_text, metavar="|".join(formats), parser=chosen, autocompletion=begun
    )


def finite(number: float | None) -> float | None:
    """Return the number of an option; `nan` passes every check of a range, for it is neither less nor more than anything."""
    if number is not None and not isfinite(number):
        message = f"{number} is not a number that anything could be compared with."
        raise typer.BadParameter(message)
    return number


class Refresh(StrEnum):
    """How much of reality is looked at."""

    FULL = "full"
    CHANGED = "changed"
    NONE = "none"


class ExecutorName(StrEnum):
    """Who makes the calls on backends."""

    LOCAL = "local"
    QUEUE = "queue"
    CELERY = "celery"


Executor = Annotated[
    ExecutorName | None,
    typer.Option(
        help="Who makes the calls, whatever sharectl.yaml says: this process (local), or workers, called through the database (queue) or the broker (celery)."
    ),
]
Metrics = Annotated[
    Path | None,
    typer.Option(
        "--metrics",
        help="Write the outcome and usage to FILE for node_exporter's textfile collector, which reads names that end with `.prom`.",
        metavar="FILE",
    ),
]
Chdir = Annotated[
    Path, typer.Option("--chdir", "-C", help="Work as if started in DIR.", metavar="DIR", file_okay=False)
]
Files = Annotated[
    list[str] | None,
    typer.Option(
        "--file",
        "-f",
        help="A file or a folder of manifests, or - for standard input. May be repeated.",
        metavar="PATH",
    ),
]
RefreshMode = Annotated[
    Refresh, typer.Option(help="Ask backends for everything they hold, for what would change, or not at all.")
]
Target = Annotated[
    list[str] | None,
    typer.Option(help="Only this address and what it needs.", metavar="ADDRESS", autocompletion=complete_address),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(help="Leave this address as it is.", metavar="ADDRESS", autocompletion=complete_address),
]
Replace = Annotated[
    list[str] | None,
    typer.Option(help="Replace this share with a new, empty one.", metavar="ADDRESS", autocompletion=complete_address),
]
Label = Annotated[list[str] | None, typer.Option(help="Only resources with this label.", metavar="KEY=VALUE")]
Backend = Annotated[
    list[str] | None,
    typer.Option(help="Only what is on this backend.", metavar="NAME", autocompletion=complete_backend),
]
AllowDeletions = Annotated[int, typer.Option(help="Allow this many removals, beyond the limit.", metavar="N", min=0)]
AllowRecreations = Annotated[
    int,
    typer.Option(
        help="Allow this many shares that are lost or in the trash to be made again, empty.", metavar="N", min=0
    ),
]
AllowRevocations = Annotated[
    int, typer.Option(help="Allow this many access rules to be removed or narrowed.", metavar="N", min=0)
]
AllowEmpty = Annotated[bool, typer.Option("--allow-empty", help="Allow an empty set of manifests.")]
AllowShared = Annotated[
    list[str] | None,
    typer.Option(
        help="Use this backend even though it holds shares of another state. The state remembers this once it is applied.",
        metavar="NAME",
        autocompletion=complete_backend,
    ),
]
OverrideProtection = Annotated[
    list[str] | None,
    typer.Option(help="Remove this even though it is protected.", metavar="ADDRESS", autocompletion=complete_address),
]
AllowUnreadable = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-unreadable",
        help="Succeed even if this backend cannot be read.",
        metavar="BACKEND",
        autocompletion=complete_backend,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
LockTimeout = Annotated[str, typer.Option(help="How long to wait for the lock: 30s, 5m.", metavar="TIME")]
DetailedExitcode = Annotated[bool, typer.Option("--detailed-exitcode", help="Exit with 2 if there is drift.")]


@dataclass(frozen=True, slots=True)
class PlanChoices:
    """What a plan is to be of, and what is agreed to; each field is an option of `plan` and `apply`."""

    file: Files = None
    target: Target = None
    exclude: Exclude = None
    replace: Replace = None
    label: Label = None
    backend: Backend = None
    refresh: RefreshMode = Refresh.FULL
    allow_deletions: AllowDeletions = 0
    allow_recreations: AllowRecreations = 0
    allow_revocations: AllowRevocations = 0
    allow_empty: AllowEmpty = False
    override_protection: OverrideProtection = None
    allow_unreadable: AllowUnreadable = None
    allow_shared: AllowShared = None


def taking_plan_choices(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that gives a command an option for these fields of PlanChoices (for all, without names), and passes them on as its `choices`."""
    hints = get_type_hints(PlanChoices, include_extras=True)
    added = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in fields(PlanChoices)
        if not names or field.name in names
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True)
        first = [each for each in own.parameters.values() if each.kind is not inspect.Parameter.KEYWORD_ONLY]
        last = [each for name, each in own.parameters.items() if name != "choices" and each not in first]

        def called(*arguments: Any, **values: Any) -> None:  # noqa: ANN401 - whatever the command line holds
            choices = PlanChoices(**{each.name: values.pop(each.name) for each in added})
            command(*arguments, choices=choices, **values)

        parameters = [*first, *added, *last]
        called.__name__, called.__doc__ = command.__name__, command.__doc__
        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {each.name: each.annotation for each in parameters}
        return called

    return decorate
