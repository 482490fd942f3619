"""Capacity: how many more shares of a kind fit, where they go, and what runs out first."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from sharectl.model.diagnostics import DiagnosticError, did_you_mean, error
from sharectl.model.frozen import dataclass
from sharectl.model.quantities import SizeError, parse_size
from sharectl.model.specs import ShareSpec
from sharectl.scheduler.engine import Scheduler
from sharectl.scheduler.explanation import explain
from sharectl.scheduler.request import PlacedShare, request_from_share

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sharectl.model.settings import SchedulerSettings
    from sharectl.model.specs import ShareTypeSpec
    from sharectl.scheduler.explanation import Explanation
    from sharectl.scheduler.pools import Pool

MOST_COUNTED: Final = 100_000
_HEAD: Final = re.compile(r"(?:([1-9][0-9]{0,5})x)?(\S+)")
_KEYS: Final = ("type", "protocol", "zone", "network")
_EXAMPLE: Final = 'write it as "100x50GiB type=gold protocol=NFS zone=az1 network=tenant-a"'


@dataclass(frozen=True, slots=True)
class Pattern:
    """A number of equal shares: `100x50GiB type=gold`."""

    count: int
    size_bytes: int
    share_type: str | None = None
    protocol: str = "NFS"
    availability_zone: str | None = None
    share_network: str | None = None


class Exhausted(NamedTuple):
    """A pool that took shares until it could take no more: how many shares had been placed by then, and what it lacks, as a sentence."""

    host: str
    placed: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Simulation:
    """What became of the imagined shares.

    `placed` of `pattern.count` fit. `most` is how many would fit altogether, at most `MOST_COUNTED`.
    `by_host` counts the placed ones. `exhausted` are the pools that ran out, the first one first. `runs_out` explains the first
    share that does not fit any more.
    """

    pattern: Pattern
    placed: int
    most: int
    by_host: Mapping[str, int]
    pools_after: tuple[Pool, ...]
    runs_out: Explanation | None
    exhausted: tuple[Exhausted, ...] = ()

    @property
    def is_cut_short(self) -> bool:
        """Tell whether counting ended while more would have fitted."""
        return self.most >= MOST_COUNTED


def parse_pattern(text: str) -> Pattern:
    """Return the pattern that `text` spells; raises DiagnosticError with what is wrong with it."""
    words = text.split()
    match = _HEAD.fullmatch(words[0]) if words else None
    if match is None:
        _refuse(f"{text!r} is not a pattern of shares", _EXAMPLE)
    try:
        size_bytes = parse_size(match[2])
    except SizeError as problem:
        _refuse(str(problem), _EXAMPLE)
    given: dict[str, str] = {}
    for word in words[1:]:
        key, separator, value = word.partition("=")
        if not separator or not value or key not in _KEYS:
            _refuse(f"{word!r} is not known in a pattern", did_you_mean(key, _KEYS) or _EXAMPLE)
        given[key] = value
    return Pattern(
        count=int(match[1] or 1),
        size_bytes=size_bytes,
        share_type=given.get("type"),
        protocol=given.get("protocol", "NFS").upper(),
        availability_zone=given.get("zone"),
        share_network=given.get("network"),
    )


def simulate(
    pools: Sequence[Pool],
    settings: SchedulerSettings,
    pattern: Pattern,
    share_types: Mapping[str, ShareTypeSpec],
    placed: Iterable[PlacedShare] = (),
) -> Simulation:
    """Place shares of the pattern one after another until none fits or MOST_COUNTED are placed; the pools are left as they are.

    Raises DiagnosticError for a share type that is not there.
    """
    share_type = None
    if pattern.share_type is not None:
        share_type = share_types.get(pattern.share_type)
        if share_type is None:
            known = sorted(share_types)
            _refuse(
                f"there is no share type {pattern.share_type!r}",
                did_you_mean(pattern.share_type, known) or f"known: {', '.join(known) or 'none'}",
            )
    scheduler = Scheduler(pools, settings, placed)
    spec = ShareSpec(
        name="imagined",
        size_bytes=pattern.size_bytes,
        protocol=pattern.protocol,
        availability_zone=pattern.availability_zone,
        share_network=pattern.share_network,
    )
    request = request_from_share(spec, share_type)
    thin_logic = scheduler.query_for(request).traits.thin_logic
    by_host: dict[str, int] = {}
    most, pools_after = 0, scheduler.pools_after()
    exhausted: list[Exhausted] = []
    while most < MOST_COUNTED:
        decision = scheduler.decide(request)
        if decision.host is None:
            break
        scheduler.consume(decision.host, request.size_gib, thin_logic=thin_logic)
        most += 1
        why = scheduler.refusal(request, decision.host)
        if why is not None:
            exhausted.append(Exhausted(decision.host, most, why))
        if most <= pattern.count:
            by_host[decision.host] = by_host.get(decision.host, 0) + 1
            pools_after = scheduler.pools_after() if most == pattern.count else pools_after
    if most < pattern.count:
        pools_after = scheduler.pools_after()
    runs_out = explain(scheduler, request) if most < MOST_COUNTED else None
    return Simulation(pattern, min(most, pattern.count), most, by_host, pools_after, runs_out, tuple(exhausted))


def _refuse(summary: str, remedy: str) -> NoReturn:
    raise DiagnosticError(error("scheduler.pattern", summary, remedy=remedy))
