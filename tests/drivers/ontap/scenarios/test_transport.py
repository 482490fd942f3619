"""Releases, logins, listings that are cut, arrays that are busy, answers that are lost, and jobs."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
import trustme

from sharectl.drivers.base import (
    BackendUnavailableError,
    ConflictError,
    DriverEnvironment,
    DriverError,
    PoolError,
    ShareInUseError,
    TransientError,
)
from sharectl.drivers.ontap import FACTORY
from sharectl.drivers.testing import new_id, ref, snapshot_ref
from sharectl.model.backends import BackendSpec
from tests.drivers.ontap.arrays import config_of, open_driver
from tests.emulators.ontap.logins import Account
from tests.emulators.ontap.server import serving

from .ground import Ground, request, rule

if TYPE_CHECKING:
    from pathlib import Path

    from sharectl.drivers.ontap.driver import OntapDriver

CLIENTS = (rule("10.0.0.0/24"), rule("10.0.0.9", "ro"))
UNKNOWN_FIELDS = ("262179", "262197", "262196")


@pytest.mark.parametrize("version", ["9.12.1", "9.14.1", "9.19.1"])
def test_each_release_is_asked_for_what_it_knows(tmp_path: Path, version: str) -> None:
    """The life of a share, without a field that the release does not have."""
    with serving(tmp_path, version=version) as emulator:
        driver = open_driver(emulator)
        driver.prepare()
        ground = Ground(emulator, driver)
        share = ground.share(*CLIENTS)
        driver.update_access(share, CLIENTS[:1], [], CLIENTS[1:])
        driver.extend_share(share, 2 << 30)
        assert driver.report().identity
        assert driver.pools()
        assert ground.listed().access == CLIENTS[:1]
        driver.trash_share(share)
        driver.restore_share(share.resource_id)
        ground.is_tidy(shares=1, with_access=0)
        driver.delete_share(share)
        driver.close()
        assert not set(UNKNOWN_FIELDS) & set(emulator.calls.codes())


def test_an_older_release_is_refused_after_one_question(tmp_path: Path) -> None:
    """By its number."""
    with serving(tmp_path, version="9.11.1") as emulator:
        driver = open_driver(emulator)
        for _ in range(2):
            with pytest.raises(DriverError, match=r"runs ONTAP 9\.11\.1"):
                driver.list_shares()
        driver.close()
        assert set(emulator.calls.counted()) == {"GET /cluster"}


def test_an_expired_certificate_is_refused_before_anything_is_said(tmp_path: Path) -> None:
    """As is one of another authority."""
    from datetime import UTC, datetime  # noqa: PLC0415 - of this test alone

    authority = trustme.CA()
    expired = authority.issue_cert("127.0.0.1", not_after=datetime(2020, 1, 1, tzinfo=UTC))
    with serving(tmp_path, ca=authority, certificate=expired) as emulator:
        driver = open_driver(emulator)
        with pytest.raises(DriverError, match="certificate is not trusted, and nothing was sent"):
            driver.list_shares()
        driver.close()
        assert len(emulator.calls) == 0


@pytest.mark.parametrize("name", ["sharectl", "stranger"])
def test_a_certificate_is_a_login_without_a_password(ground: Ground, tmp_path: Path, name: str) -> None:
    """The array knows the account by the name in it; of an account that may not, one question is asked."""
    leaf = ground.emulator.ca.issue_cert("client", common_name=name)
    leaf.cert_chain_pems[0].write_to_path(str(tmp_path / "own.pem"))
    world = ground.emulator.world
    (account,) = [each for each in world[Account] if each.name == "sharectl"]
    with world.lock:
        world[Account].change(account.key, methods=("certificate",))
    config = config_of(ground.emulator, smb={})
    for key in ("user", "password"):
        del config[key]
    certificate = {"certificate": str(tmp_path / "own.pem"), "key": {"env": "KEY"}}
    spec = BackendSpec("filer", "ontap", {**config, "clientCertificate": certificate})
    key = leaf.private_key_pem.bytes().decode()
    driver = cast("OntapDriver", FACTORY.open(spec, DriverEnvironment("/", lambda _reference: key)))
    ground.forget_calls()
    if name == "sharectl":
        ground.driver = driver
        share = ground.share(*CLIENTS)
        assert set(ground.listed().access) == set(CLIENTS)
        driver.delete_share(share)
        ground.is_tidy(shares=0, with_access=0)
    else:
        for _ in range(3):
            with pytest.raises(DriverError, match="does not let") as refused:
                driver.list_shares()
            assert "PRIVATE" not in str(refused.value)
        assert len(ground.emulator.calls) == 1
        driver.close()


@pytest.mark.parametrize("status", [400, 500])
def test_the_status_of_a_refusal_decides_nothing(ground: Ground, status: int) -> None:
    """Arrays give many codes with one or the other: what is refused is known by the code, to the end of a share's life."""
    ground.emulator.world.settings.unmapped_status = status
    share = ground.share(*CLIENTS)
    other = ref(ground.driver.create_share(request()))
    with pytest.raises(ShareInUseError):
        ground.driver.shrink_share(share, 4 << 20)
    taken = ground.driver.create_snapshot(share, new_id(), "monday")
    with pytest.raises(ConflictError, match="monday"):
        ground.driver.create_snapshot(share, new_id(), "monday")
    snapshot = snapshot_ref(taken, ground.driver.list_shares([share.resource_id])[0])
    clone = ref(ground.driver.create_share(replace(request("copy"), snapshot=snapshot)))
    with pytest.raises(ShareInUseError, match="clone"):
        ground.driver.delete_snapshot(snapshot)
    with pytest.raises(ShareInUseError, match="clone"):
        ground.driver.delete_share(share)
    with pytest.raises(PoolError):
        ground.driver.create_share(request("elsewhere", pool="aggr9"))
    for each in (clone, other):
        ground.driver.delete_share(each)
    for _ in range(2):
        ground.driver.delete_snapshot(snapshot)
        ground.driver.delete_share(share)
    ground.is_tidy(shares=0, with_access=0)


