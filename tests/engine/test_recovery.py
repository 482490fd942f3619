"""Open intents are resolved by what the backend holds, each verb in its way; who does not answer keeps its intents."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.model.canonical import canonical_json
from sharectl.model.events import OperationRecovered
from sharectl.model.records import BeginOperation, OperationRecord
from sharectl.model.specs import ShareSpec
from sharectl.model.verbs import Verb
from sharectl.planner.options import Import
from sharectl.workspace.run import describe_run, held_lease
from tests.engine.site import UNLIMITED, Site, backend, share, snapshot
from tests.engine.test_order import before_calls

if TYPE_CHECKING:
    from pathlib import Path

    from sharectl.model.plans import Plan
    from tests.engine.conftest import Clock

STRAY = "0" * 31 + "1"
FAILS_AFTER = "attempts: 1,"


def intend(  # noqa: PLR0913 - what an intent says
    site: Site, verb: str, address: str, resource_id: str, *, spec: dict[str, Any] | None = None, name: str = "a"
) -> None:
    """Leave an intent as a run would that died before its call."""
    record = describe_run("died", site.root, {})
    payload = canonical_json({"spec": spec, "extra_specs": {}})
    operation = OperationRecord(
        f"op-{verb}-{resource_id}",
        record.run_id,
        address,
        verb,
        resource_id,
        name,
        "pool",
        "2026-01-01T00:00:00Z",
        payload,
    )
    with site.store() as store, held_lease(store, record) as lease:
        store.commit(lease, [BeginOperation(operation)])


def outcomes(site: Site) -> list[str]:
    """Recover with an empty plan after that, and return what is said of each intent."""
    run = site.apply(plan=empty(site))
    return [event.outcome for event in run.of(OperationRecovered)]


def empty(site: Site) -> Plan:
    """Return a plan without steps."""
    return replace(site.plan(), steps=(), diagnostics=())


def plain(name: str, size_bytes: int = 10 << 30) -> dict[str, Any]:
    """Return the spec of a share as an intent holds it."""
    return ShareSpec(name, size_bytes, "NFS").as_plain()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return a site with a share and a snapshot of it."""
    made = Site(tmp_path / "r").write(backend("a"), share("x"), snapshot("s", "x"))
    assert made.apply().result.succeeded
    return made


def id_of(site: Site, address: str) -> str:
    """Return the resource id in the state."""
    return site.records()[address].resource_id


def test_a_share_that_was_not_made_leaves_no_trace(site: Site) -> None:
    """What may be half made under its id is swept."""
    intend(site, Verb.CREATE_SHARE, "share/y", STRAY, spec=plain("y"))
    assert outcomes(site) == ["it was not made"]
    assert [call[1] for call in site.calls("a", "delete_share")] == [STRAY]
    assert not site.view().operations


def test_a_second_share_for_an_address_is_removed(site: Site) -> None:
    """The one in the state stays."""
    insert = "INSERT INTO shares(backend_id, resource_id, name, pool, size_bytes, protocol) VALUES ('pool/t', ?, 't', 'pool', 1, 'NFS')"
    site.query("a", insert, STRAY)
    intend(site, Verb.CREATE_SHARE, "share/x", STRAY, spec=plain("x"))
    assert outcomes(site) == ["it had been made a second time, and that one was removed"]
    assert [row[0] for row in site.query("a", "SELECT resource_id FROM shares")] == [id_of(site, "share/x")]


def test_two_intents_at_one_address_are_resolved_one_after_the_other(site: Site) -> None:
    """The first share found is recorded, the other removed."""
    insert = "INSERT INTO shares(backend_id, resource_id, name, pool, size_bytes, protocol) VALUES (?, ?, 'y', 'pool', ?, 'NFS')"
    for stray in ("1" * 8, "2" * 8):
        site.query("a", insert, f"pool/{stray}", stray, 10 << 30)
        intend(site, Verb.CREATE_SHARE, "share/y", stray, spec=plain("y"))
    assert sorted(outcomes(site)) == [
        "it had been made a second time, and that one was removed",
        "it had been made, and is recorded now",
    ]
    assert site.write(backend("a"), share("x"), snapshot("s", "x"), share("y")).plan().is_empty
    assert len(site.query("a", "SELECT * FROM shares")) == 2


