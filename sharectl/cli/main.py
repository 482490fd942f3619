"""The entry point: finds the command, runs it, and turns every way it can end into an exit code."""

from __future__ import annotations

import gc
import os
import sys
from contextvars import copy_context
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer
from typer.core import TyperGroup

from sharectl.cli.codes import ExitCode, Finished, Interrupted
from sharectl.cli.failures import explain_failure
from sharectl.cli.options import Chdir

if TYPE_CHECKING:
    from collections.abc import Sequence


class Entry(NamedTuple):
    """A command as the help of the whole lists it: its module in this package, and what it does."""

    module: str
    summary: str


COMMANDS: Final[dict[str, Entry]] = {
    "init": Entry("init", "Write a small repository that works."),
    "validate": Entry("validate", "Find every mistake in the manifests."),
    "plan": Entry("plan", "Show what apply would do."),
    "apply": Entry("apply", "Make backends and state what the manifests say."),
    "destroy": Entry("destroy", "Remove what the state holds, as each deletionPolicy says."),
    "refresh": Entry("refresh", "Show where the backends differ from the state."),
    "show": Entry("show", "Show a resource: where it is, who may reach it, how to mount it."),
    "mounts": Entry("mounts", "Write what a client mounts: fstab, autofs, systemd, Kubernetes, Ansible."),
    "pools": Entry("pools", "Show the capacity and capabilities of the pools."),
    "explain": Entry("explain", "Say why a share is, or would be, where it is."),
    "import": Entry("imports", "Take over shares that exist on a backend."),
    "trash": Entry("trash", "List the shares in the trash of the backends, and purge them."),
    "state": Entry("state", "Look into the state, and mend it by hand."),
    "lock": Entry("lock", "Show who holds the lock of the state."),
    "unlock": Entry("unlock", "Take the lock away from a holder that is surely dead."),
    "history": Entry("history", "Show who changed what, when, from which commit."),
    "graph": Entry("graph", "Draw what depends on what."),
    "schema": Entry("schema", "Print the JSON Schemas of the manifests."),
}
"""Commands in the order of the help. What is said of them stands here, so that the help needs none of their modules."""


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
            from sharectl.diagnostics import did_you_mean

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run sharectl with `arguments` (those of the process by default); return the exit code."""
    # A plan of 100,000 shares makes millions of objects that stay to the end: looking for garbage among them takes longer than
    # making them. Rarely is often enough for a program that ends.
    gc.set_threshold(_GARBAGE_THRESHOLD, 50, 100)
    return _flushed(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    command = typer.main.get_command(app)
    try:
        copy_context().run(command, args=None if arguments is None else list(arguments), prog_name="sharectl")
    except Finished as finished:
        return finished.code
    except SystemExit as ended:
        code = ExitCode.USAGE if ended.code == _USAGE_OF_CLICK else ended.code
        return code if isinstance(code, int) else ExitCode.DONE
    except BrokenPipeError:
        return ExitCode.DONE
    except BaseException as failure:  # noqa: BLE001 - nobody above could say it better
        return explain_failure(failure, os.environ)
    return ExitCode.DONE


_USAGE_OF_CLICK: Final = 2
_GARBAGE_THRESHOLD: Final = 500_000


def _flushed(code: int) -> int:
    """Write what is left, and leave nothing for the interpreter to write where nobody reads or nothing fits any more."""
    if sys.stdout is None:  # closed before the program began
        return code
    try:
        sys.stdout.flush()
    except OSError as problem:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code if isinstance(problem, BrokenPipeError) else code or ExitCode.FAILED
    return code