def test_a_path_that_the_role_lacks_is_named(ground: Ground) -> None:
    """With the account, and nothing else is taken for it."""
    ground.emulator.change("deny_path", account="sharectl", path="/api/storage/volumes", access="readonly")
    driver = ground.fresh("sharectl")
    with pytest.raises(DriverError, match=r"'sharectl' may not POST /api/storage/volumes, which its role has to allow"):
        driver.create_share(request())
    ground.fresh()
    ground.is_tidy(shares=0, with_access=0)


CUT_LISTINGS: tuple[tuple[str, dict[str, Any], bool], ...] = (
    ("page_short", {"times": 1}, True),
    ("page_short", {"times": 2, "records": 1}, True),
    ("unavailable", {"times": 1, "status": 503, "skip": 1}, False),
    ("unavailable", {"times": 1, "status": 503, "json": False}, False),
    ("cut", {"times": 1, "where": "middle"}, True),
    ("cut", {"times": 1, "where": "headers"}, True),
    ("page_mixed", {"times": 2}, True),
    ("page_mixed", {}, False),
    ("close_kept", {"times": 2}, True),
    ("change", {"times": 1, "skip": 1, "name": "node_down", "node": "n2"}, True),
)


@pytest.mark.parametrize(("kind", "values", "is_whole"), CUT_LISTINGS)
@pytest.mark.parametrize("path", ["/storage/volumes", "/protocols/nfs/export-policies"])
def test_a_listing_is_whole_or_none(
    ground: Ground,
    kind: str,
    values: dict[str, Any],
    is_whole: bool,  # noqa: FBT001 - a parameter of the case
    path: str,
) -> None:
    """Never a shorter one, by which shares would be made again or access be taken for gone."""
    for number in range(4):
        ground.share(CLIENTS[number % 2], name=f"share-{number}")
    whole = sorted(ground.driver.list_shares())
    if values.get("skip") or kind == "page_mixed":
        ground.emulator.fault("page_short", "GET", path, times=1, records=1)
    ground.emulator.fault(kind, "GET", path, **values)
    try:
        assert sorted(ground.driver.list_shares()) == whole
    except BackendUnavailableError:
        assert not is_whole


def test_an_array_that_asks_for_a_pause_is_left_alone(ground: Ground) -> None:
    """Whoever asks meanwhile is told how long; nothing is sent, and no lane waits."""
    share = ground.share()
    ground.emulator.fault("unavailable", "PATCH", "*", times=1, status=429, retry_after=7)
    with pytest.raises(TransientError) as busy:
        ground.driver.update_access(share, CLIENTS, CLIENTS, [])
    assert busy.value.retry_after_seconds == 7
    ground.forget_calls()
    for call in (ground.driver.list_shares, ground.driver.report, lambda: ground.driver.delete_share(share)):
        with pytest.raises(TransientError) as waiting:
            call()
        assert 0 < (waiting.value.retry_after_seconds or 0) <= 7
    assert len(ground.emulator.calls) == 0
    ground.fresh()
    ground.repair(share, CLIENTS)
    ground.is_tidy(shares=1, with_access=1)


