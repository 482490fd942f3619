"""Change single values in the text of a manifest, and nothing else of it: comments, order, quotes and layout stay.

A value is found by the marks of the YAML reader, and only its own text is replaced, or whole lines are put in or taken out. What comes of
it is read again and compared with what was meant: where a text cannot be changed with certainty, that is said, and it stays as it is.
"""

from __future__ import annotations

import io
import re
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from sharectl.manifests.write import scalar
from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence

    Node = Any
    """A node of the reader, whose types leave out what its classes have."""

Path = tuple[str | int, ...]
_ODD_LINE_END: Final = re.compile("\r(?!\n)|[\x85\u2028\u2029]")
_DOCUMENT_START: Final = re.compile(r"^---(?=\s|\Z)", re.MULTILINE)
_INDENT: Final = 2


class CannotEditError(Exception):
    """A text that cannot be changed with certainty; `str()` says why."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of a document: the value at `path` becomes `value`, or goes (None). A last step of `ADD` adds it to a list."""

    path: Path
    value: Any


ADD: Final = "+"
"""Stands in a path for the place behind the last item of a list."""


def edited(text: str, line: int, edits: Sequence[Edit]) -> str:
    """Return the text of a file with these changes, one after the other, of the document that holds `line` (from 1). Raises CannotEditError."""
    start, end = extent(text, line)
    part = text[start:end]
    for edit in edits:
        part = _changed(part, edit)
    return text[:start] + part + text[end:]


def without_document(text: str, line: int) -> str:
    """Return the text of a file without the document that holds `line`; an empty text where it was the only one."""
    start, end = extent(text, line)
    rest = text[:start] + text[end:]
    return rest if _has_content(rest) else ""


def _has_content(text: str) -> bool:
    return any(
        line.strip() and not line.lstrip().startswith("#") and line.strip() not in {"---", "..."}
        for line in text.splitlines()
    )


def extent(text: str, line: int) -> tuple[int, int]:
    """Return where the document begins and ends, its `---` with it."""
    if _ODD_LINE_END.search(text):
        message = "the file has line ends that other programs count differently"
        raise CannotEditError(message)
    offset = sum(len(each) for each in text.splitlines(keepends=True)[: line - 1])
    starts = [found.start() for found in _DOCUMENT_START.finditer(text)]
    before = [start for start in starts if start <= offset]
    after = [start for start in starts if start > offset]
    return (before[-1] if before else 0), (after[0] if after else len(text))


def _changed(part: str, edit: Edit) -> str:
    before = _loaded(part)
    try:
        changed = _Editor(part).done(edit)
    except (KeyError, ValueError, IndexError, TypeError, AttributeError) as problem:
        message = "it is written in another way"
        raise CannotEditError(message) from problem
    if _loaded(changed) != _expected(before, edit):
        message = "its layout does not let this be changed alone"
        raise CannotEditError(message)
    return changed


def _loaded(part: str) -> Any:  # noqa: ANN401 - whatever YAML holds
    try:
        return YAML(typ="safe", pure=True).load(part)
    except YAMLError as problem:
        message = f"it cannot be read: {problem}"
        raise CannotEditError(message) from problem


def _expected(plain: Any, edit: Edit) -> Any:  # noqa: ANN401 - as above
    """Return the content that is meant; an empty mapping or list, which says as much as none, goes with its last part."""
    whole = deepcopy(plain)
    places = [(whole, edit.path[0])]
    for step in edit.path[:-1]:
        here, last = places[-1]
        found = here.get(step) if isinstance(here, dict) else here[step]
        if found is None:
            found = here[step] = [] if edit.path[len(places)] == ADD else {}
        places[-1] = here, last
        places.append((found, edit.path[len(places)]))
    target, last = places[-1]
    if last == ADD:
        target.append(edit.value)
    elif edit.value is not None:
        target[last] = edit.value
    else:
        del target[last]
        for (outer, step), (inner, _) in zip(places[-2::-1], places[:0:-1], strict=True):
            if inner:
                break
            del outer[step]
    return whole


