"""What the user asks of a plan besides the manifests: which addresses, and which refusals to lift."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.model.frozen import dataclass, field
from sharectl.model.settings import SafetyLimits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.manifests.desired import Desired
    from sharectl.model.kinds import Address
    from sharectl.planner.shares.placement import Witness

_DEFAULT_LIMITS = SafetyLimits()


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What the project's own manifests describe, for a plan of files that were named with -f.

    `rules` are the keys of those access rules of a share that are documents of their own. `is_whole` is False where the project's
    manifests have mistakes: then nobody knows all that they describe, and nothing counts as gone.
    """

    addresses: frozenset[Address] = frozenset()
    rules: Mapping[Address, frozenset[str]] = field(default_factory=dict)
    is_whole: bool = True

    @classmethod
    def of(cls, own: Desired, *, is_whole: bool) -> Elsewhere:
        """Return what the manifests `own` of the project describe."""
        return cls(frozenset(own.addresses), own.rule_documents(), is_whole)

    def describes(self, address: Address) -> bool:
        """Tell whether the project's manifests describe the resource, or may do so."""
        return not self.is_whole or address in self.addresses

    def describes_rule(self, address: Address, key: str) -> bool:
        """Tell whether a document of the project's manifests gives this access to the share, or may do so."""
        return not self.is_whole or key in self.rules.get(address, ())


@dataclass(frozen=True, slots=True)
class Import:
    """A share on a backend that is to be taken over: the backend's name and the backend's own id of the share."""

    backend: str
    backend_id: str


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """The options of `plan`, `apply` and `destroy`; the defaults plan everything and lift nothing.

    `targets`, `labels` and `backends` narrow the plan, each further; `excludes` leaves addresses out. `replaces` asks for new
    shares in place of old ones. `allow_deletions`, `allow_recreations` and `allow_revocations` are the largest numbers that pass the safety
    limits. `allow_unreadable` are backends of which it is meant that they are not looked at.
    `allow_shared` are backends that hold what other states know, and may be used all the same. `witness` watches the placement of one share.
    `elsewhere` is what the project's own manifests describe, where the plan is of other files: that is not removed.
    """

    targets: frozenset[Address] = frozenset()
    excludes: frozenset[Address] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    backends: frozenset[str] = frozenset()
    replaces: frozenset[Address] = frozenset()
    imports: Mapping[Address, Import] = field(default_factory=dict)
    limits: SafetyLimits = _DEFAULT_LIMITS
    allow_deletions: int = 0
    allow_recreations: int = 0
    allow_revocations: int = 0
    allow_empty: bool = False
    override_protection: frozenset[Address] = frozenset()
    destroy: bool = False
    allow_unreadable: frozenset[str] = frozenset()
    allow_shared: frozenset[str] = frozenset()
    witness: Witness | None = field(default=None, compare=False)
    elsewhere: Elsewhere | None = None

    @property
    def only_imports(self) -> bool:
        """Tell whether the plan takes shares over and does nothing else."""
        return bool(self.imports) and self.targets == self.imports.keys()

    @property
    def narrows(self) -> bool:
        """Tell whether only a part of the manifests is planned."""
        return bool(self.targets or self.excludes or self.labels or self.backends)

    def described_elsewhere(self, address: Address) -> bool:
        """Tell whether the project's own manifests describe the resource, or may do so, where the plan is of other files."""
        return self.elsewhere is not None and self.elsewhere.describes(address)

    @property
    def elsewhere_verb(self) -> str:
        """Return what the project's own manifests do with what the named files leave out: `describe`, or not even that is known."""
        is_whole = self.elsewhere is not None and self.elsewhere.is_whole
        return "describe" if is_whole else "have mistakes and may describe"
