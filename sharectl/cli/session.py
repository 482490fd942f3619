"""What every command begins with: where it works, how it writes, and the words on its command line turned into values."""

from __future__ import annotations

import os
import re
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sharectl.diagnostics import DiagnosticError, did_you_mean, error, has_errors
from sharectl.model import Kind
from sharectl.render.output import Output

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from sharectl.manifests.desired import Desired
    from sharectl.manifests.project import Project
    from sharectl.model import Address
    from sharectl.state.store import Lease, RunRecord, StateStore

_DURATION = re.compile(r"([0-9]{1,9})(s|m|h)")
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_KINDS = {kind.value.replace("_", ""): kind for kind in Kind}


@dataclass(frozen=True, slots=True)
class Session:
    """One command at work: its directory, project and output."""

    directory: Path
    project: Project
    output: Output


def start(chdir: Path) -> Session:
    """Return the session of a command that works in `chdir`."""
    from sharectl.manifests.project import find_project

    directory = chdir.resolve()
    if not directory.is_dir():
        raise DiagnosticError(
            error("usage.no-directory", f"there is no directory {chdir}", remedy="name another with -C")
        )
    return Session(directory, find_project(directory), standard_output())


def standard_output() -> Output:
    """Return the output of this process."""
    return Output.for_streams(sys.stdout, sys.stderr, environ=os.environ)


def desired_of(session: Session, files: Sequence[str] | None, only: Collection[Address] | None = None) -> Desired:
    """Return the manifests; warnings are shown, and errors end the command."""
    from sharectl.workspace import load_manifests

    loaded = load_manifests(
        session.project, files or (), directory=session.directory, only=only, stdin=sys.stdin.buffer
    )
    if has_errors(loaded.diagnostics):
        raise DiagnosticError(*loaded.diagnostics)
    if loaded.diagnostics:
        session.output.diagnostics(loaded.diagnostics)
    return loaded.desired


@contextmanager
def opened_store(session: Session, *, create: bool = False) -> Iterator[StateStore]:
    """Yield the state of the project, and close it afterwards."""
    from sharectl.state.sqlite import open_store

    store = open_store(session.project.state_path, create=create)
    try:
        yield store
    finally:
        store.close()


def parse_address(text: str) -> Address:
    """Return the address that a user wrote; `sharetype/gold` is `share_type/gold`. Raises DiagnosticError."""
    kind_text, separator, name = text.partition("/")
    kind = _KINDS.get(kind_text.lower().replace("_", "").replace("-", ""))
    if not separator or not name or kind is None:
        near = did_you_mean(kind_text, sorted(_KINDS)) if kind is None else ""
        remedy = f"{near} an address is kind/name, such as share/projects".strip()
        raise DiagnosticError(error("usage.address", f"{text!r} is no address", remedy=remedy))
    return f"{kind.value}/{name}"


def parse_addresses(texts: Sequence[str] | None) -> frozenset[Address]:
    """Return the addresses that a user wrote."""
    return frozenset(parse_address(text) for text in texts or ())


def parse_labels(texts: Sequence[str] | None) -> dict[str, str]:
    """Return labels written as KEY=VALUE. Raises DiagnosticError."""
    labels = {}
    for text in texts or ():
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise DiagnosticError(
                error("usage.label", f"{text!r} is no label", remedy="write KEY=VALUE, such as team=research")
            )
        labels[key] = value
    return labels


def parse_duration_seconds(text: str) -> float:
    """Return the seconds of `30s`, `5m` or `2h`; `0` is none. Raises DiagnosticError."""
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if match is None:
        raise DiagnosticError(error("usage.duration", f"{text!r} is no time", remedy="write 30s, 5m or 2h"))
    return float(int(match[1]) * _SECONDS[match[2]])


def confirmed(output: Output, question: str) -> bool:
    """Ask, and return whether the answer is `yes`; where nobody can be asked, end the command and say how to go on."""
    if not sys.stdin.isatty():
        raise DiagnosticError(
            error(
                "usage.no-terminal",
                "nobody can be asked: standard input is no terminal",
                remedy="pass --yes, or save a plan with `sharectl plan --out FILE` and apply that",
            )
        )
    output.note(f"{question} Only `yes` is taken as consent.")
    return sys.stdin.readline().strip() == "yes"


@contextmanager
def edited_state(chdir: Path, command: str, lock_timeout: str) -> Iterator[StateEdit]:
    """Yield the state under the lock, for a change by hand; a repository without a state is refused."""
    from sharectl.runs import describe_run, held_lease

    session = start(chdir)
    if not session.project.state_path.exists():
        summary = f"there is no state at {session.project.state_path}"
        raise DiagnosticError(
            error("state.missing", summary, remedy="`sharectl apply` makes one; -C names another repository")
        )
    record = describe_run(command, session.project.root, os.environ)
    wait_seconds = parse_duration_seconds(lock_timeout)
    with opened_store(session, create=True) as store, held_lease(store, record, wait_seconds) as lease:
        yield StateEdit(session, store, lease, record)


@dataclass(frozen=True, slots=True)
class StateEdit:
    """A change of the state by hand, under the lock."""

    session: Session
    store: StateStore
    lease: Lease
    record: RunRecord
