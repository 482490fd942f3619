"""Load manifests: read the sources, compile what has changed, link everything, and report all problems at once."""

from __future__ import annotations

from contextlib import suppress
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import orjson

from sharectl.manifests.desired import Desired
from sharectl.manifests.files import read_regular_file
from sharectl.manifests.findings import Flaws, told_by_default, told_once
from sharectl.manifests.link import Linker
from sharectl.manifests.sources import Sources, read_sources
from sharectl.model.diagnostics import Diagnostic, DiagnosticError, Severity, Source, error, has_errors, warning
from sharectl.model.frozen import dataclass
from sharectl.model.kinds import Kind, address_of, split_rule_address

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from sharectl.manifests.cache import ManifestCache
    from sharectl.manifests.compiled import CompiledFile
    from sharectl.manifests.defaults import Defaults
    from sharectl.manifests.findings import Finding
    from sharectl.manifests.findings import Path as FieldPath
    from sharectl.manifests.forms import Forms
    from sharectl.manifests.linked import Linked
    from sharectl.manifests.positions import FilePositions
    from sharectl.manifests.schemas import DriverSchemas
    from sharectl.manifests.sources import SourceFile
    from sharectl.model.kinds import Address

_BACKEND: Final = b"Backend"
_CONFIG: Final = ("spec", "config")
_MOST_POSITIONS: Final = 8
"""Of how many files at a time the positions are kept: they take far more room than the text."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the manifests want, and everything that is wrong with them, in the order of files and lines.

    Where `diagnostics` holds an error, `desired` is not whole and must not be acted upon. `readable` holds more, for further checks: all
    documents that have a name, with something in place of what is wrong in them; its `flaws` say where. `unmatched` are the project's defaults
    that are for no document, by number, each with its kind; none where documents could not be read whole.
    """

    desired: Desired
    diagnostics: tuple[Diagnostic, ...]
    readable: Desired
    unmatched: tuple[tuple[int, str], ...] = ()


def load(  # noqa: PLR0913 - where from, what with, and how much; each has one meaning
    sources: Sequence[str],
    *,
    base_directory: Path,
    cache: ManifestCache | None,
    drivers: DriverSchemas,
    only: Collection[Address] | None = None,
    stdin: BinaryIO | None = None,
    defaults: Defaults | None = None,
) -> Loaded:
    """Load the files, folders and standard input (`-`) in `sources`, with the project's `defaults`; relative ones are under `base_directory`.

    `drivers` is asked only for the drivers of Backend documents. With `only`, just the shares and snapshots at these addresses, and those
    that they are made from, are loaded and linked (all other kinds are always loaded); an address that does not exist is left out.
    Never raises for what is in the sources.
    """
    loader = _Loader(cache, drivers, defaults)
    read, files = loader.read(sources, base_directory, stdin)
    linker = Linker(files, loader.positions, loader.possible_names, defaults)
    linked = (
        linker.link_all() if only is None else linker.link_only({split_rule_address(address)[0] for address in only})
    )
    findings = [(number, finding) for number, file in enumerate(files) for finding in file.findings]
    for number, finding in findings:
        if finding.is_about_unknown_setting:
            loader.positions(number).conceal(finding.document, finding.path)
        elif finding.code == "manifest.driver" or finding.column:  # nobody knows which of its settings are secrets
            loader.positions(number).conceal(finding.document, ("spec", "config"))
    diagnostics = told_once(
        list(_placed((*findings, *linker.findings), linked, loader.positions)),
        lambda source: _set_at(source, read.files, files),
    )
    diagnostics += [*loader.diagnostics, *read.diagnostics]
    if not has_errors(diagnostics):
        diagnostics += _nothing_found(sources, read, files, base_directory)
    order = {file.path: number for number, file in enumerate(read.files)}
    diagnostics.sort(key=lambda diagnostic: _order(diagnostic, order))
    if cache is not None:
        cache.save()
    unmatched: tuple[tuple[int, str], ...] = ()
    if defaults is not None:
        unmatched = tuple(defaults.unmatched(reduce(or_, (file.defaults_matched for file in files), 0)))
    if not has_errors(diagnostics):
        desired = Desired(linked, loader.positions)
        return Loaded(desired, tuple(diagnostics), desired, unmatched)
    is_all_read = not has_errors([*loader.diagnostics, *read.diagnostics]) and all(map(_is_missing_field, findings))
    flaws = _flaws(files, loader.hides_backends or has_errors(read.diagnostics))
    sound = linked.without({address for file in files for address in file.unsound})
    readable = Desired(linked, loader.positions, flaws)
    return Loaded(Desired(sound, loader.positions), tuple(diagnostics), readable, unmatched if is_all_read else ())


