"""Share servers in an apply: made once, mended, removed, and whatever fails on the way leaves no address behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from sharectl.model.events import CandidateFailed, OperationRecovered, StepFailed, StepRetried, StepSkipped
from sharectl.model.plans import DriftKind
from tests.engine.server_scenario import check_servers, directory_service, leak_address, network, on, tenants
from tests.engine.site import Site, backend, share

if TYPE_CHECKING:
    from pathlib import Path

QUICK = "attempts: 1,"
SERVER = "share_server/red-default@tenants"


def faults(*found: str) -> str:
    """Return the configuration of a backend with these faults."""
    return f"faults: [{', '.join(f'{{{fault}}}' for fault in found)}],"


def addresses(site: Site) -> list[str]:
    """Return every address that the state says is taken."""
    records = site.records().values()
    return sorted(orjson.loads(r.attributes)["ip_address"] for r in records if r.kind == "network_allocation")


def mended(site: Site, *manifests: str) -> None:
    """Assert that an apply on mended backends brings everything about, and leaves nothing over."""
    site.write(*manifests)
    run = site.apply()
    assert run.result.succeeded, run.result
    assert site.plan().is_empty, [step.step_id for step in site.plan().steps]
    assert not site.view().operations
    check_servers(site)


def test_servers_of_many_networks_are_made_side_by_side_each_once(tmp_path: Path) -> None:
    """Shares with and without a network in one plan, two backends with share servers that draw from one range."""
    site = Site(tmp_path / "r")
    subnet = "{cidr: 10.0.0.0/24, gateway: 10.0.0.1, networkType: vlan, segmentationId: 7}"
    names = [f"n{number}" for number in range(12)]
    run = site.write(
        backend("nas"),
        tenants(spec="availabilityZone: a,"),
        tenants("others", spec="availabilityZone: b,"),
        *(network(name, subnets=subnet) for name in names),
        *(
            on(name, f"{name}-{zone}{number}", spec=f"availabilityZone: {zone}")
            for name in names
            for zone in "ab"
            for number in (1, 2)
        ),
        share("plain"),
    ).apply()
    assert run.result.succeeded, run.result
    assert len(site.calls("tenants", "create_share_server")) == len(names)
    assert len(site.calls("others", "create_share_server")) == len(names)
    assert site.records()["share/plain"].backend == "nas"
    taken = addresses(site)
    assert len(taken) == len(set(taken)) == 2 * len(names)
    check_servers(site)
    check_servers(site, "others")
    assert site.plan().is_empty


@pytest.mark.parametrize("effect", ["error", "crash-after"])
def test_a_server_that_cannot_be_made_leaves_nothing_and_takes_along_only_its_own_shares(
    tmp_path: Path, effect: str
) -> None:
    """Its address is given back at once, whether or not the backend had made it; other networks go on."""
    site = Site(tmp_path / "r")
    common = [network("red", 1), network("blue", 2), on("red", "a"), on("red", "b"), on("blue", "c")]
    bad = faults(f"call: create_share_server, name: red-default, effect: {effect}")
    run = site.write(tenants(spec=QUICK, config=bad), *common).apply()
    assert [event.address for event in run.of(StepFailed)] == [SERVER]
    assert {event.address for event in run.of(StepSkipped)} == {"share/a", "share/b"}
    assert all(event.cause == SERVER for event in run.of(StepSkipped))
    assert SERVER not in site.records()
    assert not site.view().operations
    assert addresses(site) == ["10.0.2.2"]
    check_servers(site)
    mended(site, tenants(), *common)


def test_a_server_is_asked_for_again_after_a_transient_error(tmp_path: Path) -> None:
    """As every other call."""
    site = Site(tmp_path / "r")
    bad = faults("call: create_share_server, first: 2, effect: transient")
    run = site.write(tenants(config=bad), network("red"), on("red", "a")).apply()
    assert run.result.succeeded
    assert len(run.of(StepRetried)) == 2
    assert addresses(site) == ["10.0.1.2"]
    check_servers(site)


def test_a_server_of_which_nobody_knows_whether_it_was_made_is_found_by_the_next_apply(tmp_path: Path) -> None:
    """It hangs after its work, and the backend cannot even be swept: the intent stays open, and the address with it."""
    site = Site(tmp_path / "r")
    common = [network("red"), on("red", "a")]
    bad = faults("call: create_share_server, effect: crash-after", "call: delete_share_server, effect: unavailable")
    run = site.write(tenants(spec=QUICK, config=bad), *common).apply()
    (failed,) = run.of(StepFailed)
    assert failed.unresolved
    assert addresses(site) == ["10.0.1.2"]
    assert len(site.view().operations) == 1
    assert [step.verb for step in site.plan().steps if step.address.startswith("network_allocation")] == []
    run = site.write(tenants(), *common).apply()
    assert [event.outcome for event in run.of(OperationRecovered)] == ["it had been made, and is recorded now"]
    mended(site, tenants(), *common)


def test_a_server_that_was_never_made_is_swept_by_the_next_apply(tmp_path: Path) -> None:
    """Its address was taken; the backend does not know it, and did not answer when it was asked to sweep."""
    site = Site(tmp_path / "r")
    common = [network("red"), on("red", "a")]
    bad = faults("call: create_share_server, effect: error", "call: delete_share_server, effect: error")
    assert site.write(tenants(spec=QUICK, config=bad), *common).apply().of(StepFailed)[0].unresolved
    run = site.write(tenants(), *common).apply()
    assert "its addresses have been given back" in run.of(OperationRecovered)[0].outcome
    mended(site, tenants(), *common)


def test_a_server_that_a_backend_has_lied_about_is_made_again(tmp_path: Path) -> None:
    """Its shares cannot be made on it, and the next plan sees that it is gone."""
    site = Site(tmp_path / "r")
    common = [network("red"), on("red", "a")]
    run = site.write(tenants(config=faults("call: create_share_server, first: 1, effect: lie")), *common).apply()
    assert [event.address for event in run.of(StepFailed)] == ["share/a"]
    plan = site.plan()
    assert [(drift.address, drift.kind) for drift in plan.drift] == [(SERVER, DriftKind.GONE)]
    mended(site, tenants(), *common)


def test_a_deletion_that_fails_keeps_server_address_and_row(tmp_path: Path) -> None:
    """What may still answer must not lose its address to another."""
    site = Site(tmp_path / "r")
    common = [network("red"), share("other", spec="deletionPolicy: delete"), backend("nas")]
    assert site.write(tenants(), *common, on("red", "a")).apply().result.succeeded
    run = site.write(tenants(spec=QUICK, config=faults("call: delete_share_server, effect: error")), *common).apply()
    assert [event.address for event in run.of(StepFailed)] == [SERVER]
    assert addresses(site) == ["10.0.1.2"]
    check_servers(site)
    mended(site, tenants(), *common)
    assert addresses(site) == []


def test_a_deletion_whose_answer_was_lost_is_finished_by_the_next_apply(tmp_path: Path) -> None:
    """The server is gone, its address not yet given back."""
    site = Site(tmp_path / "r")
    common = [network("red"), share("other"), backend("nas")]
    assert site.write(tenants(), *common, on("red", "a")).apply().result.succeeded
    lost = faults("call: delete_share_server, effect: crash-after")
    run = site.write(tenants(spec=QUICK, config=lost), *common).apply()
    assert [event.address for event in run.of(StepFailed)] == [SERVER]
    assert addresses(site) == ["10.0.1.2"]
    mended(site, tenants(), *common)
    assert addresses(site) == []


def test_a_server_on_which_somebody_else_has_put_a_share_is_not_removed(tmp_path: Path) -> None:
    """Neither planned, where it is seen, nor done, where it comes in between."""
    site = Site(tmp_path / "r")
    common = [tenants(), network("red"), share("other"), backend("nas")]
    assert site.write(*common, on("red", "a")).apply().result.succeeded
    site.write(*common)
    plan = site.plan()
    server = site.records()[SERVER].resource_id
    site.query(
        "tenants",
        "INSERT INTO shares(backend_id, name, pool, share_server_id) VALUES ('pool/theirs', 'theirs', 'pool', ?)",
        server,
    )
    run = site.apply(plan=plan)
    assert "shares are on the share server" in run.of(StepFailed)[0].error
    assert [step.address for step in site.plan().steps] == []
    site.query("tenants", "DELETE FROM shares")
    mended(site, *common)


def test_a_share_in_the_trash_keeps_its_server_until_the_trash_is_emptied(tmp_path: Path) -> None:
    """A share that comes back needs it."""
    site = Site(tmp_path / "r")
    common = [tenants(), network("red"), share("other"), backend("nas")]
    assert site.write(*common, on("red", "a", policy="trash")).apply().result.succeeded
    assert site.write(*common).apply().result.succeeded
    assert SERVER in site.records()
    assert site.plan().is_empty
    site.query("tenants", "DELETE FROM shares")
    mended(site, *common)
    assert SERVER not in site.records()


def test_a_share_falls_through_to_a_backend_where_its_network_has_a_server_already(tmp_path: Path) -> None:
    """Nothing makes a second server for it, and nothing keeps it from one that is there."""
    site = Site(tmp_path / "r")
    common = [tenants(config="pools: [{name: small, total: 100GiB}],"), network("red")]
    first = on("red", "first", spec="schedulerHints: {onlyHost: 'tenants#small'},")
    full = tenants(
        "large", config=f"pools: [{{name: big, total: 1000GiB}}], {faults('call: create_share, effect: pool-error')}"
    )
    assert site.write(*common, first).apply().result.succeeded
    run = site.write(*common, full, first, on("red", "second")).apply()
    assert run.result.succeeded, run.result
    assert [event.backend for event in run.of(CandidateFailed)] == ["large"]
    records = site.records()
    assert records["share/second"].backend == "tenants"
    assert sorted(a for a in records if a.startswith("share_server/")) == ["share_server/red-default@large", SERVER]
    assert [step.step_id for step in site.plan().steps] == ["delete-share-server:share_server/red-default@large"]


def test_an_address_that_was_taken_away_is_had_again(tmp_path: Path) -> None:
    """The row of the state is gone, and nobody has got the address since."""
    site = Site(tmp_path / "r")
    manifests = [tenants(), network("red"), on("red", "a")]
    assert site.write(*manifests).apply().result.succeeded
    drop_address(site)
    assert [drift.summary for drift in site.plan().drift] == ["its address 10.0.1.2 is not allocated to it any more"]
    mended(site, *manifests)
    assert addresses(site) == ["10.0.1.2"]


def test_a_server_that_gets_another_address_tells_its_shares(tmp_path: Path) -> None:
    """Their export locations name the new one after the same apply."""
    site = Site(tmp_path / "r")
    manifests = [tenants(), network("red"), on("red", "a")]
    assert site.write(*manifests).apply().result.succeeded
    drop_address(site)
    subnet = (
        "{cidr: 10.0.1.0/24, gateway: 10.0.1.1, networkType: vlan, segmentationId: 1, excluded: [10.0.1.2-10.0.1.9]}"
    )
    site.write(manifests[0], network("red", subnets=subnet), manifests[2])
    run = site.apply()
    assert run.result.succeeded, run.result
    assert site.plan().is_empty
    assert addresses(site) == ["10.0.1.10"]
    assert b"10.0.1.10:/pool/a" in site.records()["share/a"].attributes


def drop_address(site: Site) -> None:
    """Take the one address away behind sharectl's back."""
    from sharectl.workspace.interventions import Edit, forget_resources  # noqa: PLC0415 - needed here alone
    from sharectl.workspace.run import describe_run, held_lease  # noqa: PLC0415 - needed here alone

    (address,) = (a for a, record in site.records().items() if record.kind == "network_allocation")
    record = describe_run("by hand", site.root, {})
    with site.store() as store, held_lease(store, record) as lease:
        forget_resources(Edit(store, lease, record), [address])