@pytest.mark.parametrize("verb", [Verb.EXTEND_SHARE, Verb.UPDATE_ACCESS, Verb.UPDATE_RECORD])
def test_a_changed_share_is_recorded_as_the_backend_holds_it(site: Site, verb: Verb) -> None:
    """The next plan sees what is left to do."""
    site.query("a", 'UPDATE shares SET size_bytes = 77, access = \'[["ip","10.0.0.1","ro"]]\'')
    intend(site, verb, "share/x", id_of(site, "share/x"))
    assert outcomes(site) == ["the share is recorded as its backend holds it"]
    record = site.records()["share/x"]
    assert (record.size_bytes, record.version) == (77, 2)


@pytest.mark.parametrize("verb", [Verb.SHRINK_SHARE, Verb.UPDATE_ACCESS])
def test_a_change_of_a_share_that_is_another_now_changes_nothing(site: Site, verb: Verb) -> None:
    """Neither is a row written that its share has left."""
    before = site.records()
    intend(site, verb, "share/x", STRAY)
    assert outcomes(site) == ["the share is not there; the next plan shows it"]
    assert site.records() == before


@pytest.mark.parametrize(
    ("verb", "statement", "outcome"),
    [
        (Verb.DELETE_SHARE, "", "it had not been removed"),
        (Verb.DELETE_SHARE, "UPDATE shares SET trashed_at = '2026-01-01T00:00:00+00:00'", "it had not been removed"),
        (Verb.DELETE_SHARE, "DELETE FROM shares", "it had been removed, and is recorded so now"),
        (Verb.TRASH_SHARE, "", "it had not been removed"),
        (
            Verb.TRASH_SHARE,
            "UPDATE shares SET trashed_at = '2026-01-01T00:00:00+00:00'",
            "it had been removed, and is recorded so now",
        ),
    ],
)
def test_a_removal_is_recorded_where_the_share_is_gone(site: Site, verb: Verb, statement: str, outcome: str) -> None:
    """Deleted means not listed at all; put aside means listed in the trash, or not."""
    if statement:
        site.query("a", statement)
    intend(site, verb, "share/x", id_of(site, "share/x"))
    assert outcomes(site) == [outcome]
    assert ("share/x" in site.records()) == (outcome == "it had not been removed")


def test_the_removal_of_what_the_state_has_no_more_is_over(site: Site) -> None:
    """As after `state rm`."""
    intend(site, Verb.DELETE_SHARE, "share/gone", STRAY)
    assert outcomes(site) == ["it had been removed"]


@pytest.mark.parametrize(
    ("verb", "resource_id", "outcome"),
    [
        (Verb.CREATE_SNAPSHOT, STRAY, "it was not taken"),
        (Verb.CREATE_SNAPSHOT, "s", "it had been taken, and is recorded now"),
        (Verb.DELETE_SNAPSHOT, "s", "it had not been removed"),
        (Verb.DELETE_SNAPSHOT, STRAY, "it had been removed"),
    ],
)
def test_snapshots_are_resolved_as_shares_are(site: Site, verb: Verb, resource_id: str, outcome: str) -> None:
    """By the id that they were asked for under."""
    found = id_of(site, "snapshot/s") if resource_id == "s" else resource_id
    intend(site, verb, "snapshot/s" if resource_id == "s" else "snapshot/t", found, spec={"name": "t", "share": "x"})
    assert outcomes(site) == [outcome]
    assert len(site.query("a", "SELECT * FROM snapshots")) == 1


def test_a_snapshot_that_belongs_to_nothing_is_removed(site: Site) -> None:
    """Its address has got another one meanwhile."""
    site.query(
        "a",
        "INSERT INTO snapshots SELECT ?, name, share_resource_id, share_backend_id, pool, size_bytes, 0, '' FROM snapshots",
        STRAY,
    )
    intend(site, Verb.CREATE_SNAPSHOT, "snapshot/s", STRAY, spec={"name": "s", "share": "x"})
    assert outcomes(site) == ["it belongs to nothing in the state, and was removed"]
    assert len(site.query("a", "SELECT * FROM snapshots")) == 1


def test_a_removed_snapshot_is_recorded_so(site: Site) -> None:
    """The row goes."""
    site.query("a", "DELETE FROM snapshots")
    intend(site, Verb.DELETE_SNAPSHOT, "snapshot/s", id_of(site, "snapshot/s"))
    assert outcomes(site) == ["it had been removed, and is recorded so now"]
    assert "snapshot/s" not in site.records()


def test_a_share_that_was_not_taken_over_is_left_alone(site: Site) -> None:
    """It belongs to somebody else."""
    intend(site, Verb.ADOPT, "share/y", STRAY, spec=plain("y"))
    assert outcomes(site) == ["it was not taken over"]


