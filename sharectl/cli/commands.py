"""The command line as a whole: its help, its options, and the commands, each of which is loaded when it is asked for."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sharectl.cli.entries import COMMANDS
from sharectl.cli.interrupts import Interrupted
from sharectl.cli.options import Chdir


class _Commands(TyperGroup):
    """Loads the module of a command when the command is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002 - the signature of the base class
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401, ARG002 - as above
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"sharectl.cli.{COMMANDS[cmd_name].module}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - as above
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            from sharectl.model.diagnostics import did_you_mean

            near = did_you_mean(args[0], list(COMMANDS))
            ctx.fail(f"There is no command {args[0]!r}{f'; {near}' if near else '.'}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - as above
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interruption:
            raise Interrupted from interruption

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002 - as above
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])


app = typer.Typer(
    cls=_Commands,
    name="sharectl",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(value: bool) -> None:  # noqa: FBT001 - the signature of an option's callback
    if value:
        from sharectl import __version__
        from sharectl.render.output import Output

        Output.for_streams(sys.stdout, sys.stderr, environ=os.environ).write(f"sharectl {__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    chdir: Chdir = Path(),
) -> None:
    """Shared file systems as YAML in git: plan shows what would change, apply does it, and nothing is lost.

    Exit codes: 0 done; 1 an error, or a step that failed; 2 `plan --detailed-exitcode` found changes; 64 wrong usage; 75 the
    state is locked by somebody else; 130 cancelled.
    """
    from sharectl.cli.session import working_directory

    del version  # its callback has answered already
    working_directory.set(chdir)


def command() -> Any:  # noqa: ANN401 - a command of the library under the command line
    """Return the whole command line, to be called."""
    return typer.main.get_command(app)
