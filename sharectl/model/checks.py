"""What drivers find wrong with configurations, shares and extra specs before anything is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from sharectl.model.frozen import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sharectl.model.access import AccessRule


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """What keeps a configuration from working although it meets the schema; `path` leads to it within `spec.config`."""

    path: tuple[str | int, ...]
    summary: str
    remedy: str


@dataclass(frozen=True, slots=True)
class WantedShare:
    """A share as its manifest asks for it, long before anything is called.

    `rules` are all its access rules, `extra_specs` those of its type. `pool` is None where its place is still to be chosen: then a problem
    counts only if every pool of the backend has it.
    """

    name: str
    size_bytes: int
    protocol: str
    rules: tuple[AccessRule, ...] = ()
    extra_specs: Mapping[str, str] = field(default_factory=dict)
    pool: str | None = None


@dataclass(frozen=True, slots=True)
class ShareProblem:
    """What keeps a backend from making a share as it is asked for, or a share type from meaning anything to its driver.

    `path` is `("name",)`, `("size",)`, `("protocol",)`, `("access",)` for the rules as a whole, `("access", KEY)` for the rule of that
    key, or `("extra_specs", KEY)`.
    """

    path: tuple[str, ...]
    summary: str
    remedy: str


ShareCheck = Callable[["WantedShare"], "Sequence[ShareProblem]"]


class StoragePlace(NamedTuple):
    """A folder or file that is a backend's own: on `host` (empty: this machine), at the absolute `location`.

    `what` says what it is (`the root`); `path` leads to it within `spec.config`. Two places of one backend may be one inside the other.
    """

    host: str
    location: str
    what: str
    path: tuple[str | int, ...]
