"""The command line as a whole: its help, its options, and its commands, each of which is loaded when it is asked for."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from sharectl.cli.interrupts import Interrupted
from sharectl.cli.options import Chdir
from sharectl.model.frozen import NamedTuple


class Entry(NamedTuple):
    """A command as the help of the whole lists it: where it is in this package, as `module:function`, and what it does."""

    place: str
    summary: str


COMMANDS: Final[dict[str, Entry]] = {
    "init": Entry("init:init", "Write a small repository that works."),
    "validate": Entry("validate:validate", "Find every mistake in the manifests."),
    "fmt": Entry("fmt:fmt", "Put the fields of manifests into order."),
    "plan": Entry("plan:plan", "Show what apply would do."),
    "apply": Entry("plan:apply", "Bring the backends in line with the manifests."),
    "destroy": Entry("plan:destroy", "Remove what the state holds, as each deletionPolicy says."),
    "refresh": Entry("plan:refresh", "Show where the backends differ from the state."),
    "list": Entry("list:list_", "List the shares: usage, size, place, labels, and problems."),
    "show": Entry("show:show", "Show a resource: where it is, who may reach it, how to mount it."),
    "who": Entry("who:who", "Show which shares a client or user may reach, and by which rule."),
    "mounts": Entry("mounts:mounts", "Write what a client mounts: fstab, autofs, systemd, Kubernetes, Ansible."),
    "pools": Entry("pools:pools", "Show the capacity and capabilities of the pools."),
    "explain": Entry("show:explain", "Say why a share is, or would be, where it is."),
    "import": Entry("imports:import_", "Take over shares that exist on a backend."),
    "clients": Entry("clients:app", "Look host names and netgroups up, and write ClientLists of them."),
    "trash": Entry("trash:app", "List the shares in the trash of the backends, and purge them."),
    "state": Entry("state:app", "Look into the state, and repair it by hand."),
    "lock": Entry("lock:app", "Show who holds the lock of the state."),
    "unlock": Entry("lock:unlock", "Remove the lock of a holder that is known to be dead."),
    "worker": Entry("workers:worker", "Serve a nearby backend for runs elsewhere."),
    "workers": Entry("workers:app", "Show who serves which backend; admit and dismiss workers."),
    "history": Entry("history:history", "Show who changed what, when, from which commit, and what failed."),
    "diff": Entry("undo:diff", "Show what a run changed, field by field."),
    "undo": Entry("undo:undo", "Write a patch to the manifests that reverses a run."),
    "report": Entry("report:report", "Write what the state knows as pages for a browser."),
    "graph": Entry("show:graph", "Draw what depends on what."),
    "completion": Entry("completion:completion", "Print the completion script of a shell."),
    "schema": Entry("init:schema", "Print the JSON Schemas of the manifests."),
}
"""Commands in the order of the help. What is said of them stands here, so that the help needs none of their modules."""


def app_of(name: str) -> typer.Typer:
    """Return the command of that name, or the group of commands."""
    module, _, function = COMMANDS[name].place.partition(":")
    found = getattr(import_module(f"{__package__}.{module}"), function)
    if isinstance(found, typer.Typer):
        return found
    app = typer.Typer(rich_markup_mode=None, add_completion=False)
    app.command()(found)
    return app


class _Commands(TyperGroup):
    """Loads the module of a command when the command is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002 - the signature of the base class
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401, ARG002 - as above
        if cmd_name not in COMMANDS:
            return None
        command = typer.main.get_command(app_of(cmd_name))
        command.name = cmd_name
        return command

    def parse_args(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - as above
        if "--chdir=" in args or any(word in {"-C", "--chdir"} and not next_ for word, next_ in pairwise(args)):
            # as of a script's variable that is not set; a path that is empty would be the folder that the command is started in
            ctx.fail("-C names no folder: name one, or leave -C out.")
        return super().parse_args(ctx, args)

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
