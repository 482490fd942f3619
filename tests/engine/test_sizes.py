"""Sizes: what is recorded is what a share has, also where somebody else has resized it between plan and apply."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from sharectl.model.diagnostics import has_errors
from sharectl.model.quantities import GIB
from sharectl.model.verbs import Verb
from sharectl.planner.options import PlanOptions
from tests.engine.site import UNLIMITED, Site, backend, share

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return a repository with one share of 2 GiB."""
    made = Site(tmp_path / "r").write(backend("a"), share("x", size="2GiB"))
    assert made.apply().result.succeeded
    return made


def size_gib(site: Site) -> float:
    """Return the size of the only share on the backend."""
    ((size_bytes,),) = site.query("a", "SELECT size_bytes FROM shares")
    return float(size_bytes / GIB)


def resizes(site: Site, size_bytes: int) -> None:
    """Give the only share another size by hand."""
    site.query("a", "UPDATE shares SET size_bytes = ?", size_bytes)


def verbs(site: Site, refresh: str = "full") -> list[Verb]:
    """Return what the next plan does."""
    return [step.verb for step in site.plan(refresh=refresh).steps]


def test_a_saved_plan_takes_no_room_away_that_somebody_has_made(site: Site) -> None:
    """The share keeps its room, the state says how much that is, and the next plan shows that it is not what the manifest says."""
    site.write(backend("a"), share("x", size="3GiB"))
    saved = site.plan()
    resizes(site, 5 * GIB)
    assert site.apply(plan=saved).result.succeeded
    assert size_gib(site) == 5
    assert site.records()["share/x"].size_bytes == 5 * GIB
    for refresh in ("full", "changed", "none"):
        found = site.plan(refresh=refresh)
        assert [one.code for one in found.diagnostics] == ["share.shrink"]
        assert found.is_empty


