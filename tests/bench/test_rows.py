"""Figures of a benchmark: the least of several samples, against limits and against a checkout before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.rows import ATTEMPTS, Figure, Row, Site, UnmeasurableError, difference, measure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BEFORE, AFTER = (Site(tree=None, folder=Path(name), shares=10) for name in ("before", "after"))


def row_of(samples: dict[str, list[float]], limit: float | None = None, rounds: int = 2) -> Row:
    """Return a row whose samples are given by folder; the last one is repeated."""
    left = {name: list(values) for name, values in samples.items()}

    def sample(site: Site) -> Mapping[str, float]:
        values = left[site.folder.name]
        return {"cpu": values.pop(0) if len(values) > 1 else values[0]}

    of: Callable[[Mapping[str, float]], float] = lambda found: found["cpu"]  # noqa: E731 - a figure's own function
    return Row("row", sample, lambda _shares: [Figure("figure", of, "s", limit)], rounds)


def test_the_least_sample_is_the_figure() -> None:
    """Noise only adds."""
    (line,) = measure(row_of({"after": [3.0, 2.0]}, limit=2.5), [AFTER])
    assert (line.value, line.is_broken) == (2.0, False)


def test_what_is_over_its_limit_by_little_is_measured_again() -> None:
    """More samples may mend it."""
    (line,) = measure(row_of({"after": [1.2, 1.2, 1.2, 0.9]}, limit=1.0), [AFTER])
    assert (line.value, line.is_broken) == (0.9, False)


def test_what_stays_over_its_limit_is_broken() -> None:
    """However often it is measured."""
    (line,) = measure(row_of({"after": [1.2] * 2 * ATTEMPTS}, limit=1.0), [AFTER])
    assert line.is_broken
    assert "OVER" in str(line)


def test_what_is_worse_than_before_is_broken() -> None:
    """By more than a twentieth; the line says so with both figures."""
    (line,) = measure(row_of({"before": [1.0], "after": [2.0]}), [BEFORE, AFTER])
    assert (line.value, line.before, line.is_broken) == (2.0, 1.0, True)
    assert "WORSE" in str(line)
    (line,) = measure(row_of({"before": [1.0], "after": [1.04]}), [BEFORE, AFTER])
    assert not line.is_broken


def test_a_difference_that_cannot_be_negative_is_an_error_where_it_is() -> None:
    """It is no figure at all."""
    assert difference(3.0, 1.0) == 2.0
    with pytest.raises(UnmeasurableError, match="is not more than"):
        difference(1.0, 1.0)
