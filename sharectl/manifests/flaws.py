"""What must not be taken at its word in manifests that have mistakes, so that a check of the rest says nothing that only follows from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sharectl.manifests.findings import touches

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.manifests.findings import Path
    from sharectl.model.kinds import Address


@dataclass(frozen=True, slots=True)
class Flaws:
    """The paths at which documents are wrong, by address; `hides_backends` where text that could not be read may describe backends."""

    paths: Mapping[Address, frozenset[Path]] = field(default_factory=dict)
    hides_backends: bool = False

    def is_sound(self, address: Address, *fields: str) -> bool:
        """Tell whether nothing is wrong with any of these fields of the document's spec."""
        return not self.paths or all(self.is_sound_at(address, "spec", field) for field in fields)

    def is_sound_at(self, address: Address, *path: str | int) -> bool:
        """Tell whether nothing is wrong with what stands at `path` in the document, around it or within."""
        return address not in self.paths or not touches(path, self.paths[address])


NO_FLAWS: Final = Flaws()
