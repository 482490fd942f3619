"""`sharectl completion`: what a shell needs to complete commands, addresses and backends."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Shell(StrEnum):
    """Shells for which there is a script."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    shell: Annotated[Shell, typer.Argument(metavar="bash|zsh|fish", help="The shell that will read it.")],
) -> None:
    """Print the script with which a shell completes commands, options, addresses and backends.

    For one session: `source <(sharectl completion bash)`, the same with zsh, or `sharectl completion fish | source`.
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]  # what --show-completion prints

    from sharectl.cli.session import standard_output

    script = get_completion_script(prog_name="sharectl", complete_var="_SHARECTL_COMPLETE", shell=shell.value)
    standard_output().write(f"{script}\n")
