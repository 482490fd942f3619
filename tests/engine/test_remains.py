"""What workers have kept of a run that is gone: what never began is not asked about, and an answer that was kept is believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.engine.environment import Environment
from sharectl.engine.recovery import recover
from sharectl.engine.tenure import Heartbeat
from sharectl.executors.answers import Done
from sharectl.executors.base import Remains
from sharectl.model.events import OperationRecovered
from sharectl.model.verbs import Verb
from sharectl.state.rows import share_spec_of
from sharectl.workspace.run import describe_run, held_lease
from tests.engine.site import Site, backend, share, snapshot
from tests.engine.test_recovery import STRAY, id_of, intend, plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sharectl.model.events import Event


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return a site with a share and a snapshot of it."""
    made = Site(tmp_path / "r").write(backend("a"), share("x"), snapshot("s", "x"))
    assert made.apply().result.succeeded
    return made


def recovered(site: Site, remains: Mapping[str, Remains], unresolved: int = 0) -> list[str]:
    """Recover with what remains, and return what is said of each intent that is resolved."""
    events: list[Event] = []
    record = describe_run("test", site.root, {})
    with site.store() as store, site.opened(store) as (backends, _), held_lease(store, record) as lease:
        left = recover(
            store,
            Heartbeat(store, lease),
            run=record,
            environment=Environment(driver=backends.driver),
            width=backends.width,
            timeout_seconds=backends.recovery_timeout_seconds,
            observer=events.append,
            remains=remains,
        )
    assert len(left) == len(site.view().operations) == unresolved
    return [event.outcome for event in events if isinstance(event, OperationRecovered)]


def test_what_never_began_is_not_asked_about(site: Site) -> None:
    """Its backend may be out of reach; the next plan does it."""
    intend(site, Verb.CREATE_SHARE, "share/y", STRAY, spec=plain("y"))
    asked = len(site.calls("a"))
    assert recovered(site, {f"op-{Verb.CREATE_SHARE}-{STRAY}": Remains(has_begun=False)}) == ["it was not begun"]
    assert len(site.calls("a")) == asked


def test_what_is_still_under_way_is_left_alone(site: Site) -> None:
    """Whatever its backend would say now may be otherwise in a moment."""
    intend(site, Verb.CREATE_SHARE, "share/y", STRAY, spec=plain("y"))
    asked = len(site.calls("a"))
    remains = Remains(has_begun=True, is_under_way=True)
    assert recovered(site, {f"op-{Verb.CREATE_SHARE}-{STRAY}": remains}, unresolved=1) == []
    assert len(site.calls("a")) == asked


def test_what_began_is_asked_about(site: Site) -> None:
    """As without any remains."""
    intend(site, Verb.CREATE_SHARE, "share/y", STRAY, spec=plain("y"))
    assert recovered(site, {f"op-{Verb.CREATE_SHARE}-{STRAY}": Remains(has_begun=True)}) == ["it was not made"]


@pytest.mark.parametrize("is_known", [True, False])
def test_a_revert_whose_answer_was_kept_has_been_done(site: Site, is_known: bool) -> None:  # noqa: FBT001 - a parameter
    """Without the answer nobody knows, and it is for people to say."""
    share_id = id_of(site, "share/x")
    spec = {**plain("x"), "revert_to": {"snapshot": "s", "request": "one"}}
    intend(site, Verb.REVERT_SHARE, "share/x", share_id, spec=spec)
    remains = Remains(has_begun=True, answer=Done() if is_known else None)
    (words,) = recovered(site, {f"op-{Verb.REVERT_SHARE}-{share_id}": remains})
    recorded = share_spec_of(site.records()["share/x"]).revert_to
    assert recorded is not None
    assert (recorded.snapshot, recorded.request) == ("s", "one")
    assert recorded.cut_short is not is_known
    assert ("had been turned back" in words) is is_known
