"""How much of shares and pools is used: as it was seen last, and as samples of former times, of which a bounded number is kept.

Times are whole seconds since 1970 in UTC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from sharectl.model.frozen import NamedTuple, dataclass, field

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sharectl.model.observed import PoolReport

SAMPLE_SPACING_SECONDS: Final = 3600
"""Two samples of a share or of a pool are at least so far apart."""
MOST_SAMPLES: Final = 32
"""So many samples of a share or of a pool are kept, besides what was seen last."""
MOST_AHEAD_SECONDS: Final = 86_400
"""What is noted for a time so far ahead was noted by a clock that was wrong; less may be somebody else who looked later and was quicker."""
_KEPT_SAMPLES: Final = 24
_FIRST_RATIO: Final = 0.25
_LARGEST_BYTES: Final = (1 << 63) - 1


class ShareUse(NamedTuple):
    """What the data of a share occupied when its backend was last seen to say so."""

    used_bytes: int
    seen_at: int


class ShareSample(NamedTuple):
    """What the data of a share occupied at one time."""

    at: int
    used_bytes: int


class PoolSample(NamedTuple):
    """The capacity of a pool at one time; None where its driver did not say, or has no end of it."""

    at: int
    total_bytes: int | None
    free_bytes: int | None
    provisioned_bytes: int | None


class _HasTime(Protocol):
    @property
    def at(self) -> int: ...


SampleT = TypeVar("SampleT", bound=_HasTime)


@dataclass(frozen=True, slots=True)
class BackendUse:
    """What one backend said of use at one time.

    `shares` are by resource id, None where the driver did not say; they are all of the state's shares on the backend if it `is_whole`. `pools` are by name.
    """

    backend: str
    at: int
    shares: Mapping[str, int | None] = field(default_factory=dict)
    is_whole: bool = False
    pools: Mapping[str, PoolSample] = field(default_factory=dict)


def sound_bytes(value: object) -> int | None:
    """Return a number of bytes as a driver gave it, None for anything else, such as `unknown`."""
    return value if type(value) is int and 0 <= value <= _LARGEST_BYTES else None


def sample_of(pool: PoolReport, at: int) -> PoolSample:
    """Return the capacity that a pool reports."""
    provisioned = pool.allocated_bytes if pool.provisioned_bytes is None else pool.provisioned_bytes
    return PoolSample(at, sound_bytes(pool.total_bytes), sound_bytes(pool.free_bytes), sound_bytes(provisioned))


def is_ahead(noted_at: int, now: int) -> bool:
    """Tell whether a note of that time can only be of a clock that ran ahead."""
    return noted_at - now > MOST_AHEAD_SECONDS


def with_sample(samples: Sequence[SampleT], sample: SampleT) -> tuple[SampleT, ...]:
    """Return the samples, oldest first, with a newer one, unless that is too close to the newest; thinned where they become too many."""
    if samples and is_ahead(samples[-1].at, sample.at):
        samples = [each for each in samples if each.at < sample.at]
    if samples and sample.at - samples[-1].at < SAMPLE_SPACING_SECONDS:
        return tuple(samples)
    found = (*samples, sample)
    return found if len(found) <= MOST_SAMPLES else _thinned(found)


def _thinned(samples: Sequence[SampleT]) -> tuple[SampleT, ...]:
    """Return fewer of the samples: the older, the farther apart; the first and the last stay."""
    newest, ratio = samples[-1].at, _FIRST_RATIO
    while True:
        kept = [samples[-1]]
        for sample in samples[-2:0:-1]:
            if kept[-1].at - sample.at >= ratio * (newest - kept[-1].at):
                kept.append(sample)
        if len(kept) < _KEPT_SAMPLES:
            return (samples[0], *reversed(kept))
        ratio *= 1.5
