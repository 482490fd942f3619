"""Rows of a benchmark: what is sampled, the figures made from the samples, and the limits that they keep.

The samples of a row are taken in rounds, and with two checkouts these take turns. Noise only adds, so the least of several
samples is the one to compare.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import TypeAlias

    from command import Tree

    Samples: TypeAlias = Mapping[str, float]

WORSE = 1.05
"""How much of the figure before one after it may be."""
ATTEMPTS = 3
"""How often the rounds of a row are taken while a limit is broken by little, which more samples may mend."""
LITTLE = 1.3
"""What is more than this over its limit is over it, however many samples are taken."""


class UnmeasurableError(Exception):
    """The samples contradict each other, so that there is no figure."""


@dataclass(frozen=True, slots=True)
class Site:
    """A checkout that is measured, a folder for its repositories, and the size of the workload."""

    tree: Tree
    folder: Path
    shares: int


class Figure(NamedTuple):
    """One figure of a row; `compared` is whether it has to keep up with the checkout before."""

    name: str
    of: Callable[[Samples], float]
    unit: str = ""
    limit: float | None = None
    compared: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """What is measured together: `sample` takes one sample of each quantity, by name."""

    name: str
    sample: Callable[[Site], Samples]
    figures: Callable[[int], Sequence[Figure]]
    rounds: int = 3


class Line(NamedTuple):
    """One figure as measured, with that of the checkout before where there is one."""

    figure: Figure
    value: float
    before: float | None

    @property
    def ratio(self) -> float | None:
        """Return the figure against that before."""
        return self.value / self.before if self.before else None

    @property
    def over(self) -> float:
        """Return the figure against its limit."""
        return self.value / self.figure.limit if self.figure.limit else 0

    @property
    def worse(self) -> float:
        """Return the figure against the most that it may be beside that before."""
        return self.ratio / WORSE if self.figure.compared and self.ratio else 0

    @property
    def is_broken(self) -> bool:
        """Tell whether it is over a limit."""
        return max(self.over, self.worse) > 1

    def __str__(self) -> str:
        """Return the line as it is printed."""
        figure, limit = self.figure, "" if self.figure.limit is None else f"(at most {self.figure.limit:g})"
        before = "" if self.ratio is None else f"  before {self.before:9.3f}, ratio {self.ratio:5.2f}"
        verdict = (
            " ".join(word for word, holds in (("OVER", self.over > 1), ("WORSE", self.worse > 1)) if holds) or "ok"
        )
        return f"{figure.name:<66} {self.value:9.3f} {figure.unit:<4} {limit:<15}{before}  {verdict}"


def measure(row: Row, sites: Sequence[Site]) -> list[Line]:
    """Measure a row on the site, or on that before and that after; again with more samples while a limit is broken."""
    taken: list[list[Samples]] = [[] for _ in sites]
    lines: list[Line] = []
    for _ in range(ATTEMPTS):
        for _ in range(row.rounds):
            for site, samples in zip(sites, taken, strict=True):
                samples.append(row.sample(site))
        lines = _lines(row.figures(sites[-1].shares), [_least(samples) for samples in taken])
        if not any(1 < max(line.over, line.worse) <= LITTLE for line in lines):
            break
    return lines


def _least(samples: Sequence[Samples]) -> Samples:
    return {name: (max if name.startswith("peak") else min)(sample[name] for sample in samples) for name in samples[0]}


def _lines(figures: Sequence[Figure], least: Sequence[Samples]) -> list[Line]:
    before = least[0] if len(least) > 1 else None
    return [Line(figure, figure.of(least[-1]), None if before is None else figure.of(before)) for figure in figures]


def difference(more: float, less: float) -> float:
    """Return by how much `more` is more; it has to be, for it does the same and then some."""
    if more <= less:
        message = f"{more:.4f} is not more than {less:.4f}: the machine is too busy for this figure"
        raise UnmeasurableError(message)
    return more - less