def test_a_saved_plan_does_not_make_larger_what_is_to_shrink(site: Site) -> None:
    """Somebody has made it smaller still; the next plan gives it the size of its manifest."""
    site.write(backend("a"), share("x", size="1GiB", spec="allowShrink: true,"))
    saved = site.plan()
    resizes(site, GIB // 2)
    assert site.apply(plan=saved).result.succeeded
    assert size_gib(site) == 0.5
    assert site.records()["share/x"].size_bytes == GIB // 2
    assert Verb.EXTEND_SHARE in verbs(site, "none")
    assert site.apply().result.succeeded
    assert size_gib(site) == 1
    assert site.plan().is_empty


def test_a_share_that_a_list_omitted_once_still_gets_its_size(site: Site) -> None:
    """It is taken for gone while its manifest changes, and found there when it is made again: the next plan sees its old size."""
    site.write(backend("a"), share("x", size="3GiB"))
    site.query("a", "CREATE TABLE omitted AS SELECT * FROM shares")
    site.query("a", "DELETE FROM shares")
    mistaken = site.plan()
    assert [step.verb for step in mistaken.steps] == [Verb.CREATE_SHARE]
    site.query("a", "INSERT INTO shares SELECT * FROM omitted")
    assert site.apply(plan=mistaken).result.succeeded
    assert size_gib(site) == 2
    for refresh in ("full", "changed", "none"):
        assert verbs(site, refresh) == [Verb.EXTEND_SHARE]
    assert site.apply().result.succeeded
    assert size_gib(site) == 3
    assert site.plan().is_empty


def test_access_of_a_share_that_a_list_omitted_once_is_taken_away(tmp_path: Path) -> None:
    """Who is not in the manifest any more loses it in the same apply, or the next plan shows it, also without a look."""
    access = "access: [{type: ip, to: 10.0.0.1, level: rw}, {type: ip, to: 10.0.0.2, level: rw}],"
    site = Site(tmp_path / "r").write(backend("a"), share("x", spec=access))
    assert site.apply().result.succeeded
    site.write(backend("a"), share("x"))
    site.query("a", "CREATE TABLE omitted AS SELECT * FROM shares")
    site.query("a", "DELETE FROM shares")
    mistaken = site.plan()
    site.query("a", "INSERT INTO shares SELECT * FROM omitted")
    assert site.apply(plan=mistaken).result.succeeded
    assert verbs(site, "none") == [Verb.UPDATE_ACCESS]
    assert site.apply().result.succeeded
    assert site.query("a", "SELECT access FROM shares") == [("[]",)]
    assert site.plan().is_empty


def test_a_size_that_changes_while_the_share_is_recorded_is_seen_by_the_next_plan(site: Site) -> None:
    """What is recorded is what the backend holds at that moment, and never passes for what the manifest says."""
    site.query("a", "UPDATE shares SET pool = pool || '2'")
    found = site.plan()
    assert [step.verb for step in found.steps] == [Verb.UPDATE_RECORD]
    resizes(site, GIB)
    assert site.apply(plan=found).result.succeeded
    assert Verb.EXTEND_SHARE in verbs(site, "none")


def test_protection_is_recorded_though_the_resize_of_the_same_share_fails(site: Site) -> None:
    """The state needs no backend for that."""
    fault = "faults: [{call: extend_share, effect: error, message: no}],"
    site.write(backend("a", config=fault), share("x", size="3GiB", spec="protect: true, deletionPolicy: retain,"))
    assert [failure.verb for failure in site.apply().result.failures] == [Verb.EXTEND_SHARE]
    assert site.records()["share/x"].protect


@pytest.mark.parametrize("refresh", ["full", "none"])
def test_protection_of_a_share_that_was_made_larger_by_hand_is_recorded(site: Site, refresh: str) -> None:
    """And holds after its manifest is gone."""
    resizes(site, 5 * GIB)
    site.write(backend("a"), share("x", size="2GiB", spec="protect: true,"), share("other"))
    assert "share.grown" in [one.code for one in site.plan().diagnostics]
    assert site.apply().result.succeeded
    record = site.records()["share/x"]
    assert record.protect
    assert orjson.loads(record.spec)["protect"]
    assert "share.grown" in [one.code for one in site.plan().diagnostics]
    site.write(backend("a"), share("other"))
    refused = site.plan(refresh=refresh)
    assert has_errors(refused.diagnostics)
    assert refused.is_empty


def test_protection_is_recorded_of_what_is_on_a_backend_that_cannot_be_read(site: Site) -> None:
    """With a policy, and of a snapshot too: neither touches the backend."""
    snapshot = "---\napiVersion: sharectl/v1\nkind: Snapshot\nmetadata: {name: s}\nspec: {share: x, protect: %s}\n"
    site.write(backend("a"), share("x", size="2GiB"), snapshot % "false")
    assert site.apply().result.succeeded
    (site.root / "a.db").rename(site.root / "a.kept")
    (site.root / "a.db").mkdir()
    site.write(backend("a"), share("x", size="3GiB", spec="protect: true, deletionPolicy: trash,"), snapshot % "true")
    run = site.apply()
    assert [failure.verb for failure in run.result.failures] == [Verb.EXTEND_SHARE]
    records = site.records()
    assert records["share/x"].protect
    assert records["snapshot/s"].protect
    assert orjson.loads(records["share/x"].spec)["deletion_policy"] == "trash"


def test_protection_is_recorded_of_what_is_on_a_backend_without_manifest(site: Site) -> None:
    """Nothing else can be done there; that is refused, and the rest goes on."""
    site.write(backend("b"), share("x", size="3GiB", spec="protect: true,"), share("y"))
    found = site.plan()
    assert [(each.address, each.cause) for each in found.held] == [
        ("backend/a", "backend/a"),
        ("share/x", "backend/a"),
    ]
    assert {step.address for step in found.steps} == {"backend/b", "share/x", "share/y"}
    assert {step.verb for step in found.steps if step.address == "share/x"} == {Verb.UPDATE_RECORD}


def test_protection_is_recorded_with_the_target_that_asks_for_it(site: Site) -> None:
    """And by a plan of another backend, not at all: what the user leaves out is left out."""
    resizes(site, 5 * GIB)
    site.write(backend("a"), backend("b"), share("x", size="2GiB", spec="protect: true,"), share("y"))
    elsewhere = site.plan(PlanOptions(backends=frozenset({"b"})))
    assert "share/x" not in {step.address for step in elsewhere.steps}
    run = site.apply(options=PlanOptions(targets=frozenset({"share/x"}), limits=UNLIMITED.limits))
    assert run.result.succeeded
    assert site.records()["share/x"].protect
