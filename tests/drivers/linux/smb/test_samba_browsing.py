"""The list of shares that a user gets of an SMB server: those that it may use, where a setting says so, and else none."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.linux.agent.contract import Instance
from sharectl.drivers.linux.agent.host import daemons
from sharectl.drivers.linux.agent.smb.host import ServerOptions
from sharectl.drivers.linux.agent.smb.server import SambaServer
from tests.drivers.linux.lab import processes_of
from tests.drivers.linux.samba_lab import PASSWORDS, Lab, need_samba, whole
from tests.drivers.linux.smb_client import listed, smb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.drivers.linux.lab import Network

_SECONDS = 300.0


@pytest.fixture(scope="module")
def browsed(module_directory: str, network: Network) -> Iterator[Lab]:
    """Give a server that lists shares, in the namespace of the second client."""
    need_samba()
    lab = Lab(module_directory, network, "browsed")
    host = network.other_client
    lab.instance = Instance("browsed", f"{module_directory}/browsed", (host.ipv4,), host.namespace_path)
    lab.server = SambaServer(lab.instance, options=ServerOptions(browsing=True))
    lab.server.ensure_running(whole)
    for user, password in PASSWORDS.items():
        lab.server.ensure_user(user, password)
    yield lab
    lab.server.stop()


def seen(lab: Lab, user: str) -> set[str] | None:
    """Return what a user is listed."""
    return listed(lab.network.client, lab.network.other_client.ipv4, user, PASSWORDS[user])


def sees(lab: Lab, user: str, shares: set[str]) -> bool:
    """Tell whether a user is listed these shares and no others, in a while: a program beside smbd reads the configuration too."""
    return daemons.holds_within(lambda: seen(lab, user) == shares, _SECONDS)


def test_users_are_listed_what_they_may_use(browsed: Lab) -> None:
    """To write or to read; what comes, goes, or is for another user now, at the next question."""
    browsed.put("alices", writers="alice")
    browsed.put("bobs", readers="bob")
    browsed.put("both", writers="alice", readers="bob")
    assert sees(browsed, "alice", {"alices", "both"})
    assert sees(browsed, "bob", {"bobs", "both"})
    browsed.put("alices", writers="bob")
    browsed.server.remove("both")
    assert sees(browsed, "alice", set())
    assert sees(browsed, "bob", {"alices", "bobs"})
    browsed.server.remove("alices")
    browsed.server.remove("bobs")


def test_who_cannot_log_in_is_listed_nothing(browsed: Lab) -> None:
    """Neither without a name nor with a wrong password."""
    browsed.put("hidden", writers="alice")
    client, address = browsed.network.client, browsed.network.other_client.ipv4
    assert sees(browsed, "alice", {"hidden"})
    for user, password in (("", ""), ("alice", "wrong"), ("guest", ""), ("nobody", "")):
        assert listed(client, address, user, password) is None
    browsed.server.remove("hidden")


def test_whoever_writes_to_a_share_is_nobody_there_all_the_same(browsed: Lab) -> None:
    """The user that asks for the list is itself, and its files are not."""
    section = browsed.put("data", writers="alice")
    assert browsed.write("data", address=browsed.network.other_client.ipv4).is_ok
    assert os.stat(f"{section.path}/written").st_uid == 65534  # noqa: PTH116 - paths are text here
    browsed.server.remove("data")


def test_no_process_of_a_server_outlives_it(browsed: Lab) -> None:
    """Nor one that was killed and is started again: those that tell of shares are started by smbd, and do not end with it."""
    browsed.put("kept", writers="alice")
    assert sees(browsed, "alice", {"kept"})
    before = set(processes_of(browsed.instance.root))
    os.kill(browsed.pid(), signal.SIGKILL)
    assert daemons.holds_within(lambda: not browsed.server.is_running(), _SECONDS)
    browsed.server.ensure_running(whole)
    assert daemons.holds_within(lambda: before.isdisjoint(processes_of(browsed.instance.root)), _SECONDS)
    assert sees(browsed, "alice", {"kept"})
    browsed.server.stop()
    assert daemons.holds_within(lambda: not processes_of(browsed.instance.root), _SECONDS)
    browsed.server.ensure_running(whole)
    browsed.server.remove("kept")


def test_the_log_says_nothing_of_it(browsed: Lab) -> None:
    """Lists are no events."""
    browsed.put("quiet", writers="alice")
    assert sees(browsed, "alice", {"quiet"})
    before = browsed.path("log/smbd.log").read_text(encoding="utf-8")
    assert seen(browsed, "alice") == {"quiet"}
    assert browsed.path("log/smbd.log").read_text(encoding="utf-8") == before
    browsed.server.remove("quiet")


def test_guests_are_listed_nothing(lab_directory: str, network: Network) -> None:
    """Where they are let in, they have to know the name of a share, for users alone are told who else there is."""
    need_samba()
    lab = Lab(lab_directory, network, "open")
    host = network.stranger
    lab.instance = Instance("open", f"{lab_directory}/open", (host.ipv4,), host.namespace_path)
    lab.server = SambaServer(lab.instance, options=ServerOptions(signing="optional", guests=True, browsing=True))
    lab.server.ensure_running(whole)
    lab.server.ensure_user("alice", PASSWORDS["alice"])
    lab.server.put(replace(lab.section("public", writers="alice"), guest="ro"))
    unsigned = ("--option=client ipc signing=disabled", "--option=client signing=disabled")
    for user in ("stranger", ""):
        assert "blocks available" in smb(network.client, host.ipv4, "public", user, "", "ls", *unsigned).text
        assert listed(network.client, host.ipv4, user, "", *unsigned) is None
    shown = daemons.holds_within(
        lambda: listed(network.client, host.ipv4, "alice", PASSWORDS["alice"], *unsigned) == {"public"}, _SECONDS
    )
    assert shown
    lab.server.stop()


def test_nobody_is_listed_anything_by_default(lab: Lab) -> None:
    """Shares are found by their names alone."""
    lab.put("office", writers="alice")
    assert lab.write("office").is_ok
    assert listed(lab.network.client, lab.network.server.ipv4, "alice", PASSWORDS["alice"]) is None
