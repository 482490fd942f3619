"""What drivers say of shares before anything is called: which backends would refuse a share as it is asked for, and why."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import Capability, ChecksConfig, DriverError
from sharectl.drivers.registry import driver_factory
from sharectl.drivers.share_checks import ChecksShares, configured_capabilities
from sharectl.model.access import BOTH
from sharectl.model.checks import ShareProblem, WantedShare
from sharectl.model.frozen import NamedTuple, dataclass, field
from sharectl.model.kinds import Kind, address_of
from sharectl.model.quantities import format_size
from sharectl.model.specs import DeletionPolicy
from sharectl.planner.records import wanted_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from sharectl.manifests.desired import Desired
    from sharectl.model.access import AccessRule
    from sharectl.model.backends import BackendSpec
    from sharectl.model.checks import ShareCheck, ShareServerProblem
    from sharectl.model.specs import ShareSpec
    from sharectl.scheduler.request import Traits

    Able = Callable[[str], Collection[Capability]]
    """What the driver of a backend can do."""

FIELDS: Final[Mapping[str, str]] = {
    "deletion_policy": "deletionPolicy",
    "source_snapshot": "sourceSnapshot",
    "revert_to": "revertTo",
    "snapshot_policy": "snapshotPolicy",
    "export_name": "exportName",
}
_DOING: Final[Mapping[Capability, str]] = {
    Capability.TRASH: "has no trash",
    Capability.CLONE: "makes no shares from snapshots",
    Capability.REVERT: "turns no share back to a snapshot",
    Capability.SNAPSHOT: "takes no snapshots",
    Capability.SNAPSHOT_POLICY: "takes no snapshots by itself",
    Capability.EXPORT_NAME: "exports shares under their own names alone",
    Capability.PROTOCOLS: "exports a share over one protocol alone",
}
_PLAIN_NAME: Final = "a"
"""A name that nothing is wrong with, for what does not depend on it: so that shares which ask for the same are checked once."""
_MOST_KNOWN: Final = 10_000
_NO_NEEDS: Final[frozenset[str]] = frozenset()
_UNREADABLE: Final = "*"
"""In place of the name of a backend that nobody could read: no backend can be called so."""
_DECIDING_FIELDS: Final = ("enabled", "availabilityZone", "shareServers", "capabilities")
"""What of a backend decides whether a share may go there."""
_CHOOSING_FIELDS: Final = (
    "protocol",
    "protocols",
    "type",
    "availabilityZone",
    "shareNetwork",
    "sourceSnapshot",
    "schedulerHints",
)
"""What of a share decides where it may go."""


class Found(NamedTuple):
    """A problem of a share that all of `backends`, the only ones that it may go to, have; none where no backend has to do with it."""

    problem: ShareProblem
    backends: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of a share before anything is called: the backends that would refuse it, with the reason, and what is certain."""

    unfit: Mapping[str, str] = field(default_factory=dict)
    certain: tuple[Found, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Check:
    """The check of one backend, and of all others whose checks are equal to it."""

    ask: ShareCheck


class ShareChecks:
    """Asks the factory of each backend, and remembers its answers for shares that ask for the same."""

    def __init__(self, desired: Desired) -> None:
        """Ask nobody yet."""
        self._desired = desired
        self._checks: dict[str, _Check | None] = {}
        self._alike: dict[ShareCheck, _Check] = {}
        self._known: dict[object, dict[_Check, tuple[ShareProblem, ...]]] = {}
        self._possible: dict[object, tuple[str, ...]] = {}
        self._networks: dict[tuple[str, str, str], tuple[ShareProblem, ...]] = {}

    def problems(self, backend: str, share: WantedShare, share_type: str | None) -> tuple[ShareProblem, ...]:
        """Return what the backend's driver would refuse of the share; nothing where it cannot tell."""
        return next(found for _, found in self._said([backend], share, share_type))

    def _said(
        self, backends: Iterable[str], share: WantedShare, share_type: str | None
    ) -> Iterator[tuple[str, tuple[ShareProblem, ...]]]:
        """Yield each backend with what its driver would refuse of the share; checks that are equal are asked once."""
        key = (
            share.protocol,
            share.size_bytes,
            share_type,
            share.pool,
            share.rules,
            share.export_name,
            share.snapshot_policy,
            share.needs,
        )
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[key] = {}
        named = _asked(share, share.name, ())
        said: dict[_Check | None, tuple[ShareProblem, ...]] = {None: ()}
        for backend in backends:
            check = self._check(backend)
            if check is not None and check not in said:
                if check not in known:
                    known[check] = tuple(check.ask(_asked(share, _PLAIN_NAME, share.rules)))
                of_name = tuple(problem for problem in check.ask(named) if problem.path[0] == "name")
                said[check] = (*of_name, *known[check]) if of_name else known[check]
            yield backend, said[check]

    def possible(self, spec: ShareSpec, only: str | None = None) -> tuple[str, ...]:
        """Return the backends that the share may go to by what is known without asking them; `only` is the one of its snapshot."""
        wanted = only if only is not None else (spec.hints.only_host or "").partition("#")[0]
        key = (spec.share_type, spec.protocol, spec.availability_zone, spec.share_network is None, wanted)
        found = self._possible.get(key)
        if found is None:
            traits = self._traits_of(spec)
            found = self._possible[key] = tuple(
                name
                for name, backend in self._desired.backends.items()
                if wanted in {"", name} and self._may_take(backend, spec, traits)
            )
        return found

    def _may_take(self, backend: BackendSpec, spec: ShareSpec, traits: Traits) -> bool:
        if not self._is_sound(backend.name, *_DECIDING_FIELDS):
            return _meets(traits, {"share_backend_name": backend.name})
        zone, zones = backend.availability_zone, traits.availability_zones
        if not backend.enabled or spec.availability_zone not in {None, zone} or (zones and zone not in zones):
            return False
        known = {"share_backend_name": backend.name, "driver_handles_share_servers": backend.share_servers}
        return _meets(traits, {**known, **backend.capabilities})

    def _is_sound(self, backend: str, *fields: str) -> bool:
        return self._desired.flaws.is_sound(address_of(Kind.BACKEND, backend), *fields)

    def knows_candidates(self, spec: ShareSpec) -> bool:
        """Tell whether all is known of a share that decides where it may go, so that something can be said of all its candidates."""
        flaws, share_type = self._desired.flaws, spec.share_type
        if share_type is not None and (
            share_type not in self._desired.share_types
            or not flaws.is_sound(address_of(Kind.SHARE_TYPE, share_type), "extraSpecs")
        ):
            return False
        if flaws.hides_backends and not spec.hints.only_host:
            names_no_backend = _meets(self._traits_of(spec), {"share_backend_name": _UNREADABLE})
            if names_no_backend:
                return False
        return flaws.is_sound(address_of(Kind.SHARE, spec.name), *_CHOOSING_FIELDS)

    def verdict(
        self,
        spec: ShareSpec,
        rules: tuple[AccessRule, ...],
        needs: Mapping[Capability, str],
        able: Able,
        only: str | None = None,
    ) -> Verdict:
        """Return what is known of a share that has no place yet. `needs` are the capabilities that it asks for, by the field that does."""
        said = self._said(self.possible(spec, only), self.wanted(spec, rules), spec.share_type)
        found = {
            name: (*self._of_network(name, spec), *self._with_lacking(name, problems, needs, able))
            for name, problems in said
        }
        unfit = {name: problems[0].summary for name, problems in found.items() if problems}
        return Verdict(unfit, _certain(found) if len(unfit) == len(found) else ())

    def certain(self, spec: ShareSpec, rules: tuple[AccessRule, ...], only: str | None = None) -> tuple[Found, ...]:
        """Return what is certain of a new share by what factories tell; the first backend that could make it is the last one asked."""
        if not self.knows_candidates(spec):
            return ()
        needs = needs_of(spec, self._desired)
        found: dict[str, tuple[ShareProblem, ...]] = {}
        for name, said in self._said(self.possible(spec, only), self.wanted(spec, rules), spec.share_type):
            problems = (*self._of_network(name, spec), *self._with_lacking(name, said, needs, self.capabilities))
            found[name] = tuple(problem for problem in problems if self._is_about_what_was_written(problem, spec))
            if not found[name]:
                return ()
        return _certain(found)

    def _is_about_what_was_written(self, problem: ShareProblem, spec: ShareSpec) -> bool:
        name = problem.path[0] if problem.path else ""
        return self._desired.flaws.is_sound(address_of(Kind.SHARE, spec.name), FIELDS.get(name, name))

    def lacking_policy(self, backend: str, spec: ShareSpec) -> tuple[ShareProblem, ...]:
        """Return the problem of a placed share whose pool takes no snapshots by its policy."""
        needed = needs_of(spec, self._desired).keys() & {Capability.SNAPSHOT_POLICY}
        return self._lacking(backend, dict.fromkeys(needed, "snapshot_policy"), self.capabilities)

    def _with_lacking(
        self, backend: str, said: tuple[ShareProblem, ...], needs: Mapping[Capability, str], able: Able
    ) -> tuple[ShareProblem, ...]:
        """Return what the backend lacks, then what its driver `said` of the rest."""
        if not needs:
            return said
        lacking = self._lacking(backend, needs, able)
        paths = {problem.path for problem in lacking}
        return (*lacking, *(problem for problem in said if problem.path not in paths))

    def _of_network(self, backend: str, spec: ShareSpec) -> tuple[ShareProblem, ...]:
        """Return what the backend cannot do on the share's network."""
        if spec.share_network is None:
            return ()
        key = (backend, spec.share_network, str(spec.protocol))
        if key not in self._networks:
            self._networks[key] = tuple(
                ShareProblem(("shareNetwork",), problem.summary, problem.remedy)
                for problem in _problems_of_network(self._desired, *key)
            )
        return self._networks[key]

    @staticmethod
    def _lacking(backend: str, needs: Mapping[Capability, str], able: Able) -> tuple[ShareProblem, ...]:
        return tuple(
            ShareProblem(
                (field_name,),
                f"the driver of backend {backend} {_DOING[capability]}",
                "choose another backend or share type",
            )
            for capability, field_name in needs.items()
            if capability not in able(backend)
        )

    def wanted(self, spec: ShareSpec, rules: tuple[AccessRule, ...], pool: str | None = None) -> WantedShare:
        """Return the share as drivers are asked about it."""
        share_type = self._desired.share_types.get(spec.share_type or "")
        specs = {} if share_type is None else share_type.extra_specs
        policy = wanted_policy(self._desired, spec)
        needs = _NO_NEEDS
        if spec.source_snapshot is not None or spec.revert_to is not None:
            named = (("source_snapshot", spec.source_snapshot), ("revert_to", spec.revert_to))
            needs = frozenset(name for name, snapshot in named if snapshot is not None)
        return WantedShare(
            spec.name, spec.size_bytes, str(spec.protocol), rules, specs, pool, spec.export_name, policy, needs
        )

    def capabilities(self, backend: str) -> frozenset[Capability]:
        """Return what the driver of the backend can do, as its factory tells; everything where it cannot be loaded."""
        spec = self._desired.backends[backend]
        try:
            factory = driver_factory(spec.driver)
        except DriverError:
            return frozenset(Capability)
        if not self._is_sound(backend, "driver", "config"):
            return frozenset(Capability)
        return configured_capabilities(factory, spec)

    def _check(self, backend: str) -> _Check | None:
        if backend not in self._checks:
            is_sound = self._is_sound(backend, "driver", "config")
            check = _check_of(self._desired.backends[backend]) if is_sound else None
            self._checks[backend] = None if check is None else self._shared(check)
        return self._checks[backend]

    def _shared(self, check: ShareCheck) -> _Check:
        try:
            return self._alike.setdefault(check, _Check(check))
        except TypeError:  # it cannot be hashed, so it is taken for no other
            return _Check(check)

    def _traits_of(self, spec: ShareSpec) -> Traits:
        from sharectl.scheduler.request import request_from_share, traits_of  # noqa: PLC0415 - only where something is new

        share_type = self._desired.share_types.get(spec.share_type or "")
        return traits_of(request_from_share(spec, share_type), None)


def _problems_of_network(desired: Desired, backend: str, network: str, protocol: str) -> Sequence[ShareServerProblem]:
    """Return what the backend's driver would refuse of a new share server on the network, for a share of the protocol."""
    from sharectl.planner.share_servers.changes import server_spec, subnet_for  # noqa: PLC0415 - only with networks
    from sharectl.planner.share_servers.checks import problems_of_server  # noqa: PLC0415 - as above

    described, spec = desired.share_networks.get(network), desired.backends[backend]
    subnet = None if described is None else subnet_for(described, spec.availability_zone)
    if described is None or subnet is None:
        return ()
    if not desired.flaws.is_sound(address_of(Kind.SHARE_NETWORK, network), "subnets", "securityServices"):
        return ()
    return problems_of_server(
        desired, backend, server_spec(described, subnet, 1, desired.security_services), {protocol}
    )


def _asked(share: WantedShare, name: str, rules: tuple[AccessRule, ...]) -> WantedShare:
    return WantedShare(
        name,
        share.size_bytes,
        share.protocol,
        rules,
        share.extra_specs,
        share.pool,
        share.export_name,
        share.snapshot_policy,
        share.needs,
    )


def _check_of(spec: BackendSpec) -> ShareCheck | None:
    """Return the check of a backend whose configuration meets its schema; None where its driver has none, or finds something wrong."""
    with suppress(DriverError):
        factory = driver_factory(spec.driver)
        if isinstance(factory, ChecksShares):
            if isinstance(factory, ChecksConfig) and factory.config_problems(spec):
                return None
            return factory.share_check(spec)
    return None


def _meets(traits: Traits, known: Mapping[str, object]) -> bool:
    """Tell whether capabilities of which only some are known may be those that are required."""
    from sharectl.scheduler.errors import UnfitValueError  # noqa: PLC0415 - only where something is new

    try:
        return all(each.find(known) is None or each.met_by(known) for each in traits.requirements)
    except UnfitValueError:
        return True


def _certain(found: Mapping[str, tuple[ShareProblem, ...]]) -> tuple[Found, ...]:
    """Return what all backends have in common; where each has something else, what each has."""
    if not found:
        return ()
    backends = tuple(found)
    first = found[backends[0]]
    common = set.intersection(*({problem.path for problem in problems} for problems in found.values()))
    if common:
        return tuple(Found(problem, backends) for problem in first if problem.path in common)
    each = "; ".join(f"{name}: {problems[0].summary}" for name, problems in found.items())
    return (Found(ShareProblem((), each, "fix what keeps one of them from taking it"), backends),)


def needs_of(spec: ShareSpec, desired: Desired, *, has_snapshots: bool = False) -> dict[Capability, str]:
    """Return the capabilities that a share asks for, each with the field that does."""
    needs = {}
    if spec.deletion_policy == DeletionPolicy.TRASH:
        needs[Capability.TRASH] = "deletion_policy"
    if spec.source_snapshot is not None:
        needs[Capability.CLONE] = "source_snapshot"
    if spec.revert_to is not None:
        needs[Capability.REVERT] = "revert_to"
    if wanted_policy(desired, spec) is not None:
        needs[Capability.SNAPSHOT_POLICY] = "snapshot_policy"
    if spec.export_name is not None:
        needs[Capability.EXPORT_NAME] = "export_name"
    if spec.protocol == BOTH:
        needs[Capability.PROTOCOLS] = "protocol"
    if has_snapshots:
        needs[Capability.SNAPSHOT] = "snapshots"
    return needs


def clone_problem(spec: ShareSpec, source_bytes: int | None) -> ShareProblem | None:
    """Return what is wrong with a new share that is made from a snapshot of a share of `source_bytes`."""
    if source_bytes is None or spec.size_bytes >= source_bytes:
        return None
    at_least = format_size(source_bytes)
    return ShareProblem(
        ("size",),
        f"{address_of(Kind.SNAPSHOT, spec.source_snapshot or '')} is of a share of {at_least}, and a share that is made from it cannot be smaller ({format_size(spec.size_bytes)})",
        f"write size: {at_least} or more",
    )