def _is_missing_field(found: tuple[int, Finding]) -> bool:
    """Tell whether no more is wrong than that a document lacks a field, which a default may be meant to give."""
    _, finding = found
    return finding.code == "manifest.missing" and bool(finding.path)


def _placed(
    findings: Iterable[tuple[int, Finding]], linked: Linked, positions: Callable[[int], FilePositions]
) -> Iterator[Diagnostic]:
    """Yield what was found, each with its place; what many documents have wrong by the same default is said once."""
    by_default: dict[tuple[str, str, Source], list[Diagnostic]] = {}
    for number, finding in findings:
        source = linked.default_source(finding.address, finding.path) if finding.address is not None else None
        if source is None:
            yield finding.diagnostic(positions(number))
        else:
            found = Diagnostic(
                Severity.ERROR, finding.code, finding.summary, finding.detail, finding.remedy, finding.address, source
            )
            by_default.setdefault((found.code, found.summary, source), []).append(found)
    yield from map(told_by_default, by_default.values())


def addresses_beginning(  # noqa: PLR0913 - as above, and what is looked for
    prefix: str,
    sources: Sequence[str],
    *,
    base_directory: Path,
    cache: ManifestCache,
    drivers: DriverSchemas,
    defaults: Defaults | None = None,
) -> list[Address]:
    """Return the shares and snapshots in the sources whose addresses begin with `prefix`; files without any are not decoded."""
    _, files = _Loader(cache, drivers, defaults).read(sources, base_directory, None)
    cache.save()
    needle = orjson.dumps(prefix)[:-1]
    return [
        address
        for file in files
        if file.mentions(needle)
        for address in file.index.addresses
        if address.startswith(prefix)
    ]


def _set_at(source: Source, sources: Sequence[SourceFile], files: Sequence[CompiledFile]) -> Address | None:
    """Return the address of the ShareSet that a place is in; None where nothing of the set but that it is one can be used."""
    for file, compiled in zip(sources, files, strict=True):
        for each in compiled.index.sets if file.path == source.path else ():
            if each.place[0] == source.document:
                return address_of(Kind.SHARE_SET, each.name)
    return None


def _flaws(files: Sequence[CompiledFile], hides_backends: bool) -> Flaws:  # noqa: FBT001 - as the field
    paths: dict[Address, set[FieldPath]] = {}
    for file in files:
        for address, wrong in file.unsound.items():
            paths.setdefault(address, set()).update(wrong)
        for finding in file.findings:
            is_around = (
                finding.code == "manifest.missing" and finding.path[:2] != _CONFIG
            )  # its path is the whole that lacks something
            if finding.address is not None and not is_around:
                paths.setdefault(finding.address, set()).add(finding.path)
    return Flaws({address: frozenset(wrong) for address, wrong in paths.items()}, hides_backends)


