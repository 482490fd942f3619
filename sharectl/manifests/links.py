"""Where links of a project lead: a repository may be anybody's, and what it names is read aloud where it is wrong."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sharectl.manifests.sources import working_tree

if TYPE_CHECKING:
    from collections.abc import Iterable


def leads_out(real: str, base: str, outside: Iterable[str] = ()) -> bool:
    """Tell whether a path outside of the folder `base`, all links followed in both, is neither in one of `outside` nor in the git working tree around `base`."""
    top = working_tree(base)
    allowed = (*(() if top is None else (top,)), *map(os.path.realpath, outside))
    return not any(Path(real).is_relative_to(folder) for folder in allowed)
