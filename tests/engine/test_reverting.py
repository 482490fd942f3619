"""A share is turned back once for each request; where an attempt ends without an answer, people decide whether there is another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.base import TransientError
from sharectl.engine.cancel import Cancellation
from sharectl.model.events import OperationRecovered, StepFinished, StepRetried
from sharectl.model.specs import ShareSpec
from sharectl.model.verbs import Verb
from sharectl.workspace.interventions import Edit, forget_resources
from tests.engine.site import Run, Site, backend, share, snapshot
from tests.engine.test_bad_drivers import apply_with
from tests.engine.test_recovery import intend

if TYPE_CHECKING:
    from pathlib import Path

    from sharectl.model.events import Event

STEP = "revert-share:share/x"
RULE = "access: [{type: ip, to: 10.0.0.0/8, level: rw}]"
IN_DOUBT = "nobody knows whether it was turned back; it is not repeated by itself"


def asking(site: Site, request: str, *, config: str = "", spec: str = "", size: str = "10GiB") -> Site:
    """Write the manifests with a request."""
    revert = f"revertTo: {{snapshot: s, request: {request}}}, {RULE}"
    return site.write(backend("a", config=config, spec=spec), share("x", size=size, spec=revert), snapshot("s", "x"))


def write(site: Site, content: str) -> None:
    """Write into the share, as its clients do."""
    site.query("a", "UPDATE shares SET content = ?", content)


def content(site: Site) -> str:
    """Return what is in the share."""
    return str(site.query("a", "SELECT content FROM shares")[0][0])


def codes(site: Site) -> list[str]:
    """Return what the next plan says."""
    return [diagnostic.code for diagnostic in site.plan().diagnostics]


def steps(site: Site) -> list[str]:
    """Return what the next plan does."""
    return [step.step_id for step in site.plan().steps]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return a site with a share, a snapshot of it, and newer data in the share."""
    made = Site(tmp_path / "r").write(backend("a"), share("x", spec=RULE))
    assert made.apply().result.succeeded
    write(made, "old")
    assert made.write(backend("a"), share("x", spec=RULE), snapshot("s", "x")).apply().result.succeeded
    write(made, "new")
    return made


def test_a_request_is_answered_once_and_a_new_one_again(site: Site) -> None:
    """Whatever is written in between stays until somebody asks again."""
    assert asking(site, "one").apply().result.succeeded
    assert content(site) == "old"
    write(site, "newer")
    assert site.apply().plan.is_empty
    assert content(site) == "newer"
    assert asking(site, "two").apply().result.succeeded
    assert content(site) == "old"
    assert site.plan().is_empty


def test_access_stays_and_the_size_follows_the_manifest(site: Site) -> None:
    """A resize waits for the revert."""
    run = asking(site, "one", size="20GiB").apply()
    assert run.result.succeeded
    assert [step.step_id for step in run.plan.steps] == [STEP, "extend-share:share/x"]
    assert run.plan.steps[1].waits_for == (STEP,)
    assert content(site) == "old"
    assert site.plan().is_empty


@pytest.mark.parametrize(("effect", "found"), [("crash-after", "old"), ("transient", "new"), ("unavailable", "new")])
def test_an_attempt_without_an_answer_is_not_repeated(site: Site, effect: str, found: str) -> None:
    """Neither at once nor by the next apply: what was written meanwhile stays, and the plan says what people can do."""
    run = asking(site, "one", config=f"faults: [{{call: revert_share, first: 1, effect: {effect}}}],").apply()
    assert [failure.unresolved for failure in run.result.failures] == [True]
    assert not run.of(StepRetried)
    assert content(site) == found
    write(site, "newer")
    run = site.apply()
    assert [event.outcome for event in run.of(OperationRecovered)] == [IN_DOUBT]
    assert len(site.calls("a", "revert_share")) == 1
    assert content(site) == "newer"
    assert site.plan().is_empty
    assert codes(site) == ["share.revert-cut-short"]
    assert asking(site, "two").apply().result.succeeded
    assert content(site) == "old"
    assert codes(site) == []


def test_a_refusal_is_an_answer(site: Site) -> None:
    """Nothing is in doubt, and the next plan shows the revert again."""
    run = asking(site, "one", config="faults: [{call: revert_share, first: 1, effect: error}],").apply()
    assert [failure.unresolved for failure in run.result.failures] == [False]
    assert steps(site) == [STEP]
    assert site.apply().result.succeeded
    assert content(site) == "old"


class Busy:
    """A backend that says when to come again, `times` times, and then does what it is asked."""

    def __init__(self, times: int) -> None:
        """Be busy so often."""
        self.left = times
        self.done = 0

    def __call__(self, *_: object) -> None:
        """Answer."""
        if self.left:
            self.left -= 1
            message = "a backup is running"
            raise TransientError(message, retry_after_seconds=0.001)
        self.done += 1


def test_a_backend_that_says_when_to_come_again_has_not_begun(site: Site) -> None:
    """So it is asked again, and the answer counts."""
    busy = Busy(2)
    run = apply_with(asking(site, "one"), "revert_share", busy)
    assert run.result.succeeded
    assert len(run.of(StepRetried)) == 2
    assert busy.done == 1
    assert site.plan().is_empty


def test_a_backend_that_stays_busy_leaves_nothing_in_doubt(site: Site) -> None:
    """The next plan shows the revert again."""
    run = apply_with(asking(site, "one", spec="attempts: 2,"), "revert_share", Busy(9))
    assert [failure.unresolved for failure in run.result.failures] == [False]
    assert not site.view().operations
    assert steps(site) == [STEP]


