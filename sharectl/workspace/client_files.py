"""The file of a ClientList whose names are looked up: newly made, or changed only where an address has changed."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any, Final

from sharectl.manifests.reader import read_documents
from sharectl.manifests.write import ManifestDocument, dump, scalar
from sharectl.model.diagnostics import DiagnosticError, error, has_errors, listed
from sharectl.model.frozen import dataclass
from sharectl.model.kinds import Kind
from sharectl.private import draft_of, way_out

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

Names = dict[str, list[str]]
"""Host names and netgroups, each with its addresses."""

_COMMENT: Final = (
    "The names were looked up by `sharectl clients resolve`; with `--write` and this file it does so again."
)
_STEP: Final = 2


@dataclass(frozen=True, slots=True)
class ListFile:
    """A file with a ClientList: its text, the number of the document in it, the name of the list, and the names in it with their addresses."""

    path: Path
    text: str
    document: int
    name: str
    names: Names

    def with_names(self, names: Names) -> str:
        """Return the text with these names, of which those that it has are in its order; nothing else in it changes. Raises DiagnosticError."""
        text = self.text
        for start, end, new in sorted(_edits(self, names), reverse=True):
            text = text[:start] + new + text[end:]
        before, after = _values(self.text), _values(text)
        if before is None or after is None or not _differs_in_names_alone(before, after, self.document, names):
            summary = f"{self.path} is written in a form that cannot be changed by a program"
            remedy = "write spec.names, and what is in it, in lines of their own, without anchors"
            raise DiagnosticError(error("clients.form", summary, detail="Nothing was written.", remedy=remedy))
        return text


def new_list(name: str, names: Names) -> str:
    """Return the text of a new ClientList."""
    return dump([ManifestDocument(Kind.CLIENT_LIST.document_kind, name, {"names": names}, comment=_COMMENT)])


def read_list(path: Path, name: str | None) -> ListFile:
    """Return the ClientList in a file, the one of this name where there are several. Raises DiagnosticError."""
    try:
        data = path.read_bytes()
        text = data.decode()
    except (OSError, UnicodeDecodeError) as failure:
        why = failure.strerror if isinstance(failure, OSError) else "it is not UTF-8"
        raise DiagnosticError(error("clients.unreadable", f"{path} could not be read: {why}")) from None
    reading = read_documents(data)
    if reading.problems:
        from sharectl.manifests.positions import FilePositions  # noqa: PLC0415 - only a mistake needs it

        positions = FilePositions(str(path), data)
        raise DiagnosticError(*(problem.diagnostic(positions) for problem in reading.problems))
    found = [
        ListFile(path, text, document.number, str(document.value["metadata"]["name"]), _names_of(document.value))
        for document in reading.documents
        if _is_list(document.value) and name in {None, document.value["metadata"]["name"]}
    ]
    if len(found) == 1:
        return found[0]
    if found:
        summary = f"{path} holds several ClientLists: {listed([each.name for each in found])}"
        raise DiagnosticError(error("clients.several", summary, remedy="name one with --name"))
    what = "ClientList" if name is None else f"ClientList {name!r}"
    remedy = "name the file that has it, or one that is not there yet"
    raise DiagnosticError(error("clients.none", f"{path} holds no {what}", remedy=remedy))


def write_list(path: Path, text: str) -> None:
    """Write the file, whole or not at all; a file that is there keeps its mode, and a link its place. Raises DiagnosticError."""
    target = path.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
        with draft_of(target, mode=0o666) as draft:
            draft.write_text(text, encoding="utf-8", newline="")
            if mode is not None:
                draft.chmod(mode)
    except OSError as failure:
        summary = f"{path} could not be written: {failure.strerror}"
        raise DiagnosticError(
            error("clients.unwritable", summary, remedy=way_out(failure, "name another file with --write"))
        ) from failure


def differences(before: Names, after: Names) -> Iterator[str]:
    """Yield a line for each name that has other addresses than before."""
    for name, addresses in after.items():
        old = before.get(name, [])
        if set(old) != set(addresses):
            gone = [f"-{address}" for address in old if address not in addresses]
            yield f"{name}: {' '.join([*gone, *(f'+{address}' for address in addresses if address not in old)])}"


def _is_list(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    return (
        isinstance(value, dict)
        and value.get("kind") == Kind.CLIENT_LIST.document_kind
        and isinstance(value.get("metadata"), dict)
        and "name" in value["metadata"]
    )


def _names_of(value: Any) -> Names:  # noqa: ANN401 - as above
    spec = value.get("spec")
    names = spec.get("names") if isinstance(spec, dict) else None
    if not isinstance(names, dict):
        return {}
    return {
        str(name): [str(address) for address in addresses] if isinstance(addresses, list) else []
        for name, addresses in names.items()
    }


def _values(text: str) -> list[Any] | None:
    reading = read_documents(text.encode())
    return None if reading.problems else [document.value for document in reading.documents]


def _differs_in_names_alone(before: Sequence[Any], after: Sequence[Any], document: int, names: Names) -> bool:
    if len(before) != len(after):
        return False
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        if number == document:
            found = _names_of(new)
            if (
                list(found) != list(names)
                or any(differences(found, names))
                or _without_names(old) != _without_names(new)
            ):
                return False
        elif old != new:
            return False
    return True


def _without_names(value: Any) -> Any:  # noqa: ANN401 - as above
    return {**value, "spec": {key: part for key, part in (value.get("spec") or {}).items() if key != "names"}}


# -- where the text changes


def _edits(file: ListFile, names: Names) -> Iterator[tuple[int, int, str]]:
    """Yield the pieces of text that change: from where, to where, and what stands there then."""
    import yaml  # noqa: PLC0415 - only where a file is changed

    roots = list(yaml.compose_all(file.text, Loader=yaml.SafeLoader))
    spec = _value_of(roots[file.document], "spec")
    node = _value_of(spec, "names")
    if node is None or not node.value:
        around, column = (spec, _column(spec)) if node is None else (node, _column(spec) + _STEP)
        lines = _lines(names, column + _STEP if node is None else column)
        if node is None:
            end = _end_of_line(file.text, _end(around))
            yield end, end, f"\n{' ' * column}names:{lines}"
        else:
            yield node.start_mark.index, _end(node), lines
        return
    for key, value in node.value:
        if key.value in names and set(file.names[key.value]) != set(names[key.value]):
            yield value.start_mark.index, _end(value), _items(names[key.value], value)
    added = {name: addresses for name, addresses in names.items() if name not in file.names}
    if added:
        end = _end_of_line(file.text, _end(node))
        yield end, end, _lines(added, _column(node))


def _value_of(node: Any, name: str) -> Any:  # noqa: ANN401 - a node of a YAML document
    pairs = node.value if node is not None and isinstance(node.value, list) else []
    return next((pair[1] for pair in pairs if isinstance(pair, tuple) and pair[0].value == name), None)


def _column(node: Any) -> int:  # noqa: ANN401 - as above
    column: int = node.start_mark.column
    return column


def _end(node: Any) -> int:  # noqa: ANN401 - as above
    """Return where the text of a node ends: that of a block reaches to the next token, over comments and empty lines."""
    while isinstance(node.value, list) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    end: int = node.end_mark.index
    return end


def _end_of_line(text: str, index: int) -> int:
    end = text.find("\n", index)
    return len(text) if end < 0 else end


def _items(addresses: Sequence[str], old: Any) -> str:  # noqa: ANN401 - as above
    """Return the addresses in the style of the list that they take the place of."""
    if isinstance(old.value, list) and old.value and not old.flow_style:
        return f"\n{' ' * _column(old)}".join(f"- {scalar(address)}" for address in addresses)
    before = "" if isinstance(old.value, list) else " "
    return f"{before}[{', '.join(scalar(address, in_flow=True) for address in addresses)}]"


def _lines(names: Mapping[str, Sequence[str]], column: int) -> str:
    """Return the names with their addresses in lines of their own, each begun by a line feed."""
    indent = " " * column
    return "".join(
        f"\n{indent}{scalar(name)}:" + "".join(f"\n{indent}{' ' * _STEP}- {scalar(address)}" for address in addresses)
        for name, addresses in names.items()
    )


def check_text(path: Path, text: str, directory: Path) -> None:
    """Raise DiagnosticError where the file would not be a manifest of the project at `directory`: others in it may lack what defaults give them."""
    from sharectl.drivers.registry import driver_names  # noqa: PLC0415 - as below
    from sharectl.manifests.compile import compile_file  # noqa: PLC0415 - only where a file is changed
    from sharectl.manifests.defaults import Defaults  # noqa: PLC0415 - as above
    from sharectl.manifests.positions import FilePositions  # noqa: PLC0415 - as above
    from sharectl.manifests.schemas import DriverSchemas  # noqa: PLC0415 - as above
    from sharectl.workspace.editor_schemas import defaults_near  # noqa: PLC0415 - as above
    from sharectl.workspace.validation import driver_schema  # noqa: PLC0415 - as above

    drivers = DriverSchemas(driver_schema, driver_names)
    compiled, _ = compile_file(text.encode(), drivers, Defaults(defaults_near(directory)))
    positions = FilePositions(str(path), text.encode())
    found = [finding.diagnostic(positions) for finding in compiled.findings]
    if has_errors(found):
        raise DiagnosticError(*found)
