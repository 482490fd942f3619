"""Makes the tables of commands and options in `docs/cli.md` from the commands themselves."""

from __future__ import annotations

import inspect
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args, get_type_hints

from typer.models import ArgumentInfo

from sharectl.cli.commands import COMMANDS, app_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REFERENCE: Final = Path(__file__).resolve().parent.parent / "docs" / "cli.md"
MARK: Final = "<!-- From here on this page is made by `python -m tools.cli_reference`. -->\n"


def reference() -> str:
    """Return the generated part of the page as Markdown."""
    return "\n".join(section for name in COMMANDS for section in _sections(name))


def current_page() -> str:
    """Return the page as it should be: what people wrote, the mark, and the generated part."""
    written, _, _ = REFERENCE.read_text(encoding="utf-8").partition(MARK)
    return f"{written}{MARK}\n{reference()}"


def _sections(name: str) -> Iterator[str]:
    app: Any = app_of(name)
    for command in app.registered_commands:
        words = name if len(app.registered_commands) == 1 and not app.info.help else f"{name} {_word(command)}"
        yield _section(words, command.callback)


def _word(command: Any) -> str:  # noqa: ANN401 - a CommandInfo
    return str(command.name or command.callback.__name__)


def _section(words: str, callback: Callable[..., None]) -> str:
    hints = get_type_hints(callback, include_extras=True)
    rows, usage = [], [f"sharectl {words}"]
    options = False
    for parameter in inspect.signature(callback).parameters.values():
        kind, info = get_args(hints[parameter.name])
        if isinstance(info, ArgumentInfo):
            usage.append(str(info.metavar))
            if info.help:
                rows.append(f"| `{str(info.metavar).replace('|', chr(92) + '|')}` | {_meaning(info.help)} |")
        else:
            options = True
            rows.append(_option(parameter, kind, info))
    usage += ["[OPTIONS]"] if options else []
    table = "\n".join(["| | |", "|---|---|", *rows])
    text = inspect.cleandoc(callback.__doc__ or "")
    return f"## {words}\n\n```console\n$ {' '.join(usage)}\n```\n\n{text}\n\n{table}\n"


def _option(parameter: inspect.Parameter, kind: object, info: Any) -> str:  # noqa: ANN401 - an OptionInfo
    # The first name of an option stands where older code has its default.
    given = [*([info.default] if isinstance(info.default, str) else []), *(info.param_decls or ())]
    names = ", ".join(f"`{name}`" for name in given or [f"--{parameter.name.replace('_', '-')}"])
    value, default = _value(kind, info), parameter.default
    if default is inspect.Parameter.empty:
        return f"| {names}{f' {value}' if value else ''} | {_meaning(info.help or '')} Required. |"
    shown = "" if default in (None, False, "", 0) or default == Path() else f" Default: `{_plain(default)}`."
    return f"| {names}{f' {value}' if value else ''} | {_meaning(info.help or '')}{shown} |"


def _value(kind: object, info: Any) -> str:  # noqa: ANN401 - an OptionInfo
    if info.metavar:
        return " or ".join(f"`{word}`" for word in info.metavar.split("|"))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " or ".join(f"`{choice.value}`" for choice in kind)
    return "`N`" if kind is int else ""


def _plain(value: object) -> str:
    return str(value.value if isinstance(value, Enum) else value)


def _meaning(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Write the page."""
    REFERENCE.write_text(current_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