class _Editor:
    """Changes the text of one document."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._root = YAML(typ="safe", pure=True).compose(text)
        self._seen: set[int] = set()

    def done(self, edit: Edit) -> str:
        *outer, last = edit.path
        node, missing = self._root, 0
        for number, step in enumerate(outer):
            found = self._part(node, step)
            if found is None:
                missing = number
                break
            node = found
        else:
            return self._at(node, tuple(outer), last, edit.value)
        value: Any = edit.value
        for step in reversed(edit.path[missing + 1 :]):
            value = [value] if step == ADD else {step: value}
        return self._insert(node, str(edit.path[missing]), value)

    def _at(self, node: Node, outer: Path, last: str | int, value: Any) -> str:  # noqa: ANN401 - JSON
        if last == ADD:
            return self._append(node, value)
        target = self._part(node, last)
        if value is None:
            return self._remove(node, outer, last)
        if target is None:
            return self._insert(node, str(last), value)
        is_block = isinstance(target, ScalarNode) and target.style in {"|", ">"}
        if is_block or (not isinstance(target, ScalarNode) and not target.flow_style):
            message = "it is written over several lines"
            raise CannotEditError(message)
        in_flow = bool(node.flow_style)
        return self._replaced(target.start_mark.index, target.end_mark.index, _flow(value, in_flow=in_flow))

    def _part(self, node: Node, step: str | int) -> Node | None:
        if node.anchor is not None:
            message = "it stands in a part that an anchor names, and that may be used elsewhere"
            raise CannotEditError(message)
        if isinstance(node, ScalarNode):
            message = "what it would stand in is not written as a mapping"
            raise CannotEditError(message)
        if isinstance(node, SequenceNode):
            found = node.value[step] if isinstance(step, int) and step < len(node.value) else None
        else:
            found = next((value for key, value in node.value if key.value == step), None)
        if found is not None and (found.anchor is not None or found.start_mark.index < node.start_mark.index):
            message = "it is named by an anchor, or taken from one"
            raise CannotEditError(message)
        return found

    def _replaced(self, start: int, end: int, text: str) -> str:
        return self._text[:start] + text + self._text[end:]

    def _remove(self, node: Node, outer: Path, last: str | int) -> str:
        pairs = [(value, value) for value in node.value] if isinstance(node, SequenceNode) else node.value
        number = last if isinstance(last, int) else [key.value for key, _ in pairs].index(last)
        if len(pairs) == 1:
            if not outer:
                message = "nothing would be left of the document"
                raise CannotEditError(message)
            holder = self._root
            for step in outer[:-1]:
                found = self._part(holder, step)
                holder = holder if found is None else found
            return self._remove(holder, outer[:-1], outer[-1])
        start, end = pairs[number][0].start_mark.index, self._end(pairs[number][1])
        if node.flow_style:
            if number + 1 < len(pairs):
                return self._replaced(start, pairs[number + 1][0].start_mark.index, "")
            return self._replaced(self._end(pairs[number - 1][1]), end, "")
        line = self._line_start(start)
        if self._text[line:start].strip() not in ({"-"} if isinstance(node, SequenceNode) else {""}):
            message = "it shares its line with something else"
            raise CannotEditError(message)
        return self._replaced(line, self._line_end(end), "")

    def _insert(self, node: Node, key: str, value: Any) -> str:  # noqa: ANN401 - JSON
        if not isinstance(node, MappingNode) or not node.value:
            if isinstance(node, MappingNode) and node.flow_style:
                return self._replaced(
                    node.start_mark.index, node.end_mark.index, f"{{{key}: {_flow(value, in_flow=True)}}}"
                )
            message = f"there is no place for `{key}`"
            raise CannotEditError(message)
        end = self._end(node.value[-1][1])
        if node.flow_style:
            return self._replaced(end, end, f", {key}: {_flow(value, in_flow=True)}")
        column = node.value[0][0].start_mark.column
        return self._with_lines(end, _block(key, value, column))

    def _append(self, node: Node, value: Any) -> str:  # noqa: ANN401 - JSON
        if not isinstance(node, SequenceNode):
            message = "it is no list"
            raise CannotEditError(message)
        if node.flow_style:
            if not node.value:
                return self._replaced(node.start_mark.index, node.end_mark.index, f"[{_flow(value, in_flow=True)}]")
            end = self._end(node.value[-1])
            return self._replaced(end, end, f", {_flow(value, in_flow=True)}")
        last = node.value[-1]
        dash = last.start_mark.index - self._line_start(last.start_mark.index)
        indent = self._text[self._line_start(last.start_mark.index) :][:dash].index("-")
        lines = [f"{' ' * indent}- {_flow(value, in_flow=False)}"]
        if isinstance(value, dict) and isinstance(last, MappingNode) and not last.flow_style:
            head, *rest = [f"{key}: {_flow(each, in_flow=False)}" for key, each in value.items()]
            lines = [f"{' ' * indent}- {head}", *(f"{' ' * (indent + _INDENT)}{line}" for line in rest)]
        return self._with_lines(self._end(last), lines)

    def _with_lines(self, after: int, lines: Sequence[str]) -> str:
        at = self._line_end(after)
        newline = "\r\n" if "\r\n" in self._text else "\n"
        head = self._text[:at]
        separator = "" if head.endswith("\n") else newline
        return f"{head}{separator}{newline.join(lines)}{newline}{self._text[at:]}"

    def _end(self, node: Node) -> int:
        """Return where the text of a node ends: that of a block is the end of its last part, before comments and empty lines."""
        if isinstance(node, ScalarNode) or node.flow_style or not node.value:
            if isinstance(node, ScalarNode) and node.style in {"|", ">"}:
                message = "a text over several lines stands there"
                raise CannotEditError(message)
            return int(node.end_mark.index)
        last = node.value[-1]
        return self._end(last if isinstance(node, SequenceNode) else last[1])

    def _line_start(self, index: int) -> int:
        return self._text.rfind("\n", 0, index) + 1

    def _line_end(self, index: int) -> int:
        """Return the beginning of the next line."""
        end = self._text.find("\n", index)
        return len(self._text) if end < 0 else end + 1


def _flow(value: Any, *, in_flow: bool) -> str:  # noqa: ANN401 - JSON
    """Return a value on one line."""
    if isinstance(value, str):
        return scalar(value, in_flow=in_flow) if value.isascii() else _quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_flow(key, in_flow=True)}: {_flow(each, in_flow=True)}' for key, each in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_flow(each, in_flow=True) for each in value)}]"
    return str(value)


def _quoted(text: str) -> str:
    yaml, sink = YAML(typ="safe", pure=True), io.StringIO()
    yaml.default_style = '"'  # type: ignore[assignment] # the library leaves it untyped
    yaml.width, yaml.allow_unicode = 1 << 20, False
    yaml.dump(text, sink)
    return sink.getvalue().splitlines()[0]


def _block(key: str, value: Any, column: int) -> list[str]:  # noqa: ANN401 - JSON
    """Return the lines of a key in a block; a list has a line for each of its items."""
    indent = " " * column
    if isinstance(value, list | tuple) and any(isinstance(each, dict) for each in value):
        return [f"{indent}{key}:", *(f"{indent}{' ' * _INDENT}- {_flow(each, in_flow=False)}" for each in value)]
    return [f"{indent}{key}: {_flow(value, in_flow=False)}"]
