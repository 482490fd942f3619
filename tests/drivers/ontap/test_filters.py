"""Filters that the driver sends mean to the array what they mean to the driver."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sharectl.drivers.base import DriverError
from sharectl.drivers.ontap.requests import literal
from tests.emulators.ontap.query import filter_test

_HOSTILE = st.text(st.sampled_from("ab.*|,!<>={}\"\\ \u2603'#%&?/nul1"), max_size=7)


@settings(max_examples=150)
@given(_HOSTILE, _HOSTILE)
def test_a_value_means_itself_alone(value: str, other: str) -> None:
    """Whatever stands in it; what cannot be written as a filter is refused before anything is asked."""
    try:
        passes = filter_test(literal(value))
    except DriverError:
        assert '"' in value
        return
    assert passes([value])
    assert passes([other]) == (value == other)
