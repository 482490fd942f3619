"""The mounts that follow from the state."""

from __future__ import annotations

from typing import Any

import pytest

from sharectl.model.access import AccessRule
from sharectl.model.canonical import canonical_json
from sharectl.model.records import Record, RuleRecord
from sharectl.model.specs import ShareSpec
from sharectl.mounting import selection
from sharectl.mounting.clients import parse_client
from sharectl.mounting.selection import LeftOut, Mount, Selected, Wanted, select_mounts

GIB = 1 << 30
NFS = ("nas1.example:/srv/home",)
SMB = (r"\\nas1.example\home",)
BOTH_VERSIONS = ("[fd00::1]:/srv/home", "10.0.0.1:/srv/home")


def share(name: str = "home", protocol: str = "NFS", locations: tuple[str, ...] = NFS, **labels: str) -> Record:
    """Return the row of a share."""
    return Record(
        f"share/{name}", "share", f"id-{name}", "nas1", "default", 1, b"", b"", GIB, False,  # noqa: FBT003 - a case says yes or no
        canonical_json(ShareSpec(name, GIB, protocol, labels=labels).as_plain()),
        canonical_json({"backend_id": "b", "export_locations": list(locations), "name": name}),
    )  # fmt: skip


def active(*texts: str) -> list[RuleRecord]:
    """Return rules in force, written `TYPE:WHOM LEVEL`."""
    rules = []
    for text in texts:
        key, _, level = text.partition(" ")
        access_type, _, access_to = key.partition(":")
        rules.append(RuleRecord(AccessRule(access_type, access_to, level), "active"))
    return rules


def selected(record: Record, *rules: str, client: str | None = None, **wanted: Any) -> Selected:  # noqa: ANN401 - parts of documents have many types
    """Return what is selected of a state with one share."""
    meant = None if client is None else parse_client(client, lambda _name: ["10.0.0.5", "fd00::5"])
    return select_mounts([record], {record.address: active(*rules)}, Wanted(meant, **wanted))


def only(found: Selected) -> Mount:
    """Return the one mount."""
    assert found.left_out == ()
    (mount,) = found.mounts
    return mount


def test_a_share_that_the_client_may_reach_is_a_mount() -> None:
    """With its location, its size, and the rules that let the client in."""
    mount = only(selected(share(), "ip:0.0.0.0/0 ro", "ip:10.0.0.0/8 rw", client="10.0.0.5"))
    assert (mount.address, mount.name, mount.point("/mnt"), mount.size_bytes) == (
        "share/home",
        "home",
        "/mnt/home",
        GIB,
    )
    assert (mount.location.source, mount.read_only) == ("nas1.example:/srv/home", False)
    assert [rule.key for rule in mount.access] == ["ip:10.0.0.0/8"]


def test_a_share_that_the_client_may_not_reach_is_not_missing() -> None:
    """It is neither a mount nor left out."""
    assert selected(share(), "ip:10.0.0.0/8 rw", client="192.0.2.1") == Selected((), ())


def test_a_rule_that_the_backend_refused_lets_nobody_in() -> None:
    """Nor does having no rules."""
    refused = {"share/home": [RuleRecord(AccessRule("ip", "10.0.0.0/8", "rw"), "error", "no")]}
    assert select_mounts([share()], refused, Wanted()) == Selected((), (LeftOut("share/home", selection.NOBODY),))


def test_without_a_client_every_share_with_access_is_a_mount() -> None:
    """It only reads where nobody may write."""
    assert only(selected(share(), "ip:10.0.0.0/8 ro", "ip:10.0.0.5 rw")).read_only is False
    assert only(selected(share(), "ip:10.0.0.0/8 ro", "ip:10.0.0.5 ro")).read_only is True


def test_each_client_gets_the_location_of_its_ip_version() -> None:
    """And both, the first one first, where it has both or nobody is named."""
    rules = ("ip:0.0.0.0/0 rw", "ip:::/0 ro")
    four = only(selected(share(locations=BOTH_VERSIONS), *rules, client="10.0.0.5"))
    six = only(selected(share(locations=BOTH_VERSIONS), *rules, client="fd00::5"))
    assert (four.location.host, four.others, four.read_only) == ("10.0.0.1", (), False)
    assert (six.location.host, six.others, six.read_only) == ("fd00::1", (), True)
    for client in ("db1", None):
        mount = only(selected(share(locations=BOTH_VERSIONS), *rules, client=client))
        assert (mount.location.host, [other.host for other in mount.others]) == ("fd00::1", ["10.0.0.1"])


def test_the_rules_of_the_ip_version_decide_that_the_way_takes() -> None:
    """A host that is let in over IPv4 alone is not sent over IPv6."""
    mount = only(selected(share(locations=BOTH_VERSIONS), "ip:10.0.0.0/8 rw", client="db1"))
    assert (mount.location.host, mount.others) == ("10.0.0.1", ())


@pytest.mark.parametrize(
    ("record", "client", "reason"),
    [
        (share(locations=()), None, selection.NO_LOCATION),
        (share(locations=("elsewhere",)), None, selection.OTHER_FORM),
        (share(locations=("[fd00::1]:/x",)), "10.0.0.5", selection.OTHER_VERSION),
        (share("home@deposed-0a1b2c3d"), None, selection.WAITS_FOR_REMOVAL),
        (share("../etc"), None, selection.NO_NAME),
    ],
)
def test_what_cannot_be_mounted_is_left_out_with_the_reason(record: Record, client: str | None, reason: str) -> None:
    """So that somebody sees why a share is missing."""
    assert selected(record, "ip:0.0.0.0/0 rw", client=client) == Selected((), (LeftOut(record.address, reason),))


