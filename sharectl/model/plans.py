"""What a plan is made of: actions, steps, changes, drift."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from sharectl.model.field_changes import plain_changes, rule_changes
from sharectl.model.frozen import NamedTuple, dataclass, field
from sharectl.model.verbs import VERBS, Effect, Verb

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sharectl.model.access import AccessRule, ExportSettings
    from sharectl.model.backends import BackendSpec
    from sharectl.model.candidates import Candidate
    from sharectl.model.canonical import JsonObject
    from sharectl.model.codec import Spec
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.field_changes import FieldChange
    from sharectl.model.kinds import Address
    from sharectl.model.observed import Before
    from sharectl.model.specs import ShareSpec, SnapshotPolicy, SnapshotSpec


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


REPLACING: Final = (Action.CREATE_THEN_DELETE, Action.DELETE_THEN_CREATE)
STRENGTH: Final[Mapping[Action, int]] = {
    action: rank
    for rank, action in enumerate(
        (
            Action.MOVE,
            Action.UPDATE,
            Action.FORGET,
            Action.ADOPT,
            Action.REVERT,
            Action.DELETE,
            Action.CREATE,
            Action.CREATE_THEN_DELETE,
            Action.DELETE_THEN_CREATE,
        )
    )
}
"""How much each does: a resource with several steps is shown, and counted, under the one that does most."""


@dataclass(frozen=True, slots=True)
class PrepareBackend:
    """Make storage ready; `identity` is what it said of itself when the plan was made, None if it was never used."""

    identity: str | None = None


@dataclass(frozen=True, slots=True)
class CreateShare:
    """Make a share of `spec` in the first of `candidates` that takes it; there is at least one.

    `beside` are the resource ids of the shares that had its name on their backends when the plan was made; None where a saved plan
    does not say. `source_id` is the resource id of the snapshot that it is made from, None where the plan takes that first.
    """

    spec: ShareSpec
    candidates: Sequence[Candidate]
    beside: tuple[str, ...] | None = None
    source_id: str | None = None


@dataclass(frozen=True, slots=True)
class ResizeShare:
    """Extend or shrink a share to the size in `spec`.

    `shortage` says why the pool has no room to extend it, and is empty where it has; None where nobody has looked.
    """

    spec: ShareSpec
    shortage: str | None = None


@dataclass(frozen=True, slots=True)
class RevertShare:
    """Turn a share back to the snapshot that `spec.revert_to` names; `source_id` is as for a new share."""

    spec: ShareSpec
    source_id: str | None = None


@dataclass(frozen=True, slots=True)
class UpdateAccess:
    """Make `rules` the whole set of access rules of a share.

    It `repairs` where the backend holds other rules than the state says, so that the driver must not trust the difference to the
    state. `export_settings` are those that the share's export is to have with `rules`; None keeps what it has. `spec` is set where the
    export gets another name or other protocols, which it says.
    """

    rules: tuple[AccessRule, ...]
    repairs: bool = False
    export_settings: ExportSettings | None = None
    spec: ShareSpec | None = None


@dataclass(frozen=True, slots=True)
class ScheduleSnapshots:
    """Have the backend take snapshots of a share by `policy`, or by none; `spec` is that of its manifest, None where that is gone."""

    spec: ShareSpec | None = None
    policy: SnapshotPolicy | None = None


@dataclass(frozen=True, slots=True)
class UpdateRecord:
    """Record `spec`; the backend is changed in nothing."""

    spec: Spec


@dataclass(frozen=True, slots=True)
class Adopt:
    """Take over a share or a snapshot, or bring a share back from the trash.

    `backend_id` is the backend's own id of it; `resource_id` that under which it was managed before, if it was.
    """

    spec: ShareSpec | SnapshotSpec
    backend_id: str
    resource_id: str | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """Rename the row at the address `former`, and record `spec`, if there is one."""

    former: Address
    spec: Spec | None = None


@dataclass(frozen=True, slots=True)
class SetUp:
    """Make the resource what `spec` says: take a snapshot, or create, repair or update a share server."""

    spec: Spec


@dataclass(frozen=True, slots=True)
class ReleaseAllocation:
    """Give back an address of a network service, which was taken for `share_server_id`."""

    allocation_id: str
    share_server_id: str


Work = (
    PrepareBackend
    | CreateShare
    | ResizeShare
    | RevertShare
    | UpdateAccess
    | ScheduleSnapshots
    | UpdateRecord
    | Adopt
    | Move
    | SetUp
    | ReleaseAllocation
)
"""What a verb needs besides the address; verbs that remove need nothing."""


_WORK: Final[Mapping[Verb, type[Work]]] = {
    Verb.PREPARE_BACKEND: PrepareBackend,
    Verb.CREATE_SHARE: CreateShare,
    Verb.EXTEND_SHARE: ResizeShare,
    Verb.SHRINK_SHARE: ResizeShare,
    Verb.REVERT_SHARE: RevertShare,
    Verb.UPDATE_ACCESS: UpdateAccess,
    Verb.SCHEDULE_SNAPSHOTS: ScheduleSnapshots,
    Verb.UPDATE_RECORD: UpdateRecord,
    Verb.ADOPT: Adopt,
    Verb.RESTORE_SHARE: Adopt,
    Verb.MOVE: Move,
    Verb.RELEASE_ALLOCATION: ReleaseAllocation,
}

_OF_EFFECT: Final[Mapping[Effect, tuple[Action, ...]]] = {
    Effect.MAKES: (Action.CREATE, *REPLACING),
    Effect.TAKES_OVER: (Action.ADOPT,),
    Effect.CHANGES: (Action.UPDATE,),
    Effect.RECORDS: (Action.UPDATE,),
    Effect.REMOVES: (Action.DELETE, *REPLACING),
}
ACTIONS: Final[Mapping[Verb, tuple[Action, ...]]] = {
    **{verb: _OF_EFFECT[entry.effect] for verb, entry in VERBS.items()},
    Verb.PREPARE_BACKEND: (Action.CREATE,),
    Verb.REVERT_SHARE: (Action.REVERT,),
    Verb.UPDATE_ACCESS: (Action.UPDATE, Action.CREATE, *REPLACING, Action.ADOPT, Action.FORGET),
    Verb.SCHEDULE_SNAPSHOTS: (Action.UPDATE, Action.CREATE, *REPLACING, Action.ADOPT, Action.FORGET),
    Verb.FORGET: (Action.FORGET, *REPLACING),
    Verb.MOVE: (Action.MOVE, *REPLACING),
    Verb.CREATE_SHARE_SERVER: (Action.CREATE,),
    Verb.DELETE_SHARE_SERVER: (Action.DELETE,),
    Verb.RELEASE_ALLOCATION: (Action.DELETE,),
}
"""The actions that each verb can be a part of, the usual one first."""


def work_class(verb: Verb) -> type[Work] | None:
    """Return the class of what a verb needs besides the address; None where it needs nothing."""
    return _WORK.get(verb) or (SetUp if VERBS[verb].effect in {Effect.MAKES, Effect.CHANGES} else None)


def changes_of(work: Work | None, plain: JsonObject | None = None) -> tuple[FieldChange, ...]:
    """Return the changes that a new share, or the access to one, stands for; of other work nothing follows.

    `plain` is the plain form of its spec, where it is at hand.
    """
    if isinstance(work, UpdateAccess):
        return _changes_of_rules(work.rules)
    if isinstance(work, CreateShare):
        return plain_changes({}, work.spec.as_plain() if plain is None else plain)
    return ()


@lru_cache(maxsize=1_000)
def _changes_of_rules(rules: tuple[AccessRule, ...]) -> tuple[FieldChange, ...]:
    """Return the changes that new access stands for; many shares have the same few lists of rules."""
    return rule_changes((), rules)


def stated(work: Work | None, changes: tuple[FieldChange, ...]) -> tuple[FieldChange, ...] | None:
    """Return the changes that a step has to state, None where they follow from its work."""
    return None if changes and changes == changes_of(work) else changes


@dataclass(frozen=True, slots=True)
class Step:
    """One node of the graph that apply walks: one driver call, or one change of the state alone.

    `expected_version` is the version of the state's row when the plan was made (None: no row), by which apply recognises that
    the step is stale. `waits_for` are step ids. `reason` is for people and never decides anything, as is `before`, how that stood which
    the step takes away or changes. A `FORGET` with a backend ends the access there first.
    """

    step_id: str
    address: Address
    action: Action
    verb: Verb
    reason: str
    backend: str | None = None
    work: Work | None = None
    stated_changes: tuple[FieldChange, ...] | None = None
    expected_version: int | None = None
    waits_for: tuple[str, ...] = ()
    before: Before | None = None

    @property
    def changes(self) -> tuple[FieldChange, ...]:
        """What becomes different; what follows from the work is not held besides."""
        return self.changes_to(None)

    def changes_to(self, plain: JsonObject | None) -> tuple[FieldChange, ...]:
        """Return the same, where the plain form of the spec is at hand."""
        return changes_of(self.work, plain) if self.stated_changes is None else self.stated_changes

    @property
    def spec(self) -> Spec | None:
        """What the resource is to be, where the verb says so."""
        return getattr(self.work, "spec", None)

    @property
    def candidates(self) -> Sequence[Candidate]:
        """The pools in which a new share can be, in the order in which they are tried."""
        return self.work.candidates if isinstance(self.work, CreateShare) else ()

    @property
    def former(self) -> Address | None:
        """The address that the row had before a move."""
        return self.work.former if isinstance(self.work, Move) else None


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
    """Where a plan was made: the path of its state, or its host, database and schema, and the commit and the folder of its repository, where it is in one."""

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
    asked for and is not done; all else in `steps` does not depend on it. A plan that `is_stopped` is for reading only. `overridden` are
    the shares that it removes with whatever snapshots they have, as it was told to. `origin` is set in a plan that is saved.
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
    overridden: tuple[Address, ...] = ()
    origin: Origin | None = None

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing to do."""
        return not self.steps


def backends_of(steps: Iterable[Step]) -> list[str]:
    """Return every backend that a step may run on, by name."""
    found: set[str] = set()
    for step in steps:
        if isinstance(step.work, CreateShare):
            from sharectl.model.candidates import backends_in  # noqa: PLC0415 - most plans have no new share

            found |= backends_in(step.work.candidates)
        if step.backend is not None:
            found.add(step.backend)
    return sorted(found)