def test_an_address_that_no_server_has_is_found_and_given_back(tmp_path: Path) -> None:
    """Shown as what it is, and not counted among the shares that a plan may remove."""
    site = Site(tmp_path / "r")
    manifests = [tenants(), network("red"), on("red", "a")]
    assert site.write(*manifests).apply().result.succeeded
    leak_address(site)
    (step,) = site.plan().steps
    assert step.step_id == "release-allocation:network_allocation/ghost/0"
    assert step.changes[0].before == "10.0.9.9"
    mended(site, *manifests)


def test_an_exhausted_range_is_said_in_the_plan(tmp_path: Path) -> None:
    """Before anything is made, with how many there are."""
    site = Site(tmp_path / "r")
    subnet = (
        "{cidr: 10.0.1.0/29, gateway: 10.0.1.1, networkType: vlan, segmentationId: 1, allocationRanges: [10.0.1.2]}"
    )
    common = [tenants(), network("red", subnets=subnet), network("blue", subnets=subnet), on("red", "a")]
    assert site.write(*common).apply().result.succeeded
    plan = site.write(*common, on("blue", "b")).plan()
    (found,) = plan.diagnostics
    assert found.code == "scheduler.no-share-server"
    assert "0 free of 1" in found.detail
    assert found.source is not None


