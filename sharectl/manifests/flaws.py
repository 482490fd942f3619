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

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return self.hides_backends or bool(self.paths)

    def is_sound(self, address: Address, *fields: str) -> bool:
        """Tell whether nothing is wrong with any of these fields of the document's spec."""
        wrong = self.paths.get(address)
        return wrong is None or not any(touches(("spec", name), wrong) for name in fields)


NO_FLAWS: Final = Flaws()
