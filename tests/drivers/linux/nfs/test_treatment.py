"""How an export treats its clients, in its three forms: one means what the others mean."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sharectl.drivers.linux.agent.contract import Client, Export, Squash
from sharectl.drivers.linux.agent.nfs import treatment

_IDS = st.integers(0, 4294967294)
_TREATMENT = {
    "squash": st.sampled_from([str(squash) for squash in Squash]),
    "security": st.just(["sys"]),
    "insecure": st.booleans(),
    "anonymous": st.lists(_IDS, min_size=2, max_size=2),
}
_OPTIONS = st.fixed_dictionaries(_TREATMENT, optional={"snapshots": st.just(value=True)})


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is slow
@given(options=_OPTIONS)
def test_what_is_told_is_what_is_kept(options: dict[str, object]) -> None:
    """The driver gets texts, and the agent its options back from them."""
    assert treatment.untold(treatment.told(options)) == options


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is slow
@given(options=st.fixed_dictionaries(_TREATMENT), other=st.fixed_dictionaries(_TREATMENT))
def test_an_export_is_treated_so_or_not(options: dict[str, object], other: dict[str, object]) -> None:
    """By every part of it."""
    export = Export(1, "/a", "/shares/a", frozenset({Client("10.0.0.1", "rw")}), **treatment.of_options(options))
    assert treatment.is_treated_so(export, other) is (options == other)


def test_records_of_an_older_version_mean_what_held_then() -> None:
    """Any port, and nobody as everywhere: so that the next plan shows what changes."""
    assert treatment.told({"squash": "none", "security": ["sys"]}) == {
        "anonymous": "65534:65534",
        "insecure": "true",
        "security": "sys",
        "squash": "none",
    }


def test_what_is_not_named_stays() -> None:
    """A state that knows a part alone changes that alone."""
    assert treatment.untold({"squash": "all", "versions": "4.2"}) == {"squash": "all"}