def test_directory_services_change_in_place(tmp_path: Path) -> None:
    """The driver is told all of them, and the address stays."""
    site = Site(tmp_path / "r")
    assert site.write(tenants(), network("red"), on("red", "a"), directory_service("people")).apply().result.succeeded
    manifests = [
        tenants(),
        network("red", spec="securityServices: [people]"),
        on("red", "a"),
        directory_service("people"),
    ]
    mended(site, *manifests)
    assert site.query("tenants", "SELECT security_services FROM share_servers") == [('["people"]',)]
    assert addresses(site) == ["10.0.1.2"]


@pytest.mark.parametrize(
    ("plugin", "said"), [("", "names no network service"), ("network: {plugin: standalone, config: {x: 1}},", "x")]
)
def test_a_backend_without_a_usable_network_service_is_refused(tmp_path: Path, plugin: str, said: str) -> None:
    """At the place in the manifest."""
    from sharectl.manifests.project import find_project  # noqa: PLC0415 - needed here alone
    from sharectl.workspace.validation import load_manifests  # noqa: PLC0415 - needed here alone

    site = Site(tmp_path / "r").write(backend("tenants", spec=f"shareServers: true, {plugin}"))
    loaded = load_manifests(find_project(site.root), directory=site.root)
    (found,) = loaded.diagnostics
    assert said in found.summary
    assert found.source is not None
    assert found.source.line == 5
