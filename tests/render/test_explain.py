"""Why a share goes where it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from sharectl.model.settings import SchedulerSettings
from sharectl.model.specs import ShareSpec, ShareTypeSpec
from sharectl.render.explain import explanation_lines, explanation_object
from sharectl.render.text import Look
from sharectl.scheduler.decision import Decision, Outcome
from sharectl.scheduler.engine import Scheduler
from sharectl.scheduler.explanation import Explanation, explain
from sharectl.scheduler.request import request_from_share
from tests.render.samples import GIB
from tests.render.test_tables import a_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sharectl.scheduler.pools import Pool

    Golden = Callable[[str, Iterable[str]], None]

POOLS = (
    a_pool(snapshot_support=True),
    a_pool("nas2#default", free_capacity_gb=700.0, snapshot_support=True),
    a_pool("nas3#default", free_capacity_gb=70.0, reserved_percentage=5, snapshot_support=True),
    a_pool("nas4#default", snapshot_support=False),
)


def explained(pools: Iterable[Pool], size_gib: int) -> Explanation:
    """Return the explanation of a share that needs snapshots."""
    share_type = ShareTypeSpec("gold", {"snapshot_support": "<is> True"})
    request = request_from_share(ShareSpec("x", size_gib * GIB, "NFS", share_type="gold"), share_type)
    return explain(Scheduler(tuple(pools), SchedulerSettings()), request)


def test_a_share_that_has_a_place(golden: Golden) -> None:
    """Candidates by weight with the parts by weigher, then what each filter refused and why."""
    golden("explain.txt", explanation_lines(explained(POOLS, 100), Look(width=100)))


def test_a_share_that_has_none(golden: Golden) -> None:
    """The nearest pool and what it lacks; long reasons are folded."""
    golden("explain-nowhere.txt", explanation_lines(explained(POOLS, 5000), Look(color=True, width=50)))


def test_a_single_candidate_needs_no_weights() -> None:
    """There is nothing to set it apart from."""
    lines = list(explanation_lines(explained(POOLS[:1], 1), Look(width=80)))
    assert lines[2:4] == ["    CANDIDATE     WEIGHT", "1.  nas1#default  0.0000"]
    assert not any("Weigher" in line for line in lines)


def test_there_may_be_no_pool_at_all() -> None:
    """It is said."""
    lines = list(explanation_lines(explained((), 1), Look(width=80)))
    assert lines[0] == "share/x has nowhere to go: there is no pool at all."


def test_a_bare_explanation_still_has_its_verdict() -> None:
    """Without pools and filters."""
    decision = Decision("x", Outcome.NO_VALID_HOST)
    (line,) = explanation_lines(Explanation("x", decision, (), (), None, ()), Look(width=80))
    assert line.startswith("share/x ")


def test_the_object_has_every_pool_with_its_reason_or_its_weights() -> None:
    """Under names with underscores, as all JSON of sharectl."""
    plain = orjson.loads(orjson.dumps(explanation_object(explained(POOLS, 100))))
    assert (plain["format"], plain["version"], plain["outcome"]) == ("sharectl-explanation", 1, "scheduled")
    first = plain["pools"][0]
    assert (first["host"], first["refused_by"]) == ("nas2#default", None)
    assert set(first["weights"][0]) == {"weigher", "raw", "normalised", "contribution"}
    assert {pool["refused_by"] for pool in plain["pools"][2:]} == {"CapacityFilter", "CapabilitiesFilter"}
    assert plain["nearest"] is None
    assert explanation_object(explained(POOLS, 5000))["nearest"]["host"]
