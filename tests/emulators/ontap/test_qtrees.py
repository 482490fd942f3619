"""Qtrees, quota rules, and quotas that are switched on and off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.emulators.ontap.access_records import Qtree
from tests.emulators.ontap.storage_calls import GIB, WAIT, rule

if TYPE_CHECKING:
    from tests.emulators.ontap.client import Got
    from tests.emulators.ontap.storage_calls import Storage

QTREES = "/storage/qtrees"
RULES = "/storage/quota/rules"


def _qtree(storage: Storage, **fields: Any) -> Got:  # noqa: ANN401 - JSON
    return storage.client.post(f"{QTREES}?{WAIT}", {"svm.name": "vs1", "volume.name": "v", "name": "q", **fields})


def _rule(storage: Storage, **fields: Any) -> Got:  # noqa: ANN401 - JSON
    body = {"svm.name": "vs1", "volume.name": "v", "type": "tree", "qtree.name": "q", "space.hard_limit": GIB, **fields}
    return storage.client.post(f"{RULES}?{WAIT}", body)


def test_a_qtree_is_known_by_its_volume_and_a_number(storage: Storage) -> None:
    """Number 0 is what of the volume is in no qtree, and always there."""
    storage.policy("p")
    uuid = storage.volume("v", **{"nas.security_style": "mixed"})
    got = _qtree(storage, export_policy={"name": "p"}, unix_permissions=700)
    shown = storage.client.get(got.headers["location"].removeprefix("/api")).body
    assert got.headers["location"].endswith(f"/{uuid}/1")
    assert (shown["name"], shown["nas"]["path"], shown["export_policy"]["name"]) == ("q", "/v/q", "p")
    assert (shown["unix_permissions"], shown["security_style"]) == (700, "mixed")
    listed = storage.client.get(f"{QTREES}?volume.name=v").records
    assert sorted((each["id"], each["name"]) for each in listed) == [(0, ""), (1, "q")]


_REFUSALS: dict[str, tuple[dict[str, Any], int]] = {
    "no name": ({"name": ""}, 5242953),
    "a taken name": ({}, 1),
    "a name with a slash": ({"name": "a/b"}, 262245),
    "no volume": ({"volume.name": None}, 918232),
    "a volume that there is not": ({"volume.name": "x"}, 917927),
    "no SVM": ({"svm.name": None}, 2621707),
    "no such policy by name": ({"name": "r", "export_policy": {"name": "x"}}, 1703954),
    "no such policy by id": ({"name": "r", "export_policy": {"id": 1}}, 5242952),
}


@pytest.mark.parametrize(("fields", "code"), _REFUSALS.values(), ids=_REFUSALS)
def test_a_wrong_qtree_is_refused(storage: Storage, fields: dict[str, Any], code: int) -> None:
    """Each mistake has the array's own code."""
    storage.volume("v")
    _qtree(storage)
    body = {"svm.name": "vs1", "volume.name": "v", "name": "q", **fields}
    got = storage.client.post(f"{QTREES}?{WAIT}", {name: value for name, value in body.items() if value is not None})
    assert got.code == code


def test_a_policy_that_a_qtree_has_is_in_use(storage: Storage) -> None:
    """Until the qtree has another."""
    policy = storage.policy("p")
    uuid = storage.volume("v")
    _qtree(storage, export_policy={"name": "p"})
    assert storage.client.delete(f"/protocols/nfs/export-policies/{policy}").code == 1703953
    storage.client.patch(f"{QTREES}/{uuid}/1?{WAIT}", {"export_policy.name": "default", "name": "r"})
    assert storage.client.delete(f"/protocols/nfs/export-policies/{policy}").status == 200
    assert storage.client.get(f"{QTREES}/{uuid}/1").body["name"] == "r"


def test_deleting_a_qtree_takes_minutes(storage: Storage) -> None:
    """It is there until its files are gone; at most some are deleted at once; number 0 cannot be."""
    uuid = storage.volume("v")
    _qtree(storage)
    client = storage.client
    assert client.delete(f"{QTREES}/{uuid}/0").code == 5242894
    assert client.delete(f"{QTREES}/{uuid}/1?{WAIT}").status == 202
    assert client.get(f"{QTREES}/{uuid}/1").status == 200
    for number in range(2, 18):
        client.emulator.world[Qtree].put(
            Qtree(uuid=uuid, id=number, name=str(number), security_style="unix", unix_permissions=755)
        )
    codes = [client.delete(f"{QTREES}/{uuid}/{number}").code for number in range(2, 18)]
    assert codes == [None] * 15 + [5242925]
    client.emulator.world.pass_time(300)
    assert client.get(f"{QTREES}/{uuid}/1").code == 4


