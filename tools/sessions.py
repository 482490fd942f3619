"""Run the sessions that the documentation shows, so that what it prints is what the program prints.

A session is made of the fenced `console` blocks of one page, run from top to bottom with bash in a new directory that holds a copy of
`examples/`. A line that begins with `$ ` is a command, the lines up to the next are what it printed. A fenced block of another
language under the comment `<!-- file: PATH -->` is written to that path first. `python -m tools.sessions` brings all pages up to date.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT: Final = Path(__file__).resolve().parent.parent
PAGES: Final = ("README.md", "docs/tutorial.md", "docs/mounting.md")
USER: Final = "ada"
HOME: Final = f"/home/{USER}"
HOST: Final = "nas"
COMMAND_TIMEOUT_SECONDS: Final = 60.0

_PROMPT: Final = "$ "
_FENCE: Final = re.compile(r"^```(\w*)$")
_FILE: Final = re.compile(r"^<!-- file: (\S+) -->$")
_PROGRESS: Final = re.compile(r"^\[ *[0-9]+/[0-9]+\] ")
_NOT_COPIED: Final = (".sharectl", "storage")
_VOLATILE: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<id>"),
    (re.compile(r"\brun [0-9a-f]{8}\b"), "run <id>"),
    (re.compile(r"\bthe state [0-9a-f]{32}, serial [0-9]+"), "the state <id>"),
    (re.compile(r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|\+00:00)"), "<time>"),
    (re.compile(r"^ +[0-9]+ +<time>"), "  <number>  <time>"),  # steps side by side end in any order
    (re.compile(r"\b[0-9]+(\.[0-9]+)? s\b"), "<seconds>"),
    (re.compile(r"\([01]\.[0-9]{2}\)"), "(<weight>)"),
    (re.compile(r"\bshelf[12]\b"), "<shelf>"),
    (re.compile(r"^( +used +).*$"), r"\1<size>"),
    (re.compile(r"^(\S+) .*[█░].*$"), r"\1 <capacity>"),
    (re.compile(r"(?<=\S) {2,}"), "  "),
)
"""What differs from run to run: ids, times, durations, what is used and free, which of two equal folders comes first, and the width of columns."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a session and the lines that it prints; `line` is where it stands in the page, from 1."""

    line: int
    text: str
    output: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A block of the page that the reader writes to `path`."""

    path: str
    text: str


def parse(page: str) -> list[Command | WrittenFile]:
    """Return the steps of the session on a page, in their order."""
    steps: list[Command | WrittenFile] = []
    path: str | None = None
    block: list[tuple[int, str]] | None = None
    language = ""
    for number, line in enumerate(page.splitlines(), start=1):
        fence = _FENCE.match(line)
        if block is None:
            named = _FILE.match(line)
            if fence:
                block, language = [], fence[1]
            elif named:
                path = named[1]
            elif line:
                path = None
        elif fence:
            if language == "console":
                steps += _commands(block)
            elif path is not None:
                steps.append(WrittenFile(path, "".join(f"{text}\n" for _, text in block)))
            block, path = None, None
        else:
            block.append((number, line))
    return steps


def run(steps: Iterable[Command | WrittenFile], home: Path) -> list[Command]:
    """Return the commands with what they print when they run in `home`, an empty directory that stands for the reader's own."""
    shutil.copytree(ROOT / "examples", home / "examples", ignore=shutil.ignore_patterns(*_NOT_COPIED))
    programs = home / ".programs"
    programs.mkdir()
    program = programs / "sharectl"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m sharectl "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    place = home / ".place"
    environment = {
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "LOGNAME": USER,
        "NO_COLOR": "1",
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "SESSION_PLACE": str(place),
        **{name: value for name, value in os.environ.items() if name.startswith(("COVERAGE", "COV_"))},
    }
    directory = home
    commands = []
    for step in steps:
        if isinstance(step, WrittenFile):
            (directory / step.path).parent.mkdir(parents=True, exist_ok=True)
            (directory / step.path).write_text(step.text, encoding="utf-8")
            continue
        ended = subprocess.run(  # noqa: S603 - the commands of our own pages
            ["/bin/bash", "-c", f"trap 'pwd > \"$SESSION_PLACE\"' EXIT\n{step.text}"],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=COMMAND_TIMEOUT_SECONDS,
        )
        directory = Path(place.read_text(encoding="utf-8").rstrip("\n"))
        commands.append(replace(step, output=tuple(_as_shown(ended.stdout.decode(), home).splitlines())))
    return commands


def normalised(output: Iterable[str]) -> list[str]:
    """Return the lines without what differs from run to run; steps that ran side by side are sorted."""
    lines: list[str] = []
    progress: list[str] = []
    for line in output:
        text = line
        for pattern, name in _VOLATILE:
            text = pattern.sub(name, text)
        if _PROGRESS.match(text):
            progress.append(_PROGRESS.sub("[n] ", text))
            continue
        lines += sorted(progress)
        progress = []
        lines.append(text)
    return lines + sorted(progress)


def updated(page: str, commands: Iterable[Command]) -> str:
    """Return the page with the output of `commands`, where it is not as the page has it but for what differs from run to run."""
    lines = page.splitlines()
    shown = {step.line: step for step in parse(page) if isinstance(step, Command)}
    for command in sorted(commands, key=lambda command: command.line, reverse=True):
        old = shown[command.line]
        if normalised(old.output) != normalised(command.output):
            lines[command.line : command.line + len(old.output)] = command.output
    return "\n".join(lines) + "\n"


def _commands(block: Iterable[tuple[int, str]]) -> list[Command]:
    commands: list[Command] = []
    for number, line in block:
        if line.startswith(_PROMPT):
            commands.append(Command(number, line.removeprefix(_PROMPT), ()))
        else:
            commands[-1] = replace(commands[-1], output=(*commands[-1].output, line))
    return commands


def _as_shown(output: str, home: Path) -> str:
    host = re.escape(socket.gethostname())
    output = output.replace(str(home), HOME)
    return re.sub(rf"(?<={USER}@){host}\b|\b{host}(?=:/)", HOST, output)


def main() -> None:
    """Bring every page up to date."""
    for name in PAGES:
        path = ROOT / name
        page = path.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as directory:
            path.write_text(updated(page, run(parse(page), Path(directory).resolve())), encoding="utf-8")


if __name__ == "__main__":
    main()