def test_smb_asks_from_where_and_as_whom() -> None:
    """Where a share has rules of both kinds, both must be met."""
    record = share(protocol="CIFS", locations=SMB)
    rules = ("ip:10.0.0.0/8 rw", "user:CORP\\alice rw", "user:bob ro")
    mount = only(selected(record, *rules, client="10.0.0.5"))
    assert [rule.key for rule in mount.access] == ["ip:10.0.0.0/8", "user:CORP\\alice", "user:bob"]
    assert mount.read_only is False
    assert selected(record, *rules, client="192.0.2.1") == Selected((), ())
    assert only(selected(record, *rules, user="BOB")).read_only is True
    assert only(selected(record, *rules, user="corp\\ALICE")).read_only is False
    assert selected(record, *rules, user="mallory") == Selected((), ())


def test_smb_without_address_rules_is_reached_from_everywhere() -> None:
    """But over an IP version that the client has."""
    record = share(protocol="CIFS", locations=(r"\\fd00::1\home",))
    assert only(selected(record, "user:bob rw", client="fd00::9")).location.host == "fd00::1"
    assert selected(record, "user:bob rw", client="192.0.2.1").left_out == (
        LeftOut("share/home", selection.OTHER_VERSION),
    )


def test_smb_without_user_rules_is_open_to_every_user_of_the_server() -> None:
    """A user that is asked for is one of them."""
    record = share(protocol="CIFS", locations=SMB)
    assert only(selected(record, "ip:10.0.0.0/8 ro", client="10.0.0.5", user="bob")).read_only is True


def test_nfs_knows_no_users() -> None:
    """Neither do its rules for users let anybody in, nor does a user that is asked for keep anybody out."""
    assert selected(share(), "user:bob rw").left_out == (LeftOut("share/home", selection.NOBODY),)
    assert only(selected(share(), "ip:10.0.0.0/8 rw", user="bob")).name == "home"


def test_labels_and_kinds_narrow_the_choice() -> None:
    """Only shares, and of them those with all of the labels."""
    snapshot = share()._replace(address="snapshot/home", kind="snapshot")
    records = [share("b", team="y"), snapshot, share("c"), share("a", team="x", tier="1")]
    rules = {record.address: active("ip:0.0.0.0/0 rw") for record in records}

    def names(**labels: str) -> list[str]:
        return [mount.name for mount in select_mounts(records, rules, Wanted(labels=labels)).mounts]

    assert (names(), names(team="x"), names(team="x", tier="2")) == (["a", "b", "c"], ["a"], [])


def test_what_a_format_cannot_say_is_left_out() -> None:
    """The others stay."""
    records = [share("a"), share("b")]
    found = select_mounts(records, {record.address: active("ip:0.0.0.0/0 rw") for record in records}, Wanted())
    fitting = found.fitting(lambda mount: "no" if mount.name == "a" else None)
    assert ([mount.name for mount in fitting.mounts], fitting.left_out) == (["b"], (LeftOut("share/a", "no"),))


@pytest.mark.parametrize(
    ("rules", "wanted", "expected"),
    [
        (["user:* ro", "user:alice rw"], {"user": "alice"}, ["user:alice"]),
        (["user:* ro", "user:alice rw"], {"user": "bob"}, ["user:*"]),
        (["user:* rw", "user:bob none"], {"user": "bob"}, []),
        (["user:* rw", "user:bob none"], {}, ["user:*"]),
        (["group:staff rw"], {"user": "bob"}, ["group:staff"]),
        (["group:staff none", "user:alice rw"], {"user": "bob"}, []),
        (["guest:* ro"], {"user": "bob"}, ["guest:*"]),
        (["guest:* ro"], {}, ["guest:*"]),
        (["user:alice rw", "ip:10.0.0.13 none"], {"client": "10.0.0.13"}, []),
        (["user:alice rw", "ip:10.0.0.13 none"], {"client": "10.0.0.5"}, ["user:alice"]),
        (["user:alice rw", "ip:10.0.0.0/8 rw", "ip:10.0.0.13 none"], {"client": "10.0.0.13"}, []),
        (["ip:10.0.0.13 none"], {"client": "10.0.0.5"}, []),
    ],
)
def test_whom_rules_for_people_let_in(rules: list[str], wanted: dict[str, str], expected: list[str]) -> None:
    """The user's own rule decides for the user, and an address that is shut out stays out. Who is in a group is not known here."""
    found = selected(share(protocol="CIFS", locations=SMB), *rules, **wanted)
    assert [rule.key for mount in found.mounts for rule in mount.access] == expected


def test_a_host_that_is_shut_out_is_offered_no_mount() -> None:
    """Of a network that is let in."""
    rules = ("ip:10.0.0.0/8 rw", "ip:10.0.0.13 none")
    assert selected(share(), *rules, client="10.0.0.13").mounts == ()
    assert only(selected(share(), *rules, client="10.0.0.14")).access == (AccessRule("ip", "10.0.0.0/8", "rw"),)


def test_a_share_that_only_guests_may_use_needs_no_password() -> None:
    """One that users may use as well is mounted as a user."""
    smb = share(protocol="CIFS", locations=SMB)
    assert only(selected(smb, "guest:* ro", "ip:10.0.0.0/8 rw")).is_for_guests
    assert not only(selected(smb, "guest:* ro", "user:alice rw")).is_for_guests
    assert not only(selected(share(), "ip:10.0.0.0/8 rw")).is_for_guests