def test_many_lanes_share_few_connections(ground: Ground) -> None:
    """Thirty at once, no more requests than the backend allows."""
    driver = ground.fresh(requestsAtOnce=4)
    driver.prepare()
    errors: list[BaseException] = []

    def make(number: int) -> None:
        try:
            driver.create_share(request(f"share-{number}"))
        except BaseException as problem:  # noqa: BLE001 - told below
            errors.append(problem)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert driver._array._pool is not None
    assert driver._array._pool.num_connections <= 4
    ground.is_tidy(shares=30, with_access=0)


LOST: tuple[tuple[str, str], ...] = (
    ("POST", "/storage/volumes"),
    ("PATCH", "/storage/volumes/*"),
    ("POST", "/protocols/nfs/export-policies"),
)


@pytest.mark.parametrize(("method", "path"), LOST)
@pytest.mark.parametrize("where", ["before", "head", "headers", "middle"])
def test_an_answer_that_is_lost_makes_nothing_twice(ground: Ground, method: str, path: str, where: str) -> None:
    """What was done is found by its comment or its name."""
    wanted = request()
    ground.emulator.fault("cut", method, path, where=where, done=True, times=1)
    try:
        share = ref(ground.driver.create_share(wanted))
        ground.driver.update_access(share, CLIENTS, CLIENTS, [])
    except TransientError:
        driver = ground.fresh()
        share = ref(driver.create_share(wanted))
        driver.update_access(share, CLIENTS, CLIENTS, [])
    assert set(ground.listed().access) == set(CLIENTS)
    ground.is_tidy(shares=1, with_access=1)


@pytest.mark.parametrize("done", [True, False])
def test_a_creation_whose_job_fails_is_looked_at(ground: Ground, done: bool) -> None:  # noqa: FBT001 - a parameter of the case
    """The volume may be there all the same, and is found; if not, another pool may be tried."""
    wanted = request()
    ground.emulator.fault(
        "job_fails", "POST", "/storage/volumes", times=1, code=460770, message="it went wrong", done=done
    )
    with pytest.raises(DriverError):
        ground.driver.create_share(wanted)
    ground.fresh().create_share(wanted)
    ground.is_tidy(shares=1, with_access=0)


def test_a_job_whose_record_is_gone_is_not_one_that_failed(ground: Ground) -> None:
    """The volume is asked instead."""
    ground.emulator.fault("job_runs", "POST", "/storage/volumes", times=1, seconds=20)
    ground.emulator.fault("job_gone", "POST", "/storage/volumes", times=1)
    wanted = request()
    try:
        ground.driver.create_share(wanted)
    except TransientError:
        ground.driver.create_share(wanted)
    ground.is_tidy(shares=1, with_access=0)


def test_a_job_that_takes_longer_than_anybody_waits_makes_one_volume(ground: Ground) -> None:
    """The step is tried again, by another process even, and goes on from the volume that has come meanwhile."""
    driver = ground.fresh(operationTimeout=5)
    driver.prepare()
    wanted = request()
    ground.emulator.fault("job_runs", "POST", "/storage/volumes", times=1, seconds=200)
    for _ in range(3):
        try:
            made = driver.create_share(wanted)
        except TransientError:
            ground.emulator.world.pass_time(200)
            driver = ground.fresh(operationTimeout=5)
        else:
            break
    assert made.resource_id == wanted.resource_id
    ground.is_tidy(shares=1, with_access=0)


def test_a_volume_that_is_not_shown_yet_is_not_made_again(ground: Ground) -> None:
    """Arrays show new objects late; the name tells that one is there."""
    ground.emulator.world.settings.hidden_after_post_seconds = 30.0
    wanted = request()
    ground.emulator.fault("cut", "POST", "/storage/volumes", where="before", done=True, times=1)
    for _ in range(4):
        try:
            ground.driver.create_share(wanted)
        except TransientError:
            ground.emulator.world.pass_time(20)
        else:
            break
    ground.emulator.world.settings.hidden_after_post_seconds = 0.0
    ground.emulator.world.pass_time(60)
    assert ground.listed().resource_id == wanted.resource_id
    ground.is_tidy(shares=1, with_access=0)


def test_a_hostile_name_reaches_no_path_and_no_query(ground: Ground) -> None:
    """It is refused before the array is asked for anything to be made."""
    for name in ("*", "a|b", "..", "!x", "a/b"):
        with pytest.raises(DriverError):
            ground.driver.create_share(replace(request(), name=name))
    assert not any(call.startswith("POST") for call in ground.calls())
