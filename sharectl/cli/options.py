"""The options that several commands have, each written once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sharectl.cli.complete import complete_address, complete_backend


class Format(StrEnum):
    """How a result is written."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


class DataFormat(StrEnum):
    """How a result is written that has no form for pull requests."""

    TEXT = "text"
    JSON = "json"


class Refresh(StrEnum):
    """How much of reality is looked at."""

    FULL = "full"
    CHANGED = "changed"
    NONE = "none"


Chdir = Annotated[
    Path, typer.Option("--chdir", "-C", help="Work as if started in DIR.", metavar="DIR", file_okay=False)
]
Files = Annotated[
    list[str] | None,
    typer.Option(
        "--file", "-f", help="Manifests: a file, a folder, or - for standard input. Again for more.", metavar="PATH"
    ),
]
Output = Annotated[Format, typer.Option("--output", "-o", help="How the plan is written.")]
DataOutput = Annotated[DataFormat, typer.Option("--output", "-o", help="How the result is written.")]
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
    typer.Option(
        help="Make a new, empty share in place of this one.", metavar="ADDRESS", autocompletion=complete_address
    ),
]
Label = Annotated[list[str] | None, typer.Option(help="Only resources with this label.", metavar="KEY=VALUE")]
Backend = Annotated[
    list[str] | None,
    typer.Option(help="Only what is on this backend.", metavar="NAME", autocompletion=complete_backend),
]
AllowDeletions = Annotated[int, typer.Option(help="Lift the limit: this many removals are meant.", metavar="N", min=0)]
AllowRecreations = Annotated[
    int, typer.Option(help="Lift the limit: this many lost shares may be made again, empty.", metavar="N", min=0)
]
AllowRevocations = Annotated[
    int, typer.Option(help="Lift the limit: this many access rules may be taken away or narrowed.", metavar="N", min=0)
]
AllowEmpty = Annotated[bool, typer.Option("--allow-empty", help="The manifests are empty, and that is meant.")]
AllowShared = Annotated[
    list[str] | None,
    typer.Option(
        help="Use this backend although it holds shares of another state; remembered once applied.",
        metavar="NAME",
        autocompletion=complete_backend,
    ),
]
OverrideProtection = Annotated[
    list[str] | None,
    typer.Option(help="Remove this although it is protected.", metavar="ADDRESS", autocompletion=complete_address),
]
AllowUnreadable = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-unreadable",
        help="Succeed although this backend cannot be read.",
        metavar="BACKEND",
        autocompletion=complete_backend,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
LockTimeout = Annotated[str, typer.Option(help="How long to wait for the lock: 30s, 5m.", metavar="TIME")]
DetailedExitcode = Annotated[bool, typer.Option("--detailed-exitcode", help="Exit with 2 where there is something.")]
