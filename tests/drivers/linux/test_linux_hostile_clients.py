"""A user of a client that a rule lets in, who wants to be somebody else: what the server believes by default, and what a setting makes it believe."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.drivers.linux.backends import PASSWORDS
from tests.drivers.linux.nfs_client import nfs
from tests.drivers.linux.operations_lab import ALICE, ANYBODY, ref
from tests.drivers.linux.smb_client import has_to_sign, smb
from tests.drivers.linux.smb_client import listed as listed_shares

if TYPE_CHECKING:
    from sharectl.drivers.linux.driver import LinuxDriver
    from sharectl.model.observed import ObservedShare
    from tests.drivers.linux.operations_lab import OperationsLab

USER = 4711
"""A user of the client without rights."""

VERSIONS = ["4.0", "4.1", "4.2"]
"""libnfs speaks 4.0."""


def opened(lab: OperationsLab, **settings: object) -> LinuxDriver:
    """Open the backend with settings of its NFS server."""
    driver = lab.open(nfs={"versions": VERSIONS, **settings})
    driver.prepare()
    return driver


def shared(lab: OperationsLab, driver: LinuxDriver, **changes: object) -> ObservedShare:
    """Make a share that all clients may write to."""
    share = driver.create_share(lab.request("data", **changes))
    statuses = driver.update_access(ref(share), [ANYBODY], [ANYBODY], [])
    assert statuses[ANYBODY].status == "active"
    return share


def test_an_ordinary_user_of_a_client_does_not_speak_for_it(own_backend: OperationsLab) -> None:
    """Who has no port below 1024 is none of the client's kernel, and may claim to be anybody: it is not let in at all."""
    share = shared(own_backend, opened(own_backend))
    client, server = own_backend.network.client, own_backend.host.ipv4
    for claims in (0, USER, 1000):
        assert not nfs(client, server, "/shares/data", "ls", user=(USER, claims)).is_done
        assert not nfs(client, server, "/shares/data", "put", "stolen", "x", user=(USER, claims)).is_done
    assert nfs(client, server, "/shares/data", "put", "file", "content", user=(0, 1000)).is_done
    assert [path.name for path in own_backend.volume(share).iterdir()] == ["file"]


def test_root_of_a_client_is_nobody_in_a_share(own_backend: OperationsLab) -> None:
    """It reads no file of root's, and makes none."""
    share = shared(own_backend, opened(own_backend))
    client, server = own_backend.network.client, own_backend.host.ipv4
    secret = own_backend.volume(share) / "secret"
    secret.write_text("of root", encoding="ascii")
    secret.chmod(0o600)
    assert "NFS4ERR_ACCESS" in nfs(client, server, "/shares/data", "cat", "secret").text
    assert nfs(client, server, "/shares/data", "put", "file", "x").is_done
    assert (own_backend.volume(share) / "file").stat().st_uid == 65534


def test_a_setting_lets_any_port_in(own_backend: OperationsLab) -> None:
    """`nfs.insecure`, for clients such as those of macOS; who root is, is another setting."""
    share = shared(own_backend, opened(own_backend, insecure=True))
    client, server = own_backend.network.client, own_backend.host.ipv4
    assert nfs(client, server, "/shares/data", "put", "mine", "x", user=(USER, 1000)).is_done
    assert nfs(client, server, "/shares/data", "put", "roots", "x", user=(USER, 0)).is_done
    owners = {path.name: path.stat().st_uid for path in own_backend.volume(share).iterdir()}
    assert owners == {"mine": 1000, "roots": 65534}


@pytest.mark.parametrize(
    ("specs", "is_in"), [({"linux:nfs_insecure": "true"}, True), ({"linux:nfs_insecure": "False"}, False)]
)
def test_a_share_type_says_so_for_its_shares(own_backend: OperationsLab, specs: dict[str, str], is_in: bool) -> None:  # noqa: FBT001 - a case of the test
    """In place of the backend, whatever that says."""
    shared(own_backend, opened(own_backend, insecure=not is_in), extra_specs=specs)
    answer = nfs(own_backend.network.client, own_backend.host.ipv4, "/shares/data", "ls", user=(USER, 0))
    assert answer.is_done is is_in


def test_nobody_is_who_the_settings_say(own_backend: OperationsLab) -> None:
    """Squashed users become the user and the group of `nfs.anonymous`."""
    share = shared(own_backend, opened(own_backend, squash="all", anonymous={"uid": 5000, "gid": 5001}))
    assert nfs(
        own_backend.network.client, own_backend.host.ipv4, "/shares/data", "put", "file", "x", user=(0, 1000)
    ).is_done
    status = (own_backend.volume(share) / "file").stat()
    assert (status.st_uid, status.st_gid) == (5000, 5001)


