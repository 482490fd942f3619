"""Saved plans: refused address by address where the state has moved on, and as a whole where it is another's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.engine.rows import rows_of
from sharectl.model.events import StepFailed, StepSkipped
from sharectl.model.records import BeginOperation, OperationRecord
from sharectl.model.verbs import Verb
from sharectl.planner.saved.checks import current_part
from sharectl.workspace.run import describe_run, held_lease
from tests.engine.server_scenario import network, on, tenants
from tests.engine.site import Site, backend, share, snapshot

if TYPE_CHECKING:
    from pathlib import Path

RULE = "access: [{type: ip, to: 10.0.0.0/8, level: rw}]"
OTHER = "access: [{type: ip, to: 10.9.0.0/16, level: rw}]"


def test_every_step_of_a_changed_address_is_refused_and_the_others_run(tmp_path: Path) -> None:
    """Resize and access of the share that somebody else changed; the neighbour gets its size."""
    site = Site(tmp_path / "r")
    site.write(backend("a"), share("x"), share("y")).apply()
    plan = site.write(backend("a"), share("x", size="20GiB", spec=RULE), share("y", size="20GiB")).plan()
    site.write(backend("a"), share("x", spec=OTHER), share("y")).apply()
    site.write(backend("a"), share("x", size="20GiB", spec=RULE), share("y", size="20GiB"))
    run = site.apply(plan=plan)
    assert {failure.step_id for failure in run.result.failures} == {"extend-share:share/x", "update-access:share/x"}
    assert {failure.error for failure in run.result.failures} == {
        "stale: share/x has changed since the plan was made (version 1 then, 2 now)"
    }
    assert run.result.done == 1
    assert len(site.calls("a", "extend_share")) == 1


def test_a_plan_cannot_be_applied_twice(tmp_path: Path) -> None:
    """What it makes is there already, and what waits for that is skipped for that reason."""
    site = Site(tmp_path / "r").write(backend("a"), share("x", spec=RULE))
    plan = site.plan()
    assert site.apply(plan=plan).result.succeeded
    again = site.apply(plan=plan)
    assert again.result.done == 0
    assert [event.address for event in again.of(StepFailed)] == ["backend/a"]
    assert {event.cause for event in again.of(StepSkipped)} == {"backend/a"}
    assert "(version none then, 1 now)" in again.result.failures[0].error


def test_a_saved_plan_leaves_a_share_whose_snapshot_came_later(tmp_path: Path) -> None:
    """The row of the share is as it was, as is that of the server which another share is on by now."""
    both = [backend("a"), tenants(), network("red"), share("kept")]
    made = [share("x", spec="deletionPolicy: delete"), on("red", "first")]
    site = Site(tmp_path / "r")
    site.write(*both, *made).apply()
    plan = site.write(*both).plan()
    assert {step.verb for step in plan.steps} == {Verb.DELETE_SHARE, Verb.DELETE_SHARE_SERVER}
    with site.store() as store:
        assert current_part(plan, rows_of(plan, store)) == plan
    site.write(*both, *made, snapshot("s", "x", spec="protect: true"), on("red", "second")).apply()
    with site.store() as store:
        part = current_part(plan, rows_of(plan, store))
        assert [step.step_id for step in part.steps] == ["delete-share:share/first"]
        assert [each.address for each in part.held] == ["share/x", "share_server/red-default@tenants"]


def test_a_plan_of_another_state_is_refused_as_a_whole(tmp_path: Path) -> None:
    """Its versions mean nothing here."""
    site, other = Site(tmp_path / "r"), Site(tmp_path / "o")
    site.write(backend("a"), share("x")).apply()
    other.write(backend("a"), share("x")).apply()
    plan = other.write(backend("a"), share("x", size="20GiB")).plan()
    run = site.apply(plan=plan)
    assert [failure.error for failure in run.result.failures] == ["the plan was made from another state"]


def test_a_renamed_share_takes_its_changes_along(tmp_path: Path) -> None:
    """The steps at the new name begin with the row of the old one: neither stale, nor ignorant of its access rules."""
    site = Site(tmp_path / "r")
    site.write(backend("a"), share("old", spec=RULE)).apply()
    moved = "annotations: {sharectl/moved-from: old}"
    run = site.write(backend("a"), share("new", size="20GiB", spec=OTHER, metadata=moved)).apply()
    assert run.result.succeeded, run.result
    assert site.query("a", "SELECT access FROM shares") == [('[["ip","10.9.0.0/16","rw"]]',)]
    assert site.plan().is_empty


def test_a_renamed_share_that_has_changed_is_refused_with_all_that_follows(tmp_path: Path) -> None:
    """The row under the old name is what counts."""
    site = Site(tmp_path / "r")
    site.write(backend("a"), share("old", spec=RULE)).apply()
    after = share("new", size="20GiB", spec=OTHER, metadata="annotations: {sharectl/moved-from: old}")
    plan = site.write(backend("a"), after).plan()
    site.write(backend("a"), share("old", spec=OTHER)).apply()
    run = site.write(backend("a"), after).apply(plan=plan)
    assert run.result.done == 0
    assert run.result.failures[0].error.startswith("stale: share/old has changed")


def test_a_share_may_be_renamed_and_replaced_at_once(tmp_path: Path) -> None:
    """Its row goes to the new name and from there aside."""
    site = Site(tmp_path / "r")
    spec = "replacement: createFirst, deletionPolicy: delete"
    site.write(backend("a"), share("old", spec=spec)).apply()
    after = share("new", spec=spec, metadata="annotations: {sharectl/moved-from: old}").replace("NFS", "CIFS")
    run = site.write(backend("a"), after).apply()
    assert run.result.succeeded, run.result
    assert site.plan().is_empty
    assert len(site.query("a", "SELECT * FROM shares")) == 1


def test_an_unresolved_operation_blocks_its_own_address_alone(tmp_path: Path) -> None:
    """And says since when."""
    site = Site(tmp_path / "r")
    site.write(backend("a"), backend("b", spec="availabilityZone: b,"), share("x"), share("y")).apply()
    record = describe_run("test", site.root, {})
    with site.store() as store, held_lease(store, record) as lease:
        operation = OperationRecord(
            "o",
            record.run_id,
            "share/x",
            Verb.DELETE_SHARE.value,
            "r",
            "retired",
            None,
            "2026-01-01T00:00:00Z",
            b'{"spec":null}',
        )
        store.commit(lease, [BeginOperation(operation)])
    run = site.write(
        backend("a"), backend("b", spec="availabilityZone: b,"), share("x", size="20GiB"), share("y", size="20GiB")
    ).apply()
    assert [failure.error for failure in run.result.failures] == [
        (
            "an earlier delete-share of share/x is unresolved (started 2026-01-01T00:00:00Z); see to its backend, "
            "or give it up with `sharectl state drop o`"
        )
    ]
    assert not run.result.failures[0].unresolved
    assert run.result.done == 1
