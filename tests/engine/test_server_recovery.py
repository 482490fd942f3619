"""Open intents about share servers: the next run finishes what was made, undoes what was not, and loses no address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from sharectl.drivers.base import BackendUnavailableError, DriverError, TransientError
from sharectl.engine.answers import network_errors_translated
from sharectl.engine.environment import Environment
from sharectl.engine.recovery import recover
from sharectl.engine.tenure import Heartbeat
from sharectl.executors.base import Remains
from sharectl.model.canonical import canonical_json
from sharectl.model.events import OperationRecovered
from sharectl.model.records import BeginOperation, OperationRecord
from sharectl.model.verbs import Verb
from sharectl.network.base import (
    NetworkError,
    NetworkExhaustedError,
    NetworkTransientError,
    NetworkUnavailableError,
)
from sharectl.workspace import plans
from sharectl.workspace.run import describe_run, held_lease
from tests.engine.server_scenario import check_servers, leak_address, network, on, tenants
from tests.engine.site import Site

if TYPE_CHECKING:
    from pathlib import Path

SERVER = "share_server/red-default@tenants"
MANIFESTS = [network("red"), on("red", "a")]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return a repository with a share on a share server, applied."""
    found = Site(tmp_path / "r").write(tenants(), *MANIFESTS)
    assert found.apply().result.succeeded
    return found


def leave_open(site: Site, verb: Verb, address: str = SERVER, resource_id: str | None = None) -> None:
    """Leave an intent as a run does that dies in the middle; it is about the server of the state, unless another id is given."""
    server = site.records()[SERVER]
    operation = OperationRecord(
        operation_id=f"dead-{verb}",
        run_id="dead",
        address=address,
        verb=verb.value,
        resource_id=resource_id or server.resource_id,
        backend="tenants",
        pool=None,
        started_at="2026-01-01T00:00:00Z",
        payload=canonical_json({"spec": orjson.loads(server.spec)}),
    )
    with site.store() as store, held_lease(store, describe_run("dead", site.root, {})) as lease:
        store.commit(lease, [BeginOperation(operation)])


def outcomes(site: Site) -> list[str]:
    """Apply, and return how the open intents ended."""
    run = site.apply()
    assert run.result.succeeded, run.result
    assert site.plan().is_empty
    assert not site.view().operations
    check_servers(site)
    return [event.outcome for event in run.of(OperationRecovered)]


def test_a_second_server_at_the_same_address_is_removed(site: Site) -> None:
    """The state has one there already; nobody had a share on the other."""
    other = "second-id"
    allocations = '[{"allocation_id": "second-id/0", "ip_address": "10.0.1.9", "network_type": "vlan"}]'
    site.query(
        "tenants",
        "INSERT INTO share_servers(resource_id, name, share_network, allocations) VALUES (?, 'red-default', 'red', ?)",
        other,
        allocations,
    )
    leave_open(site, Verb.CREATE_SHARE_SERVER, resource_id=other)
    assert outcomes(site) == ["it was not made, and its addresses have been given back"]


@pytest.mark.parametrize("verb", [Verb.REPAIR_SHARE_SERVER, Verb.UPDATE_SHARE_SERVER])
def test_a_change_that_was_cut_short_is_finished(site: Site, verb: Verb) -> None:
    """Half of it may be done, and doing it again does no harm."""
    site.query("tenants", "UPDATE share_servers SET problem = 'half done'")
    leave_open(site, verb)
    assert outcomes(site) == ["it has been finished"]


def test_a_change_of_a_server_that_is_gone_is_left_to_the_next_plan(site: Site) -> None:
    """Which makes it again."""
    site.query("tenants", "DELETE FROM share_servers")
    leave_open(site, Verb.REPAIR_SHARE_SERVER)
    assert outcomes(site) == ["the share server is not there; the next plan shows it"]


def test_a_change_that_is_refused_is_left_to_the_next_plan(site: Site) -> None:
    """It stays as recorded."""
    leave_open(site, Verb.UPDATE_SHARE_SERVER)
    fault = "faults: [{call: update_share_server, effect: error, message: no such directory}],"
    site.write(tenants(config=fault), *MANIFESTS)
    assert outcomes(site) == ["it was not finished (no such directory); the next plan looks at it again"]


def test_a_change_that_nobody_answers_for_stays_open(site: Site) -> None:
    """Until somebody does; steps on that server are refused meanwhile."""
    leave_open(site, Verb.UPDATE_SHARE_SERVER)
    site.write(tenants(config="faults: [{call: update_share_server, effect: unavailable}],"), *MANIFESTS)
    site.apply()
    assert len(site.view().operations) == 1
    site.write(tenants(), *MANIFESTS)
    assert outcomes(site) == ["it has been finished"]


