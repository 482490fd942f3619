"""What drivers find wrong with configurations, shares and extra specs before anything is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sharectl.model.frozen import NamedTuple, dataclass, field

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sharectl.model.access import AccessRule
    from sharectl.model.specs import SnapshotPolicy


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """Why a configuration cannot work although it meets the schema; `path` leads to the cause within `spec.config`."""

    path: tuple[str | int, ...]
    summary: str
    remedy: str


@dataclass(frozen=True, slots=True)
class WantedShare:
    """A share as its manifest asks for it, before anything is called.

    `rules` are all its access rules, `extra_specs` those of its type. `pool` is None while it has no place: then a problem counts only
    if every pool of the backend has it. `export_name` is None where the share is exported under its own name, `snapshot_policy` where the backend
    is to take no snapshots by itself. `needs` are those of `source_snapshot` and `revert_to` that the manifest has.
    """

    name: str
    size_bytes: int
    protocol: str
    rules: tuple[AccessRule, ...] = ()
    extra_specs: Mapping[str, str] = field(default_factory=dict)
    pool: str | None = None
    export_name: str | None = None
    snapshot_policy: SnapshotPolicy | None = None
    needs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ShareProblem:
    """Why a backend cannot make a share as requested, or what a driver does not understand in a share type.

    `path` is `("name",)`, `("size",)`, `("protocol",)`, `("export_name",)`, `("snapshot_policy",)`, `("source_snapshot",)`, `("revert_to",)`, `("access",)` for the rules as a whole, `("access", KEY)` for the rule of that
    key, or `("extra_specs", KEY)`.
    """

    path: tuple[str, ...]
    summary: str
    remedy: str


class ShareServerProblem(NamedTuple):
    """Why a backend cannot make, or have, a share server in its subnet, with its directory services, for shares of some protocols."""

    summary: str
    remedy: str


ShareCheck = Callable[["WantedShare"], "Sequence[ShareProblem]"]


class StoragePlace(NamedTuple):
    """A folder or file that a backend has to itself: on `host` (empty: this machine), at the absolute `location`.

    `what` says what it is (`the root`); `path` leads to it within `spec.config`. Places of one backend may lie inside each other.
    """

    host: str
    location: str
    what: str
    path: tuple[str | int, ...]
