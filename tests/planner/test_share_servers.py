"""Share servers in a plan: what the cases cannot show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from sharectl.model.diagnostics import has_errors
from sharectl.model.verbs import Verb
from sharectl.planner.saved.document import plan_from_document, plan_to_document
from sharectl.planner.share_servers import steps
from sharectl.planner.share_servers.places import shares_by_server
from tests.planner.model import carry_out, settle
from tests.planner.world import World, codes, drift_lines, step_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pytest

    from sharectl.model.kinds import Address
    from sharectl.model.records import Record
    from sharectl.planner.draft import Draft


def world(*tenants: str) -> World:
    """Return backends with share servers, and a network; nothing is applied yet."""
    found = World("nas")
    for name in tenants:
        found.has_tenants(name)
    return found.has_network("red")


def test_a_plan_with_share_servers_is_the_same_after_it_was_saved() -> None:
    """With its specs, and with the servers that candidates would use."""
    there = (
        world("t").has_service("ad", server="ldap.example").has_network("red", services=["ad"], excluded=["10.0.0.9"])
    )
    plan = there.wants("a", share_network="red").plan()
    assert plan_from_document(orjson.loads(orjson.dumps(plan_to_document(plan)))) == plan
    server = next(step for step in plan.steps if step.address.startswith("share_server/"))
    assert server.spec is not None
    carry_out(there, plan)
    there.leaks("t", "ghost").breaks_server("share_server/red-default@t")
    plan = there.plan()
    assert len(plan.steps) == 2
    assert plan_from_document(orjson.loads(orjson.dumps(plan_to_document(plan)))) == plan


def test_candidates_are_those_whose_server_will_be_there() -> None:
    """The first one's, and any that is there and well; nothing makes a server that may not be needed."""
    there = world("t", "u", "v")
    there.wants("a", share_network="red", only_host="u#p1")
    settle(there)
    there.backends["u"].pools = {"p1": 500}
    plan = there.wants("b", share_network="red").plan()
    made = next(step for step in plan.steps if step.address == "share/b")
    servers = {candidate.backend: candidate.share_server for candidate in made.candidates}
    first = made.candidates[0].backend
    assert first != "u"
    assert set(servers) <= {first, "u"}
    assert all(server == f"share_server/red-default@{backend}" for backend, server in servers.items())
    assert [step.address for step in plan.steps if step.verb == "create-share-server"] == [
        f"share_server/red-default@{first}"
    ]


def test_a_server_that_is_not_well_is_no_place_to_fall_through_to() -> None:
    """Nor is one whose repair the share would have to wait for."""
    there = world("t", "u")
    there.wants("a", share_network="red", only_host="u#p1")
    settle(there)
    there.backends["u"].pools = {"p1": 500}
    there.breaks_server("share_server/red-default@u")
    plan = there.wants("b", share_network="red").plan()
    made = next(step for step in plan.steps if step.address == "share/b")
    assert {candidate.backend for candidate in made.candidates} == {"t"}


def test_a_server_that_sharectl_did_not_make_is_shown_and_left_alone() -> None:
    """As a share is."""
    there = world("t").holds_server("t", "vs0")
    settle(there)
    plan = there.plan()
    assert plan.is_empty
    assert drift_lines(plan) == ["unmanaged backend/t []"]
    assert "holds 1 share server that the state does not know: vs0" in plan.drift[0].summary


def test_a_plan_of_some_backends_touches_no_server_of_another() -> None:
    """Neither to mend nor to remove it."""
    there = world("t", "u")
    for backend in "tu":
        there.wants(backend, share_network="red", only_host=f"{backend}#p1", deletion_policy="delete")
    settle(there)
    there.breaks_server("share_server/red-default@t").breaks_server("share_server/red-default@u").leaks("u", "ghost")
    assert step_lines(there.plan(backends=["t"])) == ["~ repair-share-server share_server/red-default@t"]
    there.wants("keep")
    there.drops("share/t", "share/u")
    lines = step_lines(there.plan(backends=["t"], allow_deletions=9))
    assert lines == [
        "- delete-share share/t",
        "- delete-share-server share_server/red-default@t after delete-share:share/t",
    ]


