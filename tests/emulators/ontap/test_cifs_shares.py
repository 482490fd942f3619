"""CIFS shares: their names and paths, who may use them, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.emulators.ontap.oracle import STRANGER
from tests.emulators.ontap.svm_records import CifsService, Svm

if TYPE_CHECKING:
    from tests.emulators.ontap.client import Client
    from tests.emulators.ontap.storage_calls import Storage

PATH = "/protocols/cifs/shares"
BOB = {"user_or_group": "EXAMPLE\\bob", "type": "windows", "permission": "read"}


def _share(client: Client, **fields: Any) -> Any:  # noqa: ANN401 - an answer
    return client.post(PATH, {"svm.name": "vs1", "name": "team", "path": "/v", "acls": [BOB]} | fields)


def _acls(client: Client, name: str = "team") -> str:
    return f"{PATH}/{client.emulator.world[Svm].where(name='vs1')[0].uuid}/{name}/acls"


def _entries(client: Client, name: str = "team") -> dict[str, str]:
    shown = client.get(f"{PATH}?svm.name=vs1&name={name}&fields=acls").records[0].get("acls", [])
    return {each["user_or_group"]: each["permission"] for each in shown}


def test_a_share_has_the_list_that_it_is_made_with(storage: Storage) -> None:
    """Accounts come back as the directory spells them, with the volume behind the path."""
    uuid = storage.volume("v")
    got = _share(storage.client, acls=[{**BOB, "user_or_group": "example\\BOB"}])
    shown = storage.client.get(f"{PATH}?name=team&fields=*").records[0]
    assert (got.status, _entries(storage.client)) == (201, {"EXAMPLE\\bob": "read"})
    assert (shown["path"], shown["volume"], shown["oplocks"]) == ("/v", {"uuid": uuid, "name": "v"}, True)


def test_a_share_without_a_list_is_open(storage: Storage) -> None:
    """Everyone has full control until that is taken away, and the oracle has seen it."""
    storage.volume("v")
    since = storage.client.emulator.oracle.now()
    storage.client.post(PATH, {"svm.name": "vs1", "name": "team", "path": "/v"})
    assert _entries(storage.client) == {"Everyone": "full_control"}
    storage.client.delete(f"{_acls(storage.client)}/Everyone/windows")
    found = storage.client.emulator.oracle.check_cifs_between(("vs1", "team"), {}, {}, since)
    assert {(each.kind, each.who) for each in found} == {("surplus", STRANGER)}


def test_the_shares_of_every_server_are_listed(storage: Storage) -> None:
    """They can be neither changed nor removed."""
    names = [each["name"] for each in storage.client.get(PATH).records]
    assert sorted(names) == ["admin$", "c$", "ipc$"]
    share = _acls(storage.client, "c%24").removesuffix("/acls")
    assert storage.client.delete(share).code == 655393
    assert storage.client.patch(share, {"comment": "ours"}).code == 656424


_REFUSALS: dict[str, tuple[dict[str, Any], int]] = {
    "no such path": ({"path": "/none"}, 655551),
    "a directory that there is not": ({"path": "/v/none"}, 655551),
    "a path that is not absolute": ({"path": "v"}, 656423),
    "an administrative name": ({"name": "C$"}, 656424),
    "a name of 81 characters": ({"name": "a" * 81}, 655577),
    "a name with a slash": ({"name": "a/b"}, 656426),
    "a name with a star": ({"name": "a*"}, 656426),
    "a taken name in other letters": ({"name": "TAKEN"}, 1),
    "an account that nobody knows": ({"acls": [{**BOB, "user_or_group": "EXAMPLE\\mallory"}]}, 655446),
    "an account twice": ({"acls": [BOB, {**BOB, "permission": "change"}]}, 1),
    "an entry without a permission": ({"acls": [{"user_or_group": "EXAMPLE\\bob"}]}, 262212),
    "no path": ({"path": ""}, 262197),
}


@pytest.mark.parametrize(("fields", "code"), _REFUSALS.values(), ids=_REFUSALS)
def test_a_wrong_share_is_refused(storage: Storage, fields: dict[str, Any], code: int) -> None:
    """Each mistake has the array's own code, and no share is left of it."""
    storage.volume("v")
    _share(storage.client, name="taken")
    got = _share(storage.client, **fields)
    names = {each["name"] for each in storage.client.get(PATH).records}
    assert (got.code, names) == (code, {"admin$", "c$", "ipc$", "taken"})


def test_without_a_server_there_are_no_shares(storage: Storage) -> None:
    """The SVM needs a CIFS server first."""
    storage.volume("v")
    world = storage.client.emulator.world
    world[CifsService].remove(world[Svm].where(name="vs1")[0].uuid)
    assert _share(storage.client).code == 655399


def test_entries_are_added_changed_and_taken_away(storage: Storage) -> None:
    """One at a time; the account stands in the address, with its backslash encoded."""
    client = storage.client
    storage.volume("v")
    _share(client)
    acls, bob = _acls(client), quote("example\\BOB", safe="")
    assert client.post(acls, {"user_or_group": "EXAMPLE\\team", "permission": "change"}).status == 201
    assert client.post(acls, BOB).code == 1
    assert client.post(acls, {**BOB, "user_or_group": "EXAMPLE\\mallory"}).code == 655446
    assert client.patch(f"{acls}/{bob}/windows", {"permission": "full_control"}).status == 200
    assert _entries(client) == {"EXAMPLE\\bob": "full_control", "EXAMPLE\\team": "change"}
    assert client.delete(f"{acls}/{bob}/windows").status == 200
    assert client.delete(f"{acls}/{bob}/windows").code in {4, 655516}
    assert _entries(client) == {"EXAMPLE\\team": "change"}


def test_a_list_is_not_changed_with_its_share(storage: Storage) -> None:
    """PATCH of a share takes everything but `acls` and its name."""
    storage.volume("v")
    _share(storage.client)
    share = _acls(storage.client).removesuffix("/acls")
    assert storage.client.patch(share, {"acls": [BOB]}).code == 262196
    assert storage.client.patch(share, {"comment": "ours", "path": "/"}).status == 200
    assert storage.client.get(f"{PATH}?name=team&fields=comment,path").records[0]["comment"] == "ours"


def test_a_share_outlives_the_mount_of_its_volume(storage: Storage) -> None:
    """It then leads nowhere."""
    uuid = storage.volume("v")
    _share(storage.client)
    storage.change(uuid, nas__path="")
    shown = storage.client.get(f"{PATH}?name=team&fields=volume,path").records[0]
    assert (shown["path"], "volume" in shown) == ("/v", False)
