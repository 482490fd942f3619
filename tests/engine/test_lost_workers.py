"""A worker that is lost in a call: the call is made again under the same intent and id, unless how it ended has to be looked at first."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.executors.answers import Failure, FailureKind
from sharectl.executors.base import Began, Report
from sharectl.executors.calls import AdoptShare, Call, CreateShare, RevertShare
from sharectl.executors.lanes import Lanes
from sharectl.model.events import StepRetried
from sharectl.planner.options import Import
from tests.engine.site import UNLIMITED, Run, Site, backend, share, snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sharectl.engine.environment import Environment
    from sharectl.executors.base import Submission
    from sharectl.planner.options import PlanOptions

LOST = Failure(FailureKind.WORKER_LOST, "the worker was lost")


class Losing(Lanes):
    """Lanes that make every call, and lose the first `times` outcomes of those of a kind."""

    kind: type[Call[Any]]
    times = 1

    def submit(self, submission: Submission) -> None:
        """See Executor."""
        if isinstance(submission.call, self.kind):
            assert submission.operation is not None
            self.lost_numbers = {*getattr(self, "lost_numbers", ()), submission.number}
        super().submit(submission)

    def reports(self, timeout_seconds: float) -> Sequence[Report]:
        """See Executor."""
        return [self._as_lost(report) for report in super().reports(timeout_seconds)]

    def _as_lost(self, report: Report) -> Report:
        if (
            isinstance(report.outcome, Began)
            or report.number not in getattr(self, "lost_numbers", ())
            or not self.times
        ):
            return report
        self.times -= 1
        return Report(report.number, LOST)


def losing(site: Site, kind: type[Call[Any]], times: int = 1, options: PlanOptions = UNLIMITED) -> Run:
    """Apply, and lose so many outcomes."""

    def executor(*arguments: Any) -> Losing:  # noqa: ANN401 - those of Lanes
        made = Losing(*arguments)
        made.kind, made.times = kind, times
        return made

    def change(environment: Environment) -> Environment:
        return replace(environment, executor=executor)

    return Site(site.root, change).apply(options=options)


def test_it_is_made_again_under_the_same_id(tmp_path: Path) -> None:
    """So that there is one share, whatever the lost worker has done."""
    site = Site(tmp_path / "r").write(backend("a"), share("x"))
    run = losing(site, CreateShare)
    assert run.result.succeeded
    assert [event.error for event in run.of(StepRetried)] == ["the worker was lost"]
    ids = {call[1] for call in site.calls("a", "create_share")}
    assert ids == {site.records()["share/x"].resource_id}
    assert site.query("a", "SELECT count(*) FROM shares") == [(1,)]


def test_it_is_not_made_again_and_again(tmp_path: Path) -> None:
    """A call that kills each worker stays open, for the next run to look at."""
    site = Site(tmp_path / "r").write(backend("a", spec="attempts: 2,"), share("x"))
    run = losing(site, CreateShare, times=99)
    assert [failure.unresolved for failure in run.result.failures] == [True]
    assert len(site.calls("a", "create_share")) == 2
    assert len(site.view().operations) == 1
    assert site.apply().result.succeeded
    assert site.query("a", "SELECT count(*) FROM shares") == [(1,)]


@pytest.mark.parametrize("kind", [RevertShare, AdoptShare])
def test_what_may_not_be_repeated_blindly_is_left_to_the_next_run(tmp_path: Path, kind: type[Call[Any]]) -> None:
    """A revert would destroy what was written meanwhile; of a takeover the backend is asked first."""
    site = Site(tmp_path / "r").write(backend("a"), share("x"), snapshot("s", "x"))
    assert site.apply().result.succeeded
    options = UNLIMITED
    if kind is AdoptShare:
        insert = "INSERT INTO shares(backend_id, name, pool, size_bytes, protocol) VALUES ('pool/y', 'y', 'pool', 10737418240, 'NFS')"
        site.query("a", insert)
        site.write(backend("a"), share("x"), snapshot("s", "x"), share("y"))
        options = replace(UNLIMITED, imports={"share/y": Import("a", "pool/y")})
    else:
        site.write(backend("a"), share("x", spec="revertTo: {snapshot: s, request: one}"), snapshot("s", "x"))
    run = losing(site, kind, options=options)
    assert [failure.unresolved for failure in run.result.failures] == [True]
    assert not run.of(StepRetried)