def test_a_share_of_a_network_waits_for_a_backend_that_is_silent() -> None:
    """Its server can be nowhere else."""
    there = world("t")
    settle(there)
    plan = there.silences("t").wants("a", share_network="red").wants("b").plan()
    assert not has_errors(plan.diagnostics)
    assert "share.held share/a" in codes(plan)
    assert step_lines(plan) == ["+ create-share share/b"]


def test_a_backend_without_a_manifest_keeps_its_server() -> None:
    """There is no way to reach it."""
    there = world("t").wants("a", share_network="red", deletion_policy="delete").wants("b")
    settle(there)
    plan = there.drops("share/a", "backend/t").plan(allow_deletions=9)
    assert codes(plan) == ["backend.undeclared backend/t"]
    assert not any(step.address.startswith("share_server/") for step in plan.steps)


def test_a_subnet_described_by_other_means_is_told_by_its_ids() -> None:
    """What people read of a new server."""
    there = (
        World("nas").has_tenants("t").has_network("red", cidr=None, neutron_net_id="net-1", neutron_subnet_id="sub-1")
    )
    plan = there.wants("a", share_network="red").plan()
    server = next(step for step in plan.steps if step.verb == "create-share-server")
    assert ("neutron_net_id", None, "net-1") in server.changes


def test_a_share_that_is_too_large_is_told_so_though_another_backend_could_have_no_server() -> None:
    """What keeps it out is said of the backend that could have one."""
    there = world("t").has_tenants("u", max_share_servers=1).has_network("blue")
    settle(there.wants("a", share_network="blue", only_host="u#p1"))
    plan = there.wants("b", "5000GiB", share_network="red").plan()
    (found,) = plan.diagnostics
    assert found.code == "scheduler.no-valid-host"
    assert "CapacityFilter" in found.detail


def test_shares_are_looked_through_once_however_many_servers_lost_their_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A network service may have lost those of all tenants."""
    names = [f"tenant-{number}" for number in range(5)]
    tenants = world("t")
    for name in names:
        tenants.has_network(name).wants(name, share_network=name)
    settle(tenants)
    for server in [address for address in tenants.records if address.startswith("share_server/")]:
        tenants.loses_allocation(server)
    asked: list[Draft] = []

    def counted(draft: Draft) -> Mapping[str, Sequence[tuple[Address, Record]]]:
        asked.append(draft)
        return shares_by_server(draft)

    monkeypatch.setattr(steps, "shares_by_server", counted)
    told = [step.address for step in tenants.plan().steps if step.verb is Verb.UPDATE_RECORD]
    assert sorted(told) == [f"share/{name}" for name in names]
    assert len(asked) == 1


def test_what_is_refused_stays_refused_when_the_share_server_gets_another_address() -> None:
    """Its share is recorded with its new export locations, and otherwise as it is."""
    there = world("t")
    settle(there.wants("a", "3GiB", share_network="red"))
    there.wants("a", "2GiB", only_host="nas#p1", share_network=None)
    carry_out(there, there.plan())
    plan = there.loses_allocation("share_server/red-default@t").plan()
    assert [step.verb for step in plan.steps] == ["repair-share-server", "update-record"]
    carry_out(there, plan)
    again = there.plan()
    assert codes(again) == ["share.immutable share/a"]
    assert [(held.address, held.code) for held in again.held] == [("share/a", "share.immutable")]


def test_changes_beside_a_new_address_of_the_share_server_are_recorded() -> None:
    """The size is what it has become."""
    there = world("t")
    settle(there.wants("a", "1GiB", share_network="red"))
    there.wants("a", "2GiB", share_network="red").loses_allocation("share_server/red-default@t")
    plan = there.plan()
    assert "extend-share" in {step.verb for step in plan.steps}
    carry_out(there, plan)
    assert there.plan().is_empty


def test_shares_are_recorded_anew_when_nobody_can_tell_what_address_a_repaired_server_gets() -> None:
    """The network service is silent while it is planned, and answers when the server is mended."""
    there = world("t")
    settle(there.wants("a", share_network="red"))
    there.loses_allocation("share_server/red-default@t").breaks_server("share_server/red-default@t")
    plan = there.silences_network("t").plan()
    assert [step.verb for step in plan.steps] == ["repair-share-server", "update-record"]
    carry_out(there, plan)
    assert there.plan().is_empty
