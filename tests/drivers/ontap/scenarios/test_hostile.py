"""What others write on the array, and what must never be told: comments that look like ours, and credentials."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.testing import new_id, ref

from .ground import rule

if TYPE_CHECKING:
    from tests.cli.console import Console

    from .ground import Ground

CLIENT = rule("10.0.0.0/24")
NEAR = (
    "{id}0",
    "{id}\r\n",
    " {id}",
    "{id}|*",
    "{id} name=a\r\nX-Evil: 1",
    "{id} name",
    "{id};",
    "*",
    "!{id}",
    '{id} "x"',
)
"""Comments that begin as those of sharectl do, or nearly."""


@pytest.mark.parametrize("text", NEAR)
def test_a_comment_that_is_nearly_ours_makes_no_share(ground: Ground, text: str) -> None:
    """It is a volume of somebody else's, whatever is looked for, and is taken over with its words."""
    share = ground.share(CLIENT)
    comment = f"sharectl:{text.format(id=share.resource_id)}"
    body = {"svm": {"name": "vs1"}, "name": "theirs", "aggregates": [{"name": "aggr1"}], "size": 1 << 30}
    ground.send("POST", "/storage/volumes", {**body, "comment": comment, "nas": {"path": "/theirs"}})
    driver = ground.fresh()
    assert [each.backend_id for each in driver.list_shares([share.resource_id])] == ["projects"]
    driver.extend_share(share, 2 << 30)
    driver.delete_share(share)
    theirs = ground.volumes()["theirs"]
    assert (set(ground.volumes()), theirs.comment, theirs.path) == ({"theirs"}, comment, "/theirs")
    (seen,) = driver.list_shares()
    assert seen.resource_id != share.resource_id


def test_a_comment_of_any_characters_is_kept_behind_ours(ground: Ground) -> None:
    """And comes back whole whenever ours is changed."""
    words = 'it\'s "ours"; *|!{x}\r\nname=a sharectl:b \t é %25'
    body = {"svm": {"name": "vs1"}, "name": "theirs", "aggregates": [{"name": "aggr1"}], "size": 1 << 30}
    ground.send("POST", "/storage/volumes", {**body, "comment": words, "nas": {"path": "/theirs"}})
    resource_id = new_id()
    taken = ref(ground.driver.adopt_share("theirs", resource_id, None))
    ground.driver.update_access(taken, [CLIENT], [CLIENT], [])
    driver = ground.fresh()
    driver.trash_share(taken)
    driver.restore_share(resource_id)
    assert ground.volumes()["theirs"].comment.partition("; ")[2] == words
    assert [each.resource_id for each in driver.list_shares()] == [resource_id]


FAULTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("refuse", {"code": 6691623}),
    ("refuse", {"code": 6, "message": "not authorized"}),
    ("refuse", {"code": 917505, "message": "no\r\nsuch thing"}),
    ("cut", {"where": "before"}),
    ("cut", {"where": "middle"}),
    ("unavailable", {"status": 503, "json": False, "retry_after": 0}),
)
SHARE = """apiVersion: sharectl/v1
kind: Share
metadata: {name: projects}
spec: {size: 1GiB, protocol: NFS, access: [{type: ip, to: 10.0.0.0/24, level: rw}]}
"""


def test_no_command_tells_the_password(ground: Ground, console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong, neither on the terminal, nor in the state, a saved plan or a log, also where everything is told."""
    password = ground.emulator.login.password
    monkeypatch.setenv("SHARECTL_DEBUG", "1")
    console.write("share.yaml", SHARE)
    told = []
    commands = (("GET", ("plan", "--out", "saved.json")), ("POST", ("apply", "--yes")))
    for kind, values in FAULTS:
        for method, command in commands:
            ground.emulator.faults.clear()
            ground.emulator.fault(kind, method, "/storage/volumes", times=3, **values)
            ended = console(*command)
            told.append(ended.out + ended.err)
    assert sum("127.0.0.1" in each for each in told) >= 3
    ground.emulator.faults.clear()
    assert console("apply", "--yes").code == 0
    written = [path.read_bytes() for path in console.root.rglob("*") if path.is_file()]
    said = [each.encode() for each in told]
    pair = base64.b64encode(f"admin:{password}".encode())
    for secret in (password.encode(), pair, base64.b64encode(password.encode())):
        assert not [each for each in (*said, *written) if secret in each]