def test_a_removal_that_had_not_begun_leaves_everything(site: Site) -> None:
    """The server is there, and so it stays."""
    leave_open(site, Verb.DELETE_SHARE_SERVER)
    assert outcomes(site) == ["it had not been removed"]


def test_a_removal_whose_row_is_gone_has_nothing_left_to_do(site: Site) -> None:
    """Another run has recorded it."""
    leave_open(site, Verb.DELETE_SHARE_SERVER, resource_id="long-gone")
    assert outcomes(site) == ["it had been removed"]


def test_a_release_that_was_cut_short_is_done(site: Site) -> None:
    """Whether or not it was done already."""
    leak_address(site)
    leave_open(site, Verb.RELEASE_ALLOCATION, "network_allocation/ghost/0", "ghost/0")
    assert outcomes(site) == ["the address has been given back"]


def test_an_address_that_is_not_the_recorded_one_is_drift(site: Site) -> None:
    """Somebody has changed it on the backend."""
    site.query("tenants", "UPDATE share_servers SET allocations = replace(allocations, '10.0.1.2', '10.0.1.77')")
    (drift, other) = site.plan().drift
    assert [drift.address, other.address] == ["share/a", SERVER]
    assert other.summary == "answers on 10.0.1.77 instead of 10.0.1.2"
    assert outcomes(site) == []


def test_where_the_network_service_cannot_be_opened_nothing_is_begun(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither an intent nor a server is left behind, and the shares of the new server are skipped."""
    plan = site.write(tenants(), *MANIFESTS, network("blue", 2), on("blue", "b")).plan()

    def refuse(*_: object) -> None:
        message = "no credentials"
        raise DriverError(message)

    with monkeypatch.context() as patched:
        patched.setattr("sharectl.workspace.share_servers.NetworkServices.plugin", refuse)
        run = site.apply(plan=plan)
    assert [(failed.address, failed.error) for failed in run.result.failures] == [
        ("share_server/blue-default@tenants", "no credentials")
    ]
    assert not site.view().operations
    assert outcomes(site) == []


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (NetworkUnavailableError("x", 3.0), BackendUnavailableError),
        (NetworkTransientError("x", 3.0), TransientError),
        (NetworkExhaustedError("x"), DriverError),
        (NetworkError("x"), DriverError),
    ],
)
def test_what_a_network_service_says_is_told_as_a_driver_would(said: NetworkError, meant: type[DriverError]) -> None:
    """So that it is retried, and reported, in the same way."""
    with pytest.raises(DriverError) as caught, network_errors_translated():
        raise said
    assert type(caught.value) is meant
    assert str(caught.value) == "the network service: x"
    if isinstance(caught.value, TransientError):
        assert caught.value.retry_after_seconds == 3.0


def test_addresses_of_a_server_that_no_worker_began_to_make_are_given_back(site: Site) -> None:
    """The run had taken them by itself, before it offered anything."""
    leak_address(site)
    leave_open(site, Verb.CREATE_SHARE_SERVER, "share_server/blue-default@tenants", "ghost")
    remains = {f"dead-{Verb.CREATE_SHARE_SERVER}": Remains(has_begun=False)}
    record = describe_run("test", site.root, {})
    with site.store() as store, site.opened(store) as (backends, _), held_lease(store, record) as lease:
        backends.networks.attach(store, lease)
        recover(
            store,
            Heartbeat(store, lease),
            run=record,
            environment=Environment(driver=backends.driver, network=backends.networks.plugin),
            width=backends.width,
            timeout_seconds=backends.recovery_timeout_seconds,
            observer=lambda _: None,
            remains=remains,
        )
    assert not site.view().operations
    check_servers(site)


def test_the_address_of_a_server_that_another_run_is_just_making_is_nobody_elses(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan had read the state before that run began; the network service is asked afterwards, and has it."""
    leak_address(site)
    assert [step.verb for step in site.plan().steps] == [Verb.RELEASE_ALLOCATION]
    ask = plans.survey

    def asked_late(*arguments: Any) -> Any:  # noqa: ANN401 - as the survey itself
        leave_open(site, Verb.CREATE_SHARE_SERVER, "share_server/blue-default@tenants", "ghost")
        return ask(*arguments)

    monkeypatch.setattr(plans, "survey", asked_late)
    assert site.plan().steps == ()
