"""Groups, all users, guests and who is kept out, over SMB with real clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sharectl.model.access import AccessRule
from tests.drivers.linux.backends import PASSWORDS
from tests.drivers.linux.operations_lab import ALICE, BOB, ref
from tests.drivers.linux.smb_client import Session, smb, write

if TYPE_CHECKING:
    from sharectl.drivers.linux.driver import LinuxDriver
    from sharectl.model.observed import ObservedShare
    from tests.drivers.linux.operations_lab import OperationsLab

STAFF = AccessRule("group", "staff", "rw")
EVERYBODY = AccessRule("user", "*", "ro")
GUESTS = AccessRule("guest", "*", "ro")
SECRETS = {"alice": PASSWORDS["ALICE"], "bob": PASSWORDS["BOB"]}


def opened(lab: OperationsLab, *staff: str, guests: bool = False) -> LinuxDriver:
    """Return a driver whose backend has a group, and lets guests in or not."""
    users: dict[str, Any] = {name.lower(): {"password": {"env": name}} for name in PASSWORDS}
    driver = lab.open(smb={"users": users, "groups": {"staff": list(staff)}, "guests": guests})
    driver.prepare()
    lab._prepared = driver
    return driver


def may(lab: OperationsLab, share: ObservedShare, user: str, *, host: str = "client") -> str:
    """Return what a user may do in a share: write, read or nothing."""
    client, address = getattr(lab.network, host), lab.host.ipv4
    if write(client, address, share.name, user, SECRETS[user]).is_ok:
        return "write"
    return "read" if smb(client, address, share.name, user, SECRETS[user], "ls").is_ok else "nothing"


def as_guest(lab: OperationsLab, share: ObservedShare, commands: str = "ls") -> bool:
    """Tell whether somebody without a password may do this."""
    return smb(lab.network.client, lab.host.ipv4, share.name, "", "", commands, "--no-pass").is_ok


def test_a_change_of_members_reaches_shares_that_exist_and_cuts_who_is_out(own_backend: OperationsLab) -> None:
    """It shows as drift until then. Who stays keeps the session."""
    opened(own_backend, "alice", "bob")
    share = own_backend.share("office", STAFF, protocol="CIFS")
    assert own_backend.access_of(share) == {STAFF}
    assert (may(own_backend, share, "alice"), may(own_backend, share, "bob")) == ("write", "write")
    address, client = own_backend.host.ipv4, own_backend.network.client
    with (
        Session(client, address, "office", "alice", SECRETS["alice"]) as alice,
        Session(client, address, "office", "bob", SECRETS["bob"]) as bob,
    ):
        assert alice.write("a").is_ok
        assert bob.write("b").is_ok
        opened(own_backend, "alice")
        assert own_backend.access_of(share) == set()
        own_backend.allow(share, STAFF)
        assert own_backend.access_of(share) == {STAFF}
        assert alice.write("c").is_ok
        assert not bob.write("d").is_ok
    assert may(own_backend, share, "bob") == "nothing"


def test_all_users_read_while_some_write_and_one_is_kept_out(own_backend: OperationsLab) -> None:
    """And comes back as the rule says when it changes."""
    opened(own_backend, "alice")
    share = own_backend.share("handbook", EVERYBODY, STAFF, protocol="CIFS")
    assert (may(own_backend, share, "alice"), may(own_backend, share, "bob")) == ("write", "read")
    shut_out = AccessRule("user", "bob", "none")
    own_backend.allow(share, EVERYBODY, STAFF, shut_out)
    assert own_backend.access_of(share) == {EVERYBODY, STAFF, shut_out}
    assert (may(own_backend, share, "alice"), may(own_backend, share, "bob")) == ("write", "nothing")
    own_backend.allow(share, AccessRule("group", "staff", "none"), EVERYBODY)
    assert (may(own_backend, share, "alice"), may(own_backend, share, "bob")) == ("nothing", "read")


def test_guests_read_without_a_password_and_a_wrong_one_makes_no_guest(own_backend: OperationsLab) -> None:
    """Nor do guests get into a share without a rule for them. Users may as much, and more where a rule says so."""
    opened(own_backend, guests=True)
    public = own_backend.share("public", GUESTS, ALICE, protocol="CIFS")
    private = own_backend.share("private", ALICE, BOB, protocol="CIFS")
    assert own_backend.access_of(public) == {GUESTS, ALICE}
    assert as_guest(own_backend, public)
    assert not as_guest(own_backend, public, "mkdir made")
    assert not as_guest(own_backend, private)
    assert may(own_backend, public, "alice") == "write"
    client, address = own_backend.network.client, own_backend.host.ipv4
    for share in (public, private):
        assert "NT_STATUS_LOGON_FAILURE" in smb(client, address, share.name, "alice", "wrong", "ls").text
        assert smb(client, address, share.name, "nobody-knows-me", "x", "ls").is_ok is (share is public)
    own_backend.allow(public, GUESTS._replace(access_level="rw"), AccessRule("user", "bob", "none"))
    assert as_guest(own_backend, public, "mkdir made")
    assert may(own_backend, public, "bob") == "nothing"
    own_backend.allow(public, ALICE)
    assert not as_guest(own_backend, public)


def test_without_the_setting_no_guest_gets_in(own_backend: OperationsLab) -> None:
    """The rule is refused, and the server takes nobody for a guest."""
    opened(own_backend)
    share = own_backend.share("public", ALICE, protocol="CIFS")
    assert own_backend.allow(share, GUESTS, ALICE)[GUESTS].status == "error"
    assert not as_guest(own_backend, share)


@pytest.mark.parametrize("has_network", [False, True])
def test_an_address_is_kept_out(own_backend: OperationsLab, has_network: bool) -> None:  # noqa: FBT001 - a case says yes or no
    """Of everywhere, and of a network that is let in; users on other hosts go on."""
    network = own_backend.network
    hole = AccessRule("ip", network.client.ipv4, "none")
    rules = [ALICE, hole, *([AccessRule("ip", "10.77.1.0/24", "rw")] if has_network else [])]
    share = own_backend.share("office", *rules, protocol="CIFS")
    assert own_backend.access_of(share) == set(rules)
    assert may(own_backend, share, "alice") == "nothing"
    assert may(own_backend, share, "alice", host="other_client") == "write"
    own_backend.allow(share, *(rule for rule in rules if rule is not hole))
    assert may(own_backend, share, "alice") == "write"


def test_a_revert_keeps_groups_and_who_is_kept_out(own_backend: OperationsLab) -> None:
    """As they were in force."""
    opened(own_backend, "alice", "bob")
    shut_out = AccessRule("user", "bob", "none")
    share = own_backend.share("office", STAFF, shut_out, protocol="CIFS")
    snapshot = own_backend.snapshot(share, "monday")
    own_backend.driver.revert_share(ref(share), snapshot)
    assert own_backend.access_of(share) == {STAFF, shut_out}
    assert (may(own_backend, share, "alice"), may(own_backend, share, "bob")) == ("write", "nothing")


def test_a_new_name_keeps_rules_for_several_people(own_backend: OperationsLab) -> None:
    """As they were in force, without a repair."""
    opened(own_backend, "alice", guests=True)
    rules = {STAFF, EVERYBODY, GUESTS}
    share = own_backend.share("office", *rules, protocol="CIFS")
    own_backend.driver.rename_export(ref(share), "Marketing Team")
    renamed = own_backend.listed(share)
    assert (renamed.export_name, set(renamed.access)) == ("Marketing Team", rules)
    renamed = renamed._replace(name="Marketing Team")
    assert (may(own_backend, renamed, "alice"), may(own_backend, renamed, "bob")) == ("write", "read")
    assert as_guest(own_backend, renamed)
