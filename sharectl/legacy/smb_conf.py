"""Reader of smb.conf(5), by the rules of Samba: sections, their parameters, and the defaults that they have from [global]."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.legacy.findings import Place
from sharectl.legacy.smb_parameters import canonical_name
from sharectl.model.diagnostics import DiagnosticError, Source, error
from sharectl.model.frozen import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

GLOBAL: Final = "global"
_MOST_INCLUDES: Final = 32
_SPACES: Final = re.compile(r"\s+")
_ELSEWHERE: Final = frozenset({"config file", "config backend"})


class Parameter(NamedTuple):
    """A parameter under its canonical name, with its value there; `written` is what stands in the file."""

    place: Place
    name: str
    value: str
    written: str

    def __str__(self) -> str:
        """As it is written."""
        return self.written


@dataclass(frozen=True, slots=True)
class Section:
    """A section. `parameters` are those that hold, by canonical name, of which the `own` stand in the section itself.

    `unread` are files that it includes and that could not be read: what they say of it is not known.
    """

    name: str
    place: Place
    parameters: dict[str, Parameter] = field(default_factory=dict)
    own: list[Parameter] = field(default_factory=list)
    unread: list[Parameter] = field(default_factory=list)

    def value(self, name: str) -> str:
        """Return the value of a parameter, an empty text where it has none."""
        found = self.parameters.get(name)
        return "" if found is None else found.value


class SmbConf(NamedTuple):
    """The sections of a file in its order, with what it includes; `globals_` is [global], whether it is written or not."""

    globals_: Section
    sections: tuple[Section, ...]


def read_smb_conf(text: str, path: str, include: Callable[[str], str | None]) -> SmbConf:
    """Return what the text of the file `path` says; `include` returns the text of another file, None where it cannot be read.

    Raises DiagnosticError for what Samba cannot read either.
    """
    reader = _Reader(path, include)
    reader.read(text, path, 0)
    if reader.problem is not None:
        raise reader.problem
    return SmbConf(reader.globals_, tuple(reader.sections.values()))


class _Reader:
    """Reads one file and those that it includes. The section goes on through them, as it does for Samba."""

    def __init__(self, path: str, include: Callable[[str], str | None]) -> None:
        self.globals_ = Section(GLOBAL, Place(path, 1))
        self.sections: dict[str, Section] = {}
        self.problem: DiagnosticError | None = None
        self._include = include
        self._current = self.globals_

    def read(self, text: str, path: str, depth: int) -> None:
        lines = text.replace("\r\n", "\n").split("\n")
        number = 0
        while number < len(lines):
            place, line = Place(path, number + 1), lines[number].strip()
            number += 1
            if not line or line[0] in "#;":
                continue
            while line.endswith("\\") and number < len(lines):
                line = f"{line[:-1]}{lines[number].strip()}"
                number += 1
            line = line.removesuffix("\\").strip()
            if line.startswith("["):
                self._begin(line, place)
            else:
                self._take(line, place, depth)

    def _begin(self, line: str, place: Place) -> None:
        name, bracket, _ = line[1:].partition("]")
        name = _SPACES.sub(" ", name)
        if not bracket or not name.strip():
            source = Source(place.path, place.line, 1, excerpt=line)
            summary = "the name of this section does not end"
            remedy = "correct the line, try it with `testparm -s`, then import again"
            self.problem = self.problem or DiagnosticError(
                error("smb-conf.syntax", summary, remedy=remedy, source=source)
            )
            return
        key = name.lower()
        if key in {GLOBAL, "globals"}:
            self._current = self.globals_
        elif key in self.sections:
            self._current = self.sections[key]
        else:
            # Defaults are those that [global] had by then, as for Samba.
            self._current = self.sections[key] = Section(name, place, dict(self.globals_.parameters))

    def _take(self, line: str, place: Place, depth: int) -> None:
        spelling, equals, given = (part.strip() for part in line.partition("="))
        name, value = canonical_name(spelling, given)
        parameter = Parameter(place, name, value, f"{spelling} = {given}" if equals else spelling)
        section = self._current
        section.own.append(parameter)
        if not equals:
            return  # Samba passes over such a line
        if name == "include":
            text = None if "%" in value or value == "registry" or depth >= _MOST_INCLUDES else self._include(value)
            if text is None:
                section.unread.append(parameter)
            else:
                self.read(text, value, depth + 1)
        elif name in _ELSEWHERE:
            section.unread.append(parameter)
        elif name == "copy":
            self._copy(section, parameter)
        else:
            section.parameters[name] = parameter

    def _copy(self, section: Section, parameter: Parameter) -> None:
        other = self.sections.get(_SPACES.sub(" ", parameter.value).lower())
        if other is None or other is section:
            section.unread.append(parameter)
            return
        section.parameters.update({own.name: own for own in other.own if own.name in other.parameters})
        section.unread.extend(other.unread)


def inherited(section: Section) -> Mapping[str, Parameter]:
    """Return the parameters that hold for a section and stand elsewhere."""
    own = set(section.own)
    return {name: found for name, found in section.parameters.items() if found not in own}