class _Loader:
    """Compiles files or takes them from the cache, and finds positions in them."""

    def __init__(self, cache: ManifestCache | None, drivers: DriverSchemas, defaults: Defaults | None) -> None:
        self.possible_names: set[str] = set()
        self.hides_backends = False
        self.diagnostics: list[Diagnostic] = []
        self._files: list[SourceFile] = []
        self._forms: Forms | None = None
        self._cache = cache
        self._drivers = drivers
        self._defaults = defaults
        self._positions: dict[int, FilePositions] = {}
        self._concealed: dict[int, set[tuple[int, FieldPath]]] = {}
        if cache is not None:
            cache.defaults = "" if defaults is None else defaults.digest
            cache.compile_again = self._compiled_again

    def read(
        self, sources: Sequence[str], base_directory: Path, stdin: BinaryIO | None
    ) -> tuple[Sources, list[CompiledFile]]:
        """Read the sources, and compile what has changed in them."""
        known = None if self._cache is None else self._cache.known
        read = read_sources(sources, base_directory=Path(base_directory), stdin=stdin, known=known)
        self._files = read.files
        return read, [self._compiled(file) for file in read.files]

    def positions(self, number: int) -> FilePositions:
        """Return the positions of a file."""
        from sharectl.manifests.positions import FilePositions  # noqa: PLC0415 - most runs point at nothing

        if number not in self._positions:
            while len(self._positions) >= _MOST_POSITIONS:
                del self._positions[next(iter(self._positions))]
            file = self._files[number]
            self._positions[number] = FilePositions(file.path, file.data, self._concealed.setdefault(number, set()))
        return self._positions[number]

    def _compiled_again(self, path: str, before: CompiledFile) -> CompiledFile:
        """Compile a file again of which the cache has lost a part since the beginning of the run."""
        from sharectl.manifests.compile import compile_file  # noqa: PLC0415 - unchanged files are not compiled

        with suppress(OSError):
            compiled, _ = compile_file(read_regular_file(path)[1], self._drivers, self._defaults)
            if compiled.digests == before.digests:
                return compiled
        summary = f"{path} was changed while sharectl was at work"
        raise DiagnosticError(error("manifest.changed", summary, remedy="run the command again"))

    def _compiled(self, file: SourceFile) -> CompiledFile:
        """Return a file compiled, from the cache where it is there, with what is wrong in it among `diagnostics`."""
        path = file.real_path or file.path
        compiled = file.compiled
        if compiled is None and self._cache is not None:
            compiled = self._cache.same(path, file.status, file.data)
        if compiled is not None and all(
            self._drivers.digest(driver) == digest for driver, digest in compiled.drivers.items()
        ):
            file.forget()
            return compiled
        from sharectl.manifests.compile import compile_file, names_in_text  # noqa: PLC0415 - unchanged files are not compiled
        from sharectl.manifests.forms import Forms  # noqa: PLC0415 - as above

        if self._forms is None:
            self._forms = Forms()
        data = file.data  # once: it may be another the next time
        compiled, reading = compile_file(data, self._drivers, self._defaults, self._forms)
        for text in reading.unread:
            self.possible_names |= names_in_text(text)
            self.hides_backends |= _BACKEND in text or not text.isascii()
        is_empty = not reading.problems and not compiled.index.documents
        if is_empty:
            self.diagnostics.append(_empty(file))
        if self._cache is not None and compiled.is_sound and not is_empty:
            self._cache.put(path, file.status, data, compiled)
            file.forget()
        return compiled


def _empty(file: SourceFile) -> Diagnostic:
    """Say that a file holds no document: an error where nothing at all is in it, for that is what a write or a command cut short leaves."""
    source = Source(file.path, 1, 1)
    detail = "What it may have described before is not wanted, as if the file had been removed."
    if file.data.decode(errors="replace").strip("\ufeff \t\r\n\0"):
        summary = f"{file.path} holds no document, only comments or empty ones"
        return warning(
            "manifest.empty", summary, detail=detail, remedy="remove the file if that is what you want", source=source
        )
    if file.real_path is None:
        remedy = "see whether the command before the pipe has failed"
        return error("manifest.empty", "standard input is empty", remedy=remedy, source=source)
    remedy = "restore the file, remove it, or write a comment into it if it is to hold nothing"
    return error("manifest.empty", f"{file.path} is empty", detail=detail, remedy=remedy, source=source)


def _nothing_found(
    sources: Sequence[str], read: Sources, files: Sequence[CompiledFile], base_directory: Path
) -> list[Diagnostic]:
    if any(file.digests or file.settings for file in files) or any(file.index.documents for file in files):
        return []
    if not read.files and all((Path(base_directory) / name).is_dir() for name in sources):
        return []
    path = read.files[0].path if read.files else ", ".join(sources)
    summary = "there is no manifest in what was read"
    remedy = "write documents with apiVersion, kind, metadata and spec, or name the files that hold them"
    return [error("manifest.none", summary, remedy=remedy, source=Source(path, 1, 1))]


def _order(diagnostic: Diagnostic, order: dict[str, int]) -> tuple[int, str, int, int]:
    source = diagnostic.source
    if source is None:
        return (len(order), "", 0, 0)
    return (order.get(source.path, len(order)), source.path, source.line, source.column)
