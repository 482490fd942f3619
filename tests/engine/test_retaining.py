"""What becomes of the access to a share that stays on its backend when it is forgotten."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sharectl.model.diagnostics import has_errors
from sharectl.planner.options import Import
from tests.engine.site import UNLIMITED, Site, backend, share, snapshot

if TYPE_CHECKING:
    from pathlib import Path

RULES = "access: [{type: ip, to: 10.0.0.0/8, level: rw}, {type: ip, to: 192.0.2.1, level: ro}]"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return a site with a share that two rules let into."""
    made = Site(tmp_path / "r").write(backend("a"), share("x", spec=RULES), share("y"))
    assert made.apply().result.succeeded
    return made


def access(site: Site) -> list[str]:
    """Return what the backend has in force for the shares with access."""
    return [text for (text,) in site.query("a", "SELECT access FROM shares WHERE access != '[]'")]


def test_access_ends_with_the_manifest(site: Site) -> None:
    """The plan says who loses it; the data stays, and an import brings the share back, closed until its rules are applied."""
    run = site.write(backend("a"), share("y")).apply()
    (step,) = run.plan.steps
    assert [tuple(change) for change in step.changes] == [
        ("access/ip:10.0.0.0/8", "rw", None),
        ("access/ip:192.0.2.1", "ro", None),
    ]
    assert run.plan.summary.rules_by_action == {"delete": 2}
    assert run.result.succeeded
    assert access(site) == []
    assert "share/x" not in site.records()
    assert site.plan().is_empty
    imports = {"share/x": Import("a", "pool/x")}
    site.write(backend("a"), share("x", spec=RULES), share("y"))
    site.apply(options=replace(UNLIMITED, imports=imports, targets=frozenset(imports)))
    assert access(site) == []
    assert site.apply().result.succeeded
    assert len(access(site)) == 1
    assert site.plan().is_empty


def test_what_was_added_by_hand_ends_as_well(site: Site) -> None:
    """Nobody keeps access that the state does not know."""
    site.query("a", """UPDATE shares SET access = '[["ip","10.9.9.9","rw"]]' WHERE name = 'x'""")
    run = site.write(backend("a"), share("y")).apply()
    assert [change.field for change in run.plan.steps[0].changes] == ["access/ip:10.9.9.9"]
    assert access(site) == []


def test_access_stays_where_the_manifest_said_so(tmp_path: Path) -> None:
    """The plan names who keeps it; the backend is not asked."""
    site = Site(tmp_path / "r").write(backend("a"), share("x", spec=f"{RULES}, retainAccess: true"), share("y"))
    assert site.apply().result.succeeded
    run = site.write(backend("a"), share("y")).apply()
    (step,) = run.plan.steps
    assert step.backend is None
    assert "with retainAccess ip:10.0.0.0/8 rw, ip:192.0.2.1 ro keep access" in step.reason
    assert len(access(site)) == 1
    assert "share/x" not in site.records()


def test_a_share_on_a_backend_that_does_not_answer_is_not_forgotten(site: Site) -> None:
    """Its access cannot end now: the step fails, and the next apply does both."""
    silent = backend("a", config="faults: [{call: update_access, effect: unavailable}],", spec="attempts: 1,")
    run = site.write(silent, share("y")).apply()
    assert [failure.address for failure in run.result.failures] == ["share/x"]
    assert "share/x" in site.records()
    assert len(access(site)) == 1
    assert site.write(backend("a"), share("y")).apply().result.succeeded
    assert access(site) == []
    assert "share/x" not in site.records()


def test_access_that_ended_without_an_answer_is_found_out(site: Site) -> None:
    """The share stays in the state until it is known; then nothing is left but to forget it."""
    lost = backend("a", config="faults: [{call: update_access, effect: crash-after}],", spec="attempts: 1,")
    assert not site.write(lost, share("y")).apply().result.succeeded
    assert access(site) == []
    assert "share/x" in site.records()
    run = site.write(backend("a"), share("y")).apply()
    assert [(step.verb, step.backend) for step in run.plan.steps] == [("forget", None)]
    assert "share/x" not in site.records()


def test_a_share_whose_backend_has_no_manifest_is_not_forgotten(site: Site) -> None:
    """The plan names who would keep access, and how to let them; a share that nobody has access to is forgotten."""
    plan = site.write(backend("b")).plan()
    assert has_errors(plan.diagnostics)
    (refused,) = (found for found in plan.diagnostics if found.code == "share.access-stays")
    assert refused.address == "share/x"
    assert "ip:10.0.0.0/8 rw, ip:192.0.2.1 ro would keep access: the manifest of backend a is gone" in refused.summary
    assert "sharectl state rm share/x" in refused.remedy
    assert "forget:share/x" not in {step.step_id for step in plan.steps}
    assert "forget:share/y" in {step.step_id for step in plan.steps}


def test_destroy_ends_access_to_what_it_leaves(site: Site) -> None:
    """As the removal of the manifest does, also where nothing else has changed."""
    assert site.apply(options=replace(UNLIMITED, destroy=True)).result.succeeded
    assert access(site) == []
    assert [address for address in site.records() if address.startswith("share/")] == []


@pytest.mark.parametrize("order", ["createFirst", "deleteFirst"])
def test_a_share_that_is_replaced_and_retained_is_closed(site: Site, order: str) -> None:
    """The rules are those of the new share alone; the old one stays with its data."""
    site.write(backend("a"), share("x", spec=f"{RULES}, replacement: {order}"), share("y"))
    assert site.apply().result.succeeded
    run = site.apply(options=replace(UNLIMITED, replaces=frozenset({"share/x"})))
    assert run.result.succeeded
    new_id = site.records()["share/x"].resource_id
    rows = site.query("a", "SELECT resource_id FROM shares WHERE access != '[]'")
    assert rows == [(new_id,)]
    assert len(site.query("a", "SELECT 1 FROM shares")) == 3
    assert site.plan().is_empty


def test_many_that_lose_access_so_are_limited(tmp_path: Path) -> None:
    """Access that ends with a share that is retained counts among the revocations."""
    shares = [share(f"s{number}", spec=RULES) for number in range(5)]
    site = Site(tmp_path / "r").write(backend("a"), *shares)
    assert site.apply().result.succeeded
    options = replace(
        UNLIMITED, allow_revocations=0, limits=replace(UNLIMITED.limits, deletion_floor=3, max_deletion_percentage=10)
    )
    plan = site.write(backend("a"), *shares[2:]).plan(options)
    assert [found.code for found in plan.diagnostics if "take away or narrow 4 of 10" in found.summary] == [
        "safety.revocations"
    ]


def test_a_share_moves_away_from_one_that_stays_on_another_backend(tmp_path: Path) -> None:
    """Nobody has access to the old one, so that nothing is to be done on its backend, which is not in the plan."""
    zones = [backend("a"), backend("b", spec="availabilityZone: b,")]
    site = Site(tmp_path / "r").write(*zones, share("x", spec="replacement: createFirst"))
    assert site.apply().result.succeeded
    moved = share("x", spec=f"replacement: createFirst, availabilityZone: b, {RULES}")
    run = site.write(*zones, moved, snapshot("s", "x")).apply()
    assert "a" not in run.plan.backends
    assert run.result.succeeded, run.result
    assert site.records()["share/x"].backend == site.records()["snapshot/s"].backend == "b"
    assert len(site.query("a", "SELECT * FROM shares")) == 1
    assert site.plan().is_empty
