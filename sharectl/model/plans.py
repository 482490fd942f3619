"""What a plan is made of: actions, steps, changes, drift."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.model.access import AccessRule, ExportSettings
    from sharectl.model.backends import BackendSpec
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address
    from sharectl.model.share_networks import ShareServerSpec
    from sharectl.model.specs import ShareSpec, SnapshotSpec
    from sharectl.model.verbs import Verb


class Action(StrEnum):
    """What the plan does to a resource; the value is the printed symbol."""

    CREATE = "+"
    UPDATE = "~"
    DELETE = "-"
    CREATE_THEN_DELETE = "±"
    DELETE_THEN_CREATE = "∓"
    ADOPT = "<"
    FORGET = "x"
    MOVE = ">"
    REVERT = "↶"

    @property
    def word(self) -> str:
        """The name that JSON and sentences use: `create`, `create-then-delete`."""
        return self.name.lower().replace("_", "-")


class FieldChange(NamedTuple):
    """One field before and after, as people and JSON read it; None stands for absent."""

    field: str
    before: Any
    after: Any


class Candidate(NamedTuple):
    """A pool that can take a new share: the higher `weight`, the earlier it is tried; `weights` are the parts by weigher.

    `share_server` is the address of the share server that the share would be on there.
    """

    backend: str
    pool: str
    weight: float
    weights: tuple[tuple[str, float], ...] = ()
    share_server: Address | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One node of the graph that apply walks: one driver call, or one change of the state alone.

    `expected_version` is the version of the state's row when the plan was made (None: no row), by which apply recognises that
    the step is stale. `waits_for` are step ids. `rules` is the whole set of access rules for `update-access`, else None; it `repairs` where the
    backend holds other rules than the state says, so that the driver must not trust the difference to the state.
    `export_settings` are those that the share's export is to have with `rules`; None keeps what it has.
    `reason` is for people and never decides anything. `moved_from` is the former address for `move`. `import_id` is the
    backend's own id of the share that is taken over, `import_resource_id` the id under which it was managed before, if it was.
    `identity` is what the storage that `prepare-backend` makes ready said of itself when the plan was made, None if it was never used.
    """

    step_id: str
    address: Address
    action: Action
    verb: Verb
    reason: str
    backend: str | None = None
    waits_for: tuple[str, ...] = ()
    expected_version: int | None = None
    spec: ShareSpec | SnapshotSpec | ShareServerSpec | None = None
    rules: tuple[AccessRule, ...] | None = None
    repairs: bool = False
    export_settings: ExportSettings | None = None
    changes: tuple[FieldChange, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    moved_from: Address | None = None
    import_id: str | None = None
    import_resource_id: str | None = None
    identity: str | None = None


class DriftKind(StrEnum):
    """How reality differs from the state."""

    GONE = "gone"
    CHANGED = "changed"
    UNKNOWN = "unknown"
    UNMANAGED = "unmanaged"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Drift:
    """A difference between the state and what the backend reports, whether or not a step repairs it."""

    address: Address
    kind: DriftKind
    summary: str
    changes: tuple[FieldChange, ...] = ()
    repaired_by: str | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """What the plan leaves undone at one address: because of itself, or of another address (`cause`) that it depends on.

    `verbs` are the steps that it would have had, as far as they were worked out; `reason` is one line.
    """

    address: Address
    reason: str
    cause: Address
    code: str
    verbs: tuple[Verb, ...] = ()


@dataclass(frozen=True, slots=True)
class Summary:
    """How many resources each action touches (by `Action.word`), and how many are left as they are.

    Access rules are counted apart, in `rules_by_action`.
    """

    by_action: Mapping[str, int]
    rules_by_action: Mapping[str, int]
    unchanged: int


class UnreadBackend(NamedTuple):
    """A backend that the plan was asked to look at and that could not be read, or is not the one that the state knows.

    `allowed` where the user has said that this is meant.
    """

    backend: str
    allowed: bool = False


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a plan was made: the path of its state, and the commit and the folder of its repository, where it is in one."""

    state_path: str
    commit: str | None = None
    folder: str = ""

    def is_same_project(self, other: Origin) -> bool:
        """Tell whether both are one project: one state, or two checkouts of one commit."""
        same_checkout = self.commit is not None and (self.commit, self.folder) == (other.commit, other.folder)
        return same_checkout or self.state_path == other.state_path


@dataclass(frozen=True, slots=True)
class Plan:
    """The graph that runs, what it was made from, and what people should know before it does.

    `steps` are in an order that honours `waits_for`. `backends` and `extra_specs` (by share type) are all that apply needs of the
    manifests, so that a saved plan runs without them. `lineage` and `serial` name the state it was made from. `unread` are the
    backends that could not be looked at although that was asked for. `held` is what was
    asked for and is not done; all else in `steps` does not depend on it. A plan that `is_stopped` is for reading only. `origin` is set
    in a plan that is saved.
    """

    lineage: str
    serial: int
    steps: tuple[Step, ...]
    drift: tuple[Drift, ...]
    diagnostics: tuple[Diagnostic, ...]
    summary: Summary
    backends: Mapping[str, BackendSpec] = field(default_factory=dict)
    extra_specs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    unread: tuple[UnreadBackend, ...] = ()
    held: tuple[Held, ...] = ()
    is_stopped: bool = False
    origin: Origin | None = None

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing to do."""
        return not self.steps
