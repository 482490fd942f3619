"""What is wrong between documents, as it is found while files are linked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.manifests.findings import Checker, touches
from sharectl.manifests.linked import Linked
from sharectl.model.diagnostics import did_you_mean
from sharectl.model.kinds import MANAGED_KINDS, Kind, kind_of, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from sharectl.manifests.compiled import CompiledFile
    from sharectl.manifests.findings import Finding, Path
    from sharectl.manifests.positions import FilePositions
    from sharectl.model.kinds import Address

_NAME_PATH: Final = ("metadata", "name")
_MAX_GUESSES: Final = 50
_MAX_CANDIDATES: Final = 2000
_NEAR_CHARACTERS: Final = 2


class LinkReport:
    """Files that are being linked, what they come to together, and the findings as (file's number, Finding)."""

    def __init__(
        self, files: Sequence[CompiledFile], positions: Callable[[int], FilePositions], possible_names: Collection[str]
    ) -> None:
        """Link `files`; `positions` finds places in the file of a number; `possible_names` may exist in documents that could not be read."""
        self.files = files
        self.positions = positions
        self.possible_names = possible_names
        self.linked = Linked()
        self.findings: list[tuple[int, Finding]] = []
        self._declared: set[Address] = {address for file in files for address, _ in file.declared}
        self._unsound = {address: paths for file in files for address, paths in file.unsound.items()}
        self._guesses = 0

    def _add(  # noqa: PLR0913, PLR0917 - the parts of a Finding
        self,
        file: int,
        place: Sequence[int],
        code: str,
        summary: str,
        remedy: str,
        path: Path,
        address: Address,
        detail: str = "",
    ) -> None:
        checker = Checker(place, address, [])
        checker.add(code, summary, remedy, *path, detail=detail)
        self._keep(file, checker)

    def _keep(self, file: int, checker: Checker) -> None:
        """Keep the findings, but for those that follow from something in their document that is not what was written."""
        for finding in checker.findings:
            if not checker.address or self._is_written(checker.address, *finding.path):
                self.findings.append((file, finding))

    def _is_written(self, address: Address, *path: str | int) -> bool:
        return address not in self._unsound or not touches(path, self._unsound[address])

    def _exists(self, address: Address) -> bool:
        return (
            address in self.linked.digests
            or address in self.linked.settings
            or address in self._declared
            or name_of(address) in self.possible_names
        )

    def _twin(
        self, address: Address, file: int, place: Sequence[int], first_file: int, first_place: Sequence[int]
    ) -> None:
        kind = kind_of(address).document_kind
        where = f"{self.positions(first_file).path}:{first_place[1]}:{first_place[2]}"
        summary = f"the {kind} {name_of(address)!r} is described twice; the other place is {where}"
        self._add(file, place, "duplicate-name", summary, "rename one, or remove it", _NAME_PATH, address)

    def _check_reference(self, file: int, place: Sequence[int], path: Path, target: Address, address: Address) -> None:
        if self._exists(target):
            return
        kind, name = kind_of(target), name_of(target)
        guess = self._guess(kind, name)
        remedy = guess or f"describe the {kind.document_kind} {name!r}, or correct the name"
        summary = f"there is no {kind.document_kind} {name!r}"
        self._add(file, place, "dangling", summary, remedy, path, address)

    def _guess(self, kind: Kind, name: str) -> str:
        self._guesses += 1
        if self._guesses > _MAX_GUESSES:
            return ""
        prefix = f"{kind}/"
        if self.linked.entries is not None and kind in MANAGED_KINDS:
            addresses: Iterable[Address] = (address for file in self.files for address in file.index.addresses)
        else:
            addresses = (*self.linked.digests, *self.linked.settings)
        names = [address[len(prefix) :] for address in addresses if address.startswith(prefix)]
        if len(names) > _MAX_CANDIDATES:
            names = [
                other
                for other in names
                if abs(len(other) - len(name)) <= _NEAR_CHARACTERS
                and (other[:2] == name[:2] or other[-2:] == name[-2:])
            ]
        return did_you_mean(name, names[:_MAX_CANDIDATES])