@pytest.mark.parametrize("verb", ["adopt_share", "restore_share"])
def test_a_share_that_was_taken_over_by_a_call_that_erred_is_found(tmp_path: Path, verb: str) -> None:
    """The intent stays open, since no row of the state says that the share is ours now."""
    site = Site(tmp_path / "r").write(backend("a"), share("y", spec="deletionPolicy: trash"))
    site.apply()
    site.write(backend("a")).apply()
    if verb == "adopt_share":
        site.query("a", "UPDATE shares SET resource_id = NULL, trashed_at = NULL")
    bad = backend("a", spec=FAILS_AFTER, config=f"faults: [{{call: {verb}, effect: crash-after}}],")
    options = replace(UNLIMITED, imports={"share/y": Import("a", "pool/y")})
    run = site.write(bad, share("y", spec="deletionPolicy: trash")).apply(options=options)
    assert [failure.unresolved for failure in run.result.failures] == [True]
    assert outcomes(site) == ["it had been taken over, and is recorded now"]
    assert site.plan().is_empty
    assert len(site.query("a", "SELECT * FROM shares")) == 1


def test_a_preparation_is_done_again(tmp_path: Path) -> None:
    """It is idempotent, and nothing of the backend is known before it."""
    site = Site(tmp_path / "r").write(backend("a"))
    intend(site, Verb.PREPARE_BACKEND, "backend/a", STRAY)
    assert outcomes(site) == ["backend a will be prepared by the next plan"]


def test_a_backend_that_is_not_the_one_in_the_state_is_not_believed(site: Site) -> None:
    """Its file system may just not be mounted; the intent waits for it."""
    identity = id_of(site, "backend/a")
    intend(site, Verb.DELETE_SHARE, "share/x", id_of(site, "share/x"))
    site.query("a", "UPDATE backend SET identity = 'another'")
    assert outcomes(site) == []
    assert len(site.view().operations) == 1
    site.query("a", "UPDATE backend SET identity = ?", identity)
    assert outcomes(site) == ["it had not been removed"]


def test_an_intent_that_its_backend_refuses_holds_up_no_other(site: Site) -> None:
    """A refusal, and one that can be resolved."""
    intend(site, Verb.CREATE_SHARE, "share/v", "v" * 8, spec=plain("v"))
    intend(site, Verb.DELETE_SHARE, "share/x", id_of(site, "share/x"))
    faults = "faults: [{call: delete_share, effect: error}],"
    site.write(backend("a", config=faults), share("x"), snapshot("s", "x"))
    assert outcomes(site) == ["it had not been removed"]
    assert [operation.address for operation in site.view().operations] == ["share/v"]


def test_a_backend_that_goes_away_keeps_its_intents(site: Site) -> None:
    """It is asked once, and not once for each."""
    for number in range(4):
        intend(site, Verb.DELETE_SHARE, f"share/g{number}", f"{number}" * 8)
    made = empty(site)
    site.query("a", "DELETE FROM calls")
    site.write(
        backend("a", config="faults: [{call: list_shares, first: 1, effect: unavailable}],"),
        share("x"),
        snapshot("s", "x"),
    )
    run = site.apply(plan=made)
    assert not run.of(OperationRecovered)
    assert len(site.view().operations) == 4
    assert len(site.calls("a", "list_shares")) == 1


def test_a_silent_backend_is_waited_for_once_and_its_intents_stay(
    site: Site, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """A hanging array must not double the wait."""
    intend(site, Verb.DELETE_SHARE, "share/x", id_of(site, "share/x"))
    made = empty(site)
    site.query("a", "DELETE FROM calls")
    before_calls(monkeypatch, "list_shares", lambda _: clock.pass_by(61.0))
    hangs = "faults: [{call: list_shares, effect: hang}],"
    site.write(backend("a", spec="recoveryTimeout: 60s,", config=hangs), share("x"), snapshot("s", "x"))
    run = site.apply(plan=made)
    assert not run.of(OperationRecovered)
    assert len(site.view().operations) == 1
    assert len(site.calls("a", "list_shares")) == 1


def test_a_backend_without_a_manifest_keeps_its_intents(site: Site) -> None:
    """There is no way to ask it."""
    intend(site, Verb.DELETE_SHARE, "share/x", id_of(site, "share/x"), name="gone")
    assert outcomes(site) == []
    assert len(site.view().operations) == 1


def test_the_history_tells_of_each_recovery(site: Site) -> None:
    """And which run had left it."""
    intend(site, Verb.DELETE_SHARE, "share/x", id_of(site, "share/x"))
    outcomes(site)
    line = site.history("share/x")[0]
    assert line.entry.outcome == "recovered"
    assert b'"recovered":"it had not been removed","run":"' in line.entry.detail
