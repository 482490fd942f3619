"""Rows are checked many at a time, and each as strictly as if it were alone."""

from __future__ import annotations

import gc

import pytest

from sharectl.state.columns import collection_paused, expect_records, records_of
from sharectl.state.contract import DamagedRowError
from sharectl.state.testing.samples import make_record


@pytest.mark.parametrize("version", [True, 1.0])
@pytest.mark.parametrize("sound", [0, 1, 2])
def test_a_value_of_another_type_is_found_among_those_that_equal_it(version: float, sound: int) -> None:
    """1, 1.0 and True are one element of a set."""
    rows = [make_record(f"s{number}", version=1) for number in range(sound)]
    odd = make_record("odd")._replace(version=version)  # type: ignore[arg-type] - what is to be found
    expect_records(rows)
    for mixed in ([*rows, odd], [odd, *rows]):
        with pytest.raises(DamagedRowError, match=f"its version is {version!r}"):
            expect_records(mixed)


@pytest.mark.parametrize("size", [True, 1.0])
def test_a_size_of_another_type_is_found_beside_an_equal_one(size: float) -> None:
    """Rows of the same size share its number, and an odd one does not become it."""
    rows = [make_record("sound")._replace(size_bytes=1), make_record("odd")._replace(size_bytes=size)]  # type: ignore[arg-type] - what is to be found
    for mixed in (rows, rows[::-1]):
        with pytest.raises(DamagedRowError, match=f"its size_bytes is {size!r}"):
            records_of(mixed)


@pytest.mark.parametrize(("rows", "is_walked"), [(1_000, True), (9_000, False)])
def test_rows_that_would_be_walked_soon_are_left_out_of_garbage_collection(rows: int, *, is_walked: bool) -> None:
    """Not those of a short answer: what is garbage by then is never found either."""
    threshold = gc.get_threshold()
    gc.collect()
    frozen = gc.get_freeze_count()
    gc.set_threshold(10_000)
    try:
        with collection_paused():
            held = [[number] for number in range(rows)]
        assert gc.isenabled()
        assert (gc.get_freeze_count() - frozen < rows) is is_walked
        assert len(held) == rows
    finally:
        gc.set_threshold(*threshold)
        gc.unfreeze()
