"""Filters that the driver sends mean to the array what they mean to the driver."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sharectl.drivers.base import DriverError
from sharectl.drivers.ontap.requests import key_of, literal
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


def test_records_without_keys_are_told_apart_by_what_they_say() -> None:
    """As two preferred controllers of a domain: taken for one, the list would never be had whole."""
    one, other = ({"fqdn": "example.org", "server_ip": address} for address in ("10.0.0.1", "10.0.0.2"))
    assert key_of(one) != key_of(other)
    assert key_of(one) == key_of(dict(one))
