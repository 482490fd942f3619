"""What is kept of former use."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharectl.model.observed import PoolReport
from sharectl.model.usage import (
    MOST_SAMPLES,
    SAMPLE_SPACING_SECONDS,
    PoolSample,
    ShareSample,
    sample_of,
    sound_bytes,
    with_sample,
)


@pytest.mark.parametrize("nonsense", [None, True, -1, 1.5, "5", 1 << 63, "unknown", "infinite"])
def test_what_is_no_number_of_bytes_is_unknown(nonsense: object) -> None:
    """Drivers are anybody's, and a store holds whole numbers of 63 bits."""
    assert sound_bytes(nonsense) is None
    assert sound_bytes(5) == 5


def test_a_sample_of_a_pool_is_what_it_reports() -> None:
    """Without a word of its own, what is provisioned is what is allocated."""
    assert sample_of(PoolReport("fast", 100, "unknown", allocated_bytes=7), 3) == PoolSample(3, 100, None, 7)
    assert sample_of(PoolReport("fast", "infinite", 5, 7, provisioned_bytes=9), 3) == PoolSample(3, None, 5, 9)


@given(st.lists(st.integers(0, 40 * SAMPLE_SPACING_SECONDS), max_size=300))
def test_samples_are_bounded_sorted_and_keep_both_ends(pauses: list[int]) -> None:
    """Whatever passes between two of them; what comes too soon after another is left out."""
    samples: tuple[ShareSample, ...] = ()
    at, taken = 0, []
    for pause in pauses:
        at += pause
        before, samples = samples, with_sample(samples, ShareSample(at, 1))
        if samples[-1].at == at and samples != before:
            taken.append(at)
    times = [sample.at for sample in samples]
    assert len(times) <= MOST_SAMPLES
    assert times == sorted(set(times))
    assert (times[:1], times[-1:]) == (taken[:1], taken[-1:])
    assert set(times) <= set(taken)
    assert all(later - earlier >= SAMPLE_SPACING_SECONDS for earlier, later in pairwise(times))
