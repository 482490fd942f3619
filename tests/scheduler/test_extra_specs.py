"""Extra specs and their operators, as Manila reads them."""

from __future__ import annotations

from typing import Any

import pytest

from sharectl.scheduler.errors import UnfitValueError
from sharectl.scheduler.extra_specs import effective_specs, matcher, requirements_of, uses_thin_logic
from sharectl.scheduler.values import boolean, format_gib, is_thin, number


@pytest.mark.parametrize(
    ("wanted", "value", "expected"),
    [
        ("gold", "gold", True),
        ("Gold", "gold", True),
        ("= 5", 5, True),
        ("= 5", 6, True),
        ("= 5", 4, False),
        ("== 5", "5", True),
        ("!= 5", 5.5, True),
        (">= 5", "abc", False),
        (">= abc", 5, False),
        ("<= 5", 5, True),
        ("< 6", 5, False),
        ("< 6", "< 6", True),
        ("s== ssd", "ssd", True),
        ("s!= ssd", "hdd", True),
        ("s< ssd", "hdd", True),
        ("s<= hdd", "hdd", True),
        ("s> hdd", "ssd", True),
        ("s>= ssd", "hdd", False),
        ("s== ssd extra", "ssd", True),
        ("<in> nfs", "nfs_cifs", True),
        ("<in> xfs", "nfs_cifs", False),
        ("<is> yes", True, True),
        ("<is> no", True, False),
        ("<is> whatever", False, True),
        ("<is> on", "1", True),
        ("<or> gold <or> silver", "silver", True),
        ("<or> gold <or> silver", "bronze", False),
        ("<or> 5", 5, False),
        ("True", True, True),
        ("yes", False, False),
        ("maybe", True, False),
        ("5", 5, False),
        ("", "", True),
        ("==", 5, False),
        ("<in>", "x", False),
    ],
)
def test_an_operator_judges_a_value(wanted: str, value: object, expected: bool) -> None:  # noqa: FBT001
    """Operator by operator: `=` is at least, plain `<` is no operator, numbers never equal texts."""
    assert matcher(wanted)(value) is expected


@pytest.mark.parametrize("wanted", ["== 1", "s== 1", "<in> 1", "<is> 0"])
def test_nothing_matches_no_value(wanted: str) -> None:
    """An element of a list that is null matches no operator."""
    assert matcher(wanted)(None) is False


@pytest.mark.parametrize(
    ("wanted", "value"), [("<in> t", True), ("s< a", 5), ("<or>", "x"), (">= 5", {"a": 1}), (">= x", {"a": 1})]
)
def test_a_value_that_an_operator_cannot_compare_is_named(wanted: str, value: object) -> None:
    """Manila fails on these; here the pool, the extra spec and the value are told."""
    (requirement,) = requirements_of({"key": wanted})
    with pytest.raises(UnfitValueError, match="key") as caught:
        requirement.met_by({"key": value})
    assert caught.value.diagnostic("b#p").summary.startswith("pool b#p is left out: key is ")


def met(specs: dict[str, str], capabilities: dict[str, Any]) -> bool:
    """Tell whether all the requirements of the specs are met."""
    return all(requirement.met_by(capabilities) for requirement in requirements_of(specs))


def test_scopes_other_than_capabilities_are_not_compared() -> None:
    """Vendor keys belong to the driver; `capabilities:` reaches into nested values."""
    assert met({"netapp:dedup": "true", "provisioning:max_share_size": "1"}, {})
    assert met({"capabilities:nested:a:b": "x"}, {"nested": {"a": {"b": "X"}}})
    assert not met({"capabilities:nested:a:b": "x"}, {"nested": {"a": 1}})


def test_a_missing_capability_fails_whatever_is_wanted() -> None:
    """Also `<is> False` needs the capability to be reported."""
    assert not met({"dedupe": "<is> False"}, {})
    assert not met({"dedupe": "<is> False"}, {"dedupe": None})


def test_any_element_of_a_list_may_match() -> None:
    """A pool that can do both offers either."""
    assert met({"dedupe": "<is> False"}, {"dedupe": [True, False]})
    assert not met({"disk": "tape"}, {"disk": ["ssd", "hdd"]})


def test_zones_and_the_qos_type_are_no_capabilities() -> None:
    """Other filters look at these."""
    assert met({"availability_zones": "az1", "default_qos_type": "x"}, {})


def test_specs_are_completed_as_by_manila() -> None:
    """Boolean specs get `<is>`, the protocol becomes a spec, and a pinned request may leave the backend's name."""
    specs = {"snapshot_support": "True", "driver_handles_share_servers": "<is> False", "share_backend_name": "b"}
    assert effective_specs(specs, "NFS", pinned=True) == {
        "snapshot_support": "<is> True",
        "driver_handles_share_servers": "<is> False",
        "storage_protocol": "<in> NFS",
    }
    assert effective_specs({"storage_protocol": "CIFS"}, "NFS", pinned=False) == {"storage_protocol": "CIFS"}
    assert effective_specs({}, None, pinned=False) == {}


@pytest.mark.parametrize(
    ("specs", "thin"),
    [
        ({}, True),
        ({"thin_provisioning": "True"}, True),
        ({"thin_provisioning": "<is> True"}, True),
        ({"capabilities:thin_provisioning": "yes"}, True),
        ({"thin_provisioning": "False"}, False),
        ({"thin_provisioning": "<is> False"}, False),
        ({"thin_provisioning": "garbage"}, False),
    ],
)
def test_thin_logic_holds_unless_the_type_asks_for_thick(specs: dict[str, str], thin: bool) -> None:  # noqa: FBT001
    """An absent spec means thin logic on thin pools."""
    assert uses_thin_logic(specs) is thin


def test_values_are_read_as_manila_reads_them() -> None:
    """Booleans in any spelling, thin in a list, numbers that are numbers."""
    assert [boolean(word) for word in (" Yes ", "off", 1, "perhaps")] == [True, False, True, None]
    assert [is_thin(value) for value in (True, 1, [True, False], [False], "True")] == [True, True, True, False, False]
    assert [number(value) for value in (1, 1.5, True, "1", float("nan"))] == [1, 1.5, None, None, None]
    assert [format_gib(size) for size in (100, 80.25)] == ["100 GiB", "80.2 GiB"]