def test_a_cancel_before_the_next_try_leaves_nothing_in_doubt(site: Site) -> None:
    """The revert has not begun."""
    cancellation = Cancellation()

    def cancel(event: Event) -> None:
        if isinstance(event, StepRetried):
            cancellation.request()

    def refuse(*_: object) -> None:
        message = "a backup is running"
        raise TransientError(message, retry_after_seconds=60.0)

    run: Run = apply_with(asking(site, "one"), "revert_share", refuse, cancel, cancellation)
    assert [failure.unresolved for failure in run.result.failures] == [False]
    assert steps(site) == [STEP]


def request_of_intent() -> dict[str, object]:
    """Return the spec that the intent of a revert holds."""
    plain = {"name": "x", "size_bytes": 10 << 30, "protocol": "NFS", "revert_to": {"snapshot": "s", "request": "one"}}
    return ShareSpec.from_plain(plain).as_plain()


def test_a_killed_revert_is_recorded_as_in_doubt_with_what_the_backend_holds(site: Site) -> None:
    """Its access is made whole, in case half of the revert has touched it."""
    asking(site, "one")
    intend(site, Verb.REVERT_SHARE, "share/x", site.records()["share/x"].resource_id, spec=request_of_intent())
    before = len(site.calls("a", "update_access"))
    site.query("a", "UPDATE shares SET size_bytes = ?", 5 << 30)
    run = site.apply()
    assert [event.outcome for event in run.of(OperationRecovered)] == [IN_DOUBT]
    assert len(site.calls("a", "update_access")) == before + 1
    assert [step.verb for step in run.plan.steps] == [Verb.EXTEND_SHARE]
    assert (content(site), codes(site), steps(site)) == ("new", ["share.revert-cut-short"], [])


def test_a_killed_revert_of_a_share_in_the_trash_leaves_it_there(site: Site) -> None:
    """Nobody gets access to it by that."""
    asking(site, "one")
    intend(site, Verb.REVERT_SHARE, "share/x", site.records()["share/x"].resource_id, spec=request_of_intent())
    site.query("a", "UPDATE shares SET trashed_at = '2026-01-01T00:00:00Z', access = '[]'")
    before = len(site.calls("a", "update_access"))
    events: list[Event] = []
    with site.store() as store, site.opened(store) as (backends, _), site.locked(store, backends, events):
        assert [event.outcome for event in events if isinstance(event, OperationRecovered)] == [IN_DOUBT]
    assert len(site.calls("a", "update_access")) == before
    assert codes(site) == ["share.trashed"]


def test_a_killed_revert_of_a_share_that_is_gone_leaves_nothing(site: Site) -> None:
    """The plan shows the loss."""
    asking(site, "one")
    intend(site, Verb.REVERT_SHARE, "share/x", site.records()["share/x"].resource_id, spec=request_of_intent())
    site.query("a", "DELETE FROM shares")
    run = site.apply()
    assert [event.outcome for event in run.of(OperationRecovered)] == ["the share is not there; the next plan shows it"]
    assert run.result.succeeded
    assert site.plan().is_empty


def test_a_snapshot_that_the_state_has_lost_since_the_plan_fails_the_revert(site: Site) -> None:
    """Nothing is asked of the backend."""
    plan = asking(site, "one").plan()
    with site.store() as store, site.opened(store) as (backends, _), site.locked(store, backends, []) as run:
        forget_resources(Edit(store, run.lease, run.record), ["snapshot/s"])
    failures = site.apply(plan=plan).result.failures
    assert [failure.error for failure in failures] == ["the state has no snapshot to turn share/x back to"]
    assert site.calls("a", "revert_share") == []


DIRECTORY = (
    "---\napiVersion: sharectl/v1\nkind: Backend\nmetadata: {name: a}\n"
    "spec: {driver: directory, config: {root: a, exportHost: nas.example}}\n"
)


def test_a_directory_that_was_being_swapped_is_back_after_the_recovery(tmp_path: Path) -> None:
    """Killed between the two renames of a file system without an exchange, the share has its newer data."""
    site = Site(tmp_path / "r").write(DIRECTORY, share("x", spec=RULE), snapshot("s", "x"))
    assert site.apply().result.succeeded
    files = site.root / "a"
    (files / "x" / "file").write_text("newer")
    resource_id = site.records()["share/x"].resource_id
    intend(site, Verb.REVERT_SHARE, "share/x", resource_id, spec=request_of_intent())
    (files / "x").rename(files / ".sharectl" / "displaced" / resource_id)
    revert = f"revertTo: {{snapshot: s, request: one}}, {RULE}"
    assert site.write(DIRECTORY, share("x", spec=revert), snapshot("s", "x")).apply().plan.is_empty
    assert (files / "x" / "file").read_text() == "newer"
    assert codes(site) == ["share.revert-cut-short"]


def test_of_many_reverts_those_alone_are_in_doubt_that_had_a_place(tmp_path: Path) -> None:
    """Each of which somebody has to look into; the others are planned again."""
    names = [f"x{number:02}" for number in range(20)]
    snapshots = [snapshot(f"s-{name}", name) for name in names]
    site = Site(tmp_path / "r").write(backend("a", lanes=2), *map(share, names), *snapshots)
    assert site.apply().result.succeeded
    slow = backend("a", lanes=2, config="latency: {revert_share: 40ms},")
    asked = [share(name, spec=f"revertTo: {{snapshot: s-{name}, request: r}},") for name in names]
    site.write(slow, *asked, *snapshots)
    finished: list[Event] = []

    def observe(event: Event, cancellation: Cancellation) -> None:
        if isinstance(event, StepFinished) and event.verb == Verb.REVERT_SHARE:
            finished.append(event)
            if len(finished) == 6:
                cancellation.request()
                cancellation.request()

    assert site.apply(observer=observe).result.cancelled
    assert len(site.view().operations) <= 2
    assert site.apply().result.succeeded
    assert not site.view().operations