def test_quotas_are_on_once_all_was_scanned(storage: Storage) -> None:
    """Not without a rule; `quota.enabled` is only written, the state says what is."""
    uuid = storage.volume("v")
    _qtree(storage)
    assert storage.change(uuid, quota__enabled=True).code == 917536
    _rule(storage)
    assert storage.change(uuid, quota__enabled=True).status == 200
    assert storage.show(uuid, "quota")["quota"] == {"state": "initializing"}
    storage.client.emulator.world.pass_time(10)
    assert storage.show(uuid, "quota.state")["quota"] == {"state": "on"}


def test_usage_is_reported_while_quotas_are_on(storage: Storage) -> None:
    """With numbers that a double cannot hold; a limit may be lowered below it."""
    uuid = storage.volume("v", size=4 * GIB)
    _qtree(storage)
    got = _rule(storage)
    storage.client.emulator.world[Qtree].change((uuid, 1), data=GIB // 2)
    assert storage.client.get("/storage/quota/reports").records == []
    storage.change(uuid, quota__enabled=True)
    storage.client.emulator.world.pass_time(10)
    report = storage.client.get("/storage/quota/reports?qtree.name=q&fields=*").records[0]
    assert report["index"] > 2**53
    assert report["space"] == {"hard_limit": GIB, "used": {"total": GIB // 2, "hard_limit_percent": 50}}
    path = got.headers["location"].removeprefix("/api")
    assert storage.client.patch(f"{path}?{WAIT}", {"space.hard_limit": GIB // 4}).status == 200


def test_a_rule_that_comes_during_a_scan_is_made_but_not_in_force(storage: Storage) -> None:
    """The code says so; quotas are switched off and on to mend it."""
    uuid = storage.volume("v")
    for name in ("q", "r"):
        _qtree(storage, name=name)
    _rule(storage)
    world = storage.client.emulator.world
    storage.change(uuid, quota__enabled=True)
    assert _rule(storage, **{"qtree.name": "r"}).code == 5308571
    assert len(storage.client.get(RULES).records) == 2
    world.pass_time(10)
    assert [each["qtree"]["name"] for each in storage.client.get("/storage/quota/reports?fields=qtree").records] == [
        "q"
    ]
    storage.change(uuid, quota__enabled=False)
    storage.change(uuid, quota__enabled=True)
    world.pass_time(10)
    assert len(storage.client.get("/storage/quota/reports").records) == 2


_RULE_REFUSALS: dict[str, tuple[dict[str, Any], int]] = {
    "a second rule for the qtree": ({}, 1),
    "no such qtree": ({"qtree.name": "x"}, 5242927),
    "a soft limit above the hard one": ({"qtree.name": "", "space.soft_limit": 2 * GIB}, 262197),
    "no volume": ({"volume.name": "x"}, 917927),
    "a type that there is not": ({"type": "volume"}, 262197),
}


@pytest.mark.parametrize(("fields", "code"), _RULE_REFUSALS.values(), ids=_RULE_REFUSALS)
def test_a_wrong_quota_rule_is_refused(storage: Storage, fields: dict[str, Any], code: int) -> None:
    """Each mistake has the array's own code."""
    storage.volume("v")
    _qtree(storage)
    _rule(storage)
    assert _rule(storage, **fields).code == code


def test_a_qtree_takes_its_rule_along(storage: Storage) -> None:
    """And what a deleted volume had is seen no more."""
    uuid = storage.volume("v")
    _qtree(storage)
    _rule(storage)
    storage.client.delete(f"{QTREES}/{uuid}/1")
    storage.client.emulator.world.pass_time(300)
    assert storage.client.get(RULES).records == []
    _qtree(storage)
    storage.delete(uuid)
    assert storage.client.get(f"{QTREES}?volume.name=v").records == []


def test_the_oracle_knows_the_policy_of_a_qtree(storage: Storage) -> None:
    """A client must be let in by the volume's policy, and by the qtree's."""
    storage.policy("p", rule("10.0.0.0/24"))
    storage.policy("q", rule("10.0.0.1"))
    storage.volume("v", **{"nas.export_policy.name": "p"})
    _qtree(storage, export_policy={"name": "q"})
    watching = storage.client.emulator.oracle
    assert [watching.may(client, "v/q") for client in ("10.0.0.1", "10.0.0.2", "10.1.0.1")] == [True, False, False]
    assert watching.may("10.0.0.2", "v")
