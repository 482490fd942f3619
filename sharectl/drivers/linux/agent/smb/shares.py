"""The shares of an SMB server: one generated file, and what the server has taken from it."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind, Section
from sharectl.drivers.linux.agent.host.daemons import locked, write_atomically
from sharectl.drivers.linux.agent.smb.configuration import (
    Cut,
    cut_needed,
    folded,
    join_sections,
    parse_section,
    render_section,
    split_sections,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager

    from sharectl.drivers.linux.agent.smb.host import Host
    from sharectl.drivers.linux.agent.smb.users import Users

_ANSWER_SECONDS: Final = 10


@dataclass(slots=True)
class _Request:
    """A section that is to be `text`, or to be gone; whether that was done, or what went wrong."""

    name: str
    text: str | None
    is_done: bool = False
    problem: Problem | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _File:
    """A file of sections as it was read: its bytes (None where there is none), its text, and its sections by folded name."""

    content: bytes | None
    text: str | None
    sections: Mapping[str, str]


class Shares:
    """The sections of one server; each call is safe from several threads and processes.

    `shares.conf` is what smbd reads; `loaded.conf` is the same text once smbd has taken it and live sessions were cut
    accordingly. `withheld.conf` has what is to come back when its folder does. Where the first two differ, a run died in between or somebody changed a file by hand: the section is not in force as
    it stands there, and the next change catches up. Threads that come while another one is at work are served together.
    """

    def __init__(self, host: Host, users: Users) -> None:
        """Touch nothing."""
        self._host = host
        self._users = users
        self._turn = threading.Condition()
        self._queue: list[_Request] = []
        self._is_serving = False
        self._files: dict[str, _File] = {}
        self._live: tuple[_File, _File, dict[str, Section]] | None = None  # and what it was made of

    def put(self, section: Section) -> None:
        """Make the section one of those in force. Precondition: `check_section` accepts it."""
        self._change(_Request(section.name, render_section(section, self._host.server)))

    def remove(self, name: str) -> None:
        """Take the section of this name out."""
        self._change(_Request(name, None))

    def locked(self) -> AbstractContextManager[None]:
        """Hold the lock of a change; whoever starts or stops the server holds it too."""
        return locked(self._host.path("shares.lock"))

    def stored(self) -> dict[str, Section]:
        """Return the sections as they are, or will be once what was changed by hand is undone."""
        sound = self._sound(self._read("shares.conf").sections, self._read("loaded.conf").sections)
        kept = {**self._withheld(), **sound}
        return {section.name: section for section in self._parsed(kept.values())}

    def withheld(self) -> dict[str, Section]:
        """Return the sections that smbd does not have since their folder was not ready, by name."""
        return {section.name: section for section in self._parsed(self._withheld().values())}

    def live(self) -> Mapping[str, Section]:
        """Return the sections that smbd has; one that is not as it was put has an empty path.

        Lines before the first section, and sections that nobody put, may change all others (a second `[global]`): then all have.
        """
        stored_file, loaded_file = self._read("shares.conf"), self._read("loaded.conf")
        known = self._live
        if known is not None and known[0] is stored_file and known[1] is loaded_file:
            return known[2]
        found = self._live_of(stored_file.sections, loaded_file.sections)
        self._live = (stored_file, loaded_file, found)
        return found

    def _live_of(self, stored: Mapping[str, str], loaded: Mapping[str, str]) -> dict[str, Section]:
        is_foreign = any(
            key not in loaded and parse_section(text, self._host.server) is None for key, text in stored.items()
        )
        found = {}
        for key in stored.keys() | loaded.keys():
            text = loaded.get(key, "")
            section = parse_section(text, self._host.server)
            if section is None or is_foreign or stored.get(key) != text:
                section = replace(section or Section(_name_of(stored.get(key, text)), ""), path="")
            found[section.name] = section
        return found

    def mend(self, is_ready: Callable[[Section], bool]) -> None:
        """Undo what was changed by hand, and withhold what is not ready, before smbd reads it. Precondition: the caller holds the lock."""
        stored = self._read("shares.conf")
        kept = {**self._withheld(), **self._sound(stored.sections, self._read("loaded.conf").sections)}
        ready = {
            key: part
            for key, part in kept.items()
            if (section := parse_section(part, self._host.server)) is not None and is_ready(section)
        }
        self._write_withheld({key: part for key, part in kept.items() if key not in ready})
        mended = join_sections(ready)
        if mended != stored.text:
            write_atomically(self._host.path("shares.conf"), mended)

    def mark_loaded(self) -> None:
        """Note that smbd has what is stored. Precondition: the caller holds the lock, and smbd has just started."""
        self._write_loaded(self._read("shares.conf").text)

    def _change(self, request: _Request) -> None:
        """Have the request served, by this thread with all others that wait, or by one that waited with it."""
        with self._turn:
            self._queue.append(request)
            self._turn.wait_for(lambda: request.is_done or not self._is_serving)
            batch, self._queue = ([], self._queue) if request.is_done else (self._queue, [])
            self._is_serving = self._is_serving or bool(batch)
        if batch:
            self._serve(batch)
        if request.problem is not None:
            raise request.problem

    def _serve(self, batch: list[_Request]) -> None:
        try:
            with self.locked():
                self._apply(batch)
        except BaseException as error:
            kind = error.kind if isinstance(error, Problem) else ProblemKind.TRANSIENT
            for request in batch:
                request.problem = request.problem or Problem(kind, str(error) or "the change was interrupted")
            if not isinstance(error, Problem | OSError):
                raise
        finally:
            with self._turn:
                for request in batch:
                    request.is_done = True
                self._is_serving = False
                self._turn.notify_all()

    def _apply(self, batch: list[_Request]) -> None:
        stored, loaded = self._read("shares.conf"), self._read("loaded.conf")
        target = self._sound(stored.sections, loaded.sections)
        withheld = self._withheld()
        for request in batch:
            request.problem = self._enter(target, request)
            if withheld.pop(folded(request.name), None) is not None:
                self._write_withheld(withheld)
        text = join_sections(target)
        if text != stored.text:
            try:
                write_atomically(self._host.path("shares.conf"), text)
            except OSError:
                self._withdraw_in_place(stored.sections, loaded.sections, target)
                raise
        if not text == stored.text == loaded.text and self._host.pid() is not None:
            self._enforce(stored.sections, loaded.sections, target)
            self._write_loaded(text)

    def _withdraw_in_place(
        self, stored: Mapping[str, str], loaded: Mapping[str, str], target: Mapping[str, str]
    ) -> None:
        """Take out the sections that grant more than they are to, where the disk has no room for a new file.

        What is left is shorter than what is there, so that it fits in the blocks that the file has. One who is in the midst of
        reading it, or a power failure, finds the start of a section at most, which `_sound` drops.
        """
        kept = {
            key: text for key, text in stored.items() if cut_needed(text, target.get(key), self._host.server) == Cut()
        }
        if len(kept) == len(stored):
            return
        text = join_sections(kept)
        with Path(self._host.path("shares.conf")).open("r+", encoding="utf-8") as file:
            file.write(text)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
        if self._host.pid() is not None:
            self._enforce(stored, loaded, kept)

    def _enter(self, sections: dict[str, str], request: _Request) -> Problem | None:
        key = folded(request.name)
        there = _name_of(sections.get(key, f"[{request.name}]"))
        if request.text is None:
            if there == request.name:
                sections.pop(key, None)
        elif there != request.name:
            message = f"the SMB share {request.name!r} cannot be made: there is {there!r}, and Samba ignores case"
            return Problem(ProblemKind.CONFLICT, message)
        else:
            sections[key] = request.text
        return None

    def _sound(self, stored: Mapping[str, str], loaded: Mapping[str, str]) -> dict[str, str]:
        """Return the stored sections, with those that were changed by hand as they were before, and without foreign ones."""
        sound = {}
        for key, text in stored.items():
            before = loaded.get(key)
            if self._is_ours(text, known=before):
                sound[key] = text
            elif before is not None and self._is_ours(before):
                sound[key] = before
        return sound

    def _is_ours(self, text: str, *, known: str | None = None) -> bool:
        return text == known or parse_section(text, self._host.server) is not None

    def _enforce(self, stored: Mapping[str, str], loaded: Mapping[str, str], target: Mapping[str, str]) -> None:
        """Have smbd take the file and end the sessions that lost something; return when it has done so.

        Where nobody is connected, a signal to smbd is enough. Whoever connected before it was served has what was there before, and is
        seen once it was.
        """
        if not self._host.sessions():
            self._host.reload()
            self._await_smbd()
            if not self._host.sessions():
                return
        self._tell("reload-config")
        users: set[str] = set()
        for key in sorted(loaded.keys() | stored.keys()):
            texts = [text for text in (loaded.get(key), stored.get(key)) if text is not None]
            cuts = [cut_needed(text, target.get(key), self._host.server) for text in texts]
            if key and any(cut.is_whole for cut in cuts):
                self._tell("close-share", _name_of(texts[0]))
            users.update(*(cut.users for cut in cuts))
        self._await_smbd()
        if users:
            self._users.end_sessions(users)

    def _await_smbd(self) -> None:
        """Wait until smbd has served all that it was sent: messages in their order, and signals before messages."""
        if "PONG" not in self._tell("ping"):
            message = f"the SMB server {self._host.instance.name!r} does not answer, so it may not have taken its configuration"
            raise Problem(ProblemKind.TRANSIENT, message)

    def _tell(self, message_type: str, *parameters: str) -> str:
        """Send smbd a message, and return what came back."""
        options = [f"--timeout={_ANSWER_SECONDS}", "--"]
        result = self._host.run("smbcontrol", *options, "smbd", message_type, *parameters)
        if result.returncode != 0 and message_type != "ping":
            lines = [line.strip() for line in (result.stdout + result.stderr).splitlines() if line.strip()]
            reason = lines[-1] if lines else "it said nothing"
            message = f"the SMB server {self._host.instance.name!r} did not accept the {message_type} message: {reason}"
            raise Problem(ProblemKind.TRANSIENT, message)
        return result.stdout

    def _parsed(self, texts: Iterable[str]) -> Iterable[Section]:
        return (section for text in texts if (section := parse_section(text, self._host.server)) is not None)

    def _read(self, name: str) -> _File:
        """Return a file; the same object as before where it has not changed."""
        content: bytes | None = None
        with suppress(FileNotFoundError):
            content = Path(self._host.path(name)).read_bytes()
        known = self._files.get(name)
        if known is None or known.content != content:
            text = None if content is None else content.decode("utf-8", "replace")
            known = self._files[name] = _File(content, text, split_sections(text or ""))
        return known

    def _withheld(self) -> dict[str, str]:
        return {key: text for key, text in self._read("withheld.conf").sections.items() if self._is_ours(text)}

    def _write_withheld(self, sections: Mapping[str, str]) -> None:
        if sections != self._withheld():
            write_atomically(self._host.path("withheld.conf"), join_sections(sections))

    def _write_loaded(self, text: str | None) -> None:
        """Replace `loaded.conf`; not durably, for it means nothing without the smbd of this boot."""
        staged = Path(self._host.path("lock/loaded.conf"))
        staged.write_text(text or "", encoding="utf-8")
        staged.replace(self._host.path("loaded.conf"))


def _name_of(text: str) -> str:
    return text.partition("]")[0].strip()[1:]