def test_each_setting_reaches_an_export_that_exists(own_backend: OperationsLab) -> None:
    """It is listed with what holds until then, and what is asked for then is in force at once, for clients that have it mounted too."""
    client, server = own_backend.network.client, own_backend.host.ipv4
    share = shared(own_backend, opened(own_backend, insecure=True, squash="none"))
    assert nfs(client, server, "/shares/data", "ls", user=(USER, 0)).is_done
    (listed,) = opened(own_backend).list_shares([str(share.resource_id)])
    settings = dict(listed.export_settings or ())
    assert (settings["insecure"], settings["squash"], settings["anonymous"]) == ("true", "none", "65534:65534")
    driver = opened(own_backend)
    wanted = {"insecure": "false", "squash": "root", "anonymous": "5000:5000", "security": "sys"}
    driver.update_access(replace(ref(share), export_settings=wanted), [ANYBODY], [], [])
    assert not nfs(client, server, "/shares/data", "ls", user=(USER, 0)).is_done
    assert nfs(client, server, "/shares/data", "put", "file", "x").is_done
    assert (own_backend.volume(share) / "file").stat().st_uid == 5000
    (listed,) = driver.list_shares([str(share.resource_id)])
    assert wanted.items() <= dict(listed.export_settings or ()).items()


def test_shares_are_listed_where_a_setting_says_so(own_backend: OperationsLab) -> None:
    """To those who may use them; the setting is told with the shares, and comes to a server that runs."""
    users = {name: {"password": {"env": name.upper()}} for name in ("alice", "bob")}
    driver = own_backend.open(smb={"users": users})
    driver.prepare()
    share = driver.create_share(own_backend.request("office", "CIFS"))
    driver.update_access(ref(share), [ALICE], [], [])
    client, server = own_backend.network.client, own_backend.host.ipv4
    assert listed_shares(client, server, "alice", PASSWORDS["ALICE"]) is None
    driver = own_backend.open(smb={"users": users, "browsing": True})
    (listed,) = driver.list_shares()
    assert listed.access == ()
    driver.update_access(ref(share), [ALICE], [], [])
    (listed,) = driver.list_shares()
    assert ("browsing", "true") in (listed.export_settings or ())
    assert listed_shares(client, server, "alice", PASSWORDS["ALICE"]) == {"office"}
    assert not listed_shares(client, server, "bob", PASSWORDS["BOB"])


NEVER_ENCRYPTS = ("--max-protocol=SMB2_10",)
"""A client of a time before encryption."""

ENCRYPTS = ("--client-protection=encrypt",)


@pytest.mark.parametrize(
    ("settings", "signs", "let_in"),
    [
        ({}, True, [NEVER_ENCRYPTS, ENCRYPTS]),
        ({"signing": "optional"}, False, [NEVER_ENCRYPTS, ENCRYPTS]),
        ({"encryption": "required"}, True, [ENCRYPTS]),
        ({"encryption": "off"}, True, [NEVER_ENCRYPTS]),
    ],
)
def test_smb_clients_sign_and_encrypt_as_the_settings_say(
    own_backend: OperationsLab,
    settings: dict[str, str],
    signs: bool,  # noqa: FBT001 - a case of the test
    let_in: list[tuple[str, ...]],
) -> None:
    """By default every client has to sign what it sends, so that nobody on the wire speaks for a user."""
    driver = own_backend.open(smb={**settings, "users": {"alice": {"password": {"env": "ALICE"}}}})
    driver.prepare()
    share = driver.create_share(own_backend.request("office", "CIFS"))
    assert driver.update_access(ref(share), [ALICE], [ALICE], [])[ALICE].status == "active"
    client, server = own_backend.network.client, own_backend.host.ipv4
    assert has_to_sign(client, server) is signs

    def gets_in(*options: str) -> bool:
        return "blocks available" in smb(client, server, "office", "alice", PASSWORDS["ALICE"], "ls", *options).text

    assert gets_in()
    assert [options for options in (NEVER_ENCRYPTS, ENCRYPTS) if gets_in(*options)] == let_in


def test_a_changed_protection_of_smb_is_told_and_carried_out(own_backend: OperationsLab) -> None:
    """Until the server is restarted with it, nobody has access as asked; then the listing says so."""
    users = {"alice": {"password": {"env": "ALICE"}}}
    driver = own_backend.open(smb={"signing": "optional", "users": users})
    driver.prepare()
    share = driver.create_share(own_backend.request("office", "CIFS"))
    driver.update_access(ref(share), [ALICE], [ALICE], [])
    (listed,) = driver.list_shares()
    assert listed.export_settings == (("diskFree", "share"), ("encryption", "optional"), ("signing", "optional"))
    driver = own_backend.open(smb={"encryption": "required", "users": users})
    (listed,) = driver.list_shares()
    assert (listed.access, listed.export_settings) == ((), None)
    driver.update_access(
        replace(ref(share), export_settings={"encryption": "required", "signing": "required"}), [ALICE], [], []
    )
    (listed,) = driver.list_shares()
    assert (listed.access, listed.export_settings) == (
        (ALICE,),
        (("diskFree", "share"), ("encryption", "required"), ("signing", "required")),
    )
    client, server = own_backend.network.client, own_backend.host.ipv4
    assert not smb(client, server, "office", "alice", PASSWORDS["ALICE"], "ls", *NEVER_ENCRYPTS).is_ok
