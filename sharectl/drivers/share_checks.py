"""What a factory may tell of shares, extra specs and storage before anything is called: optional, pure, and without a connection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from sharectl.model.diagnostics import did_you_mean
from sharectl.model.quantities import format_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sharectl.drivers.base import Capability
    from sharectl.model.access import AccessRule
    from sharectl.model.backends import BackendSpec


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


@runtime_checkable
class ChecksShares(Protocol):
    """A factory that can tell without a connection what its driver's calls would refuse for good.

    What the check finds right, `create_share`, `extend_share` and `update_access` never refuse for what the share is or who may reach
    it; what they refuse for that, the check names. The way to keep the two alike is one function for both.
    """

    def share_check(self, backend: BackendSpec) -> ShareCheck:
        """Return the check of shares on this backend, whose configuration meets the schema; made once, asked for many shares."""
        ...


@runtime_checkable
class ChecksExtraSpecs(Protocol):
    """A factory whose driver reads extra specs of its own, scoped by the driver's name (`acme:tier`)."""

    def extra_spec_problems(self, extra_specs: Mapping[str, str]) -> Sequence[ShareProblem]:
        """Return what the driver cannot make sense of among those with its scope: misspelt keys, values that mean nothing."""
        ...


@runtime_checkable
class TellsCapabilities(Protocol):
    """A factory whose capabilities depend on the configuration: what holds for this backend, in place of `capabilities`."""

    def capabilities_of(self, backend: BackendSpec) -> frozenset[Capability]:
        """Return the optional capabilities of the driver that `open` would return."""
        ...


class StoragePlace(NamedTuple):
    """A folder or file that is a backend's own: on `host` (empty: this machine), at the absolute `location`.

    `what` says what it is (`the root`); `path` leads to it within `spec.config`. Two places of one backend may be one inside the other.
    """

    host: str
    location: str
    what: str
    path: tuple[str | int, ...]


@runtime_checkable
class NamesStorage(Protocol):
    """A factory that can tell where the storage of a backend is, so that two backends do not share it unnoticed."""

    def storage_places(self, backend: BackendSpec, base_directory: str) -> Sequence[StoragePlace]:
        """Return the places of a configuration that meets the schema; relative paths of this machine are under `base_directory`."""
        ...


def unknown_extra_spec(key: str, driver: str, known: Sequence[str]) -> ShareProblem:
    """Return the problem of a scoped extra spec that the driver does not know; `known` are those that it does."""
    guess = did_you_mean(key, known)
    if not known:
        return ShareProblem(
            ("extra_specs", key), f"the {driver} driver reads no extra specs of its own", f"remove {key}"
        )
    remedy = guess or f"the {driver} driver knows {', '.join(known)}"
    return ShareProblem(("extra_specs", key), f"the {driver} driver knows no extra spec {key!r}", remedy)


def smaller_than_snapshot(snapshot: str, snapshot_bytes: int, size_bytes: int) -> str:
    """Return why no clone of this size can be made."""
    return (
        f"a share of {format_size(size_bytes)} cannot be made from the snapshot {snapshot!r}, "
        f"which is of a share of {format_size(snapshot_bytes)}"
    )
