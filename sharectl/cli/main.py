"""The entry point: finds the command, runs it, and turns every way it can end into an exit code."""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

from sharectl.cli.codes import ExitCode, Finished
from sharectl.cli.failures import explain_failure

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS: Final[dict[str, str]] = {
    "init": "init",
    "validate": "validate",
    "plan": "plan",
    "apply": "apply",
    "destroy": "destroy",
    "refresh": "refresh",
    "show": "show",
    "pools": "pools",
    "explain": "explain",
    "import": "imports",
    "state": "state",
    "lock": "lock",
    "unlock": "unlock",
    "history": "history",
    "graph": "graph",
    "schema": "schema",
}
"""Commands in the order of the help, with their modules in this package."""


class _Commands(TyperGroup):
    """Loads the module of a command when the command is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002 - the signature of the base class
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401, ARG002 - as above
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"sharectl.cli.{COMMANDS[cmd_name]}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command


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
) -> None:
    """Shared file systems as YAML in git: plan shows what would change, apply does it, and nothing is lost.

    Exit codes: 0 done; 1 an error, or a step that failed; 2 `plan --detailed-exitcode` found changes; 64 wrong usage; 75 the
    state is locked by somebody else; 130 cancelled.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run sharectl with `arguments` (those of the process by default); return the exit code."""
    # A plan of 100,000 shares makes millions of objects that stay to the end: looking for garbage among them takes longer than
    # making them. Rarely is often enough for a program that ends.
    gc.set_threshold(_GARBAGE_THRESHOLD, 50, 100)
    command = typer.main.get_command(app)
    try:
        command(args=None if arguments is None else list(arguments), prog_name="sharectl")
    except Finished as finished:
        return _flushed(finished.code)
    except SystemExit as ended:
        return _flushed(ExitCode.USAGE if ended.code == _USAGE_OF_CLICK else ended.code)
    except BrokenPipeError:
        _leave_pipe()
        return ExitCode.DONE
    except BaseException as failure:  # noqa: BLE001 - nobody above could say it better
        return explain_failure(failure, os.environ)
    return _flushed(ExitCode.DONE)


_USAGE_OF_CLICK: Final = 2
_GARBAGE_THRESHOLD: Final = 500_000


def _flushed(code: object) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _leave_pipe()
    return code if isinstance(code, int) else ExitCode.DONE


def _leave_pipe() -> None:
    """Leave nothing for the interpreter to write into a pipe that nobody reads."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
