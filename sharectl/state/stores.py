"""The kinds of stores that there are: the scheme of a state's URL says which of them opens it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol, cast

from sharectl.model.state_urls import location_in_state_url
from sharectl.state.contract import StateUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.state.contract import StateStore

KINDS: Final[Mapping[str, str]] = {
    "sqlite": "sharectl.state.sqlite.store",
    "postgresql": "sharectl.state.postgresql.store",
}
"""By scheme, the module that is a StoreKind, imported where a state of it is opened. `sharectl.model.state_urls` checks URLs of the same schemes."""


class StoreKind(Protocol):
    """What a module of KINDS offers. URLs have been checked, and their paths are absolute. All raise StateError."""

    def open_url(self, url: str, *, create: bool) -> StateStore:
        """Open the state; with `create` a missing one is made, without, it reads as an empty one with lineage "" and serial 0."""

    def is_at(self, url: str) -> bool:
        """Tell whether there is a state, without opening it."""

    def set_aside(self, url: str) -> str:
        """Take a damaged state out of the way, so that another can be made there; return where it is now, for people."""


def kind_of_store(url: str) -> StoreKind:
    """Return the kind of store that the URL names. Raises StateUnavailableError where the library for it is missing."""
    try:
        return cast("StoreKind", import_module(KINDS[url.partition(":")[0]]))
    except ModuleNotFoundError as missing:
        if missing.name != "psycopg":
            raise
        reason = "a state in PostgreSQL needs psycopg, which is not installed"
        remedy = "pip install 'sharectl[postgresql]'"
        raise StateUnavailableError(location_in_state_url(url), reason, remedy) from missing


def open_store(url: str, *, create: bool) -> StateStore:
    """Open the state at a URL (see StoreKind). Raises StateError."""
    return kind_of_store(url).open_url(url, create=create)
