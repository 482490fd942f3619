"""The SMB server as a process: started, killed, edited by hand, asked for the impossible and by many at once."""

from __future__ import annotations

import errno
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.linux.agent.contract import Instance, Problem, ProblemKind, Section
from sharectl.drivers.linux.agent.host import commands, daemons
from sharectl.drivers.linux.agent.smb import host as smb_host
from sharectl.drivers.linux.agent.smb import shares
from sharectl.drivers.linux.agent.smb.server import SambaServer
from tests.drivers.linux.lab import run
from tests.drivers.linux.samba_lab import PASSWORDS, Lab, need_samba, whole, write_own
from tests.drivers.linux.smb_client import Session, smb

if TYPE_CHECKING:
    from tests.drivers.linux.lab import Network

# Refusals


@pytest.mark.parametrize(
    "section",
    [
        Section("global", "/pool/data"),
        Section("x]\n[global]\nmap to guest = bad user\n[y", "/pool/data"),
        Section("data", "/pool/data\nguest ok = yes"),
        Section("data", "/pool/data", frozenset({'alice" "bob'})),
        Section("data", "/pool/data", frozenset({"@staff"})),
        Section("data", "/pool/data", frozenset({"CORP\\alice"})),
        Section("data", "/pool/data", networks=frozenset({"::1%\nguest ok = yes"})),
    ],
)
def test_a_hostile_section_reaches_no_file(lab: Lab, section: Section) -> None:
    """It is refused as a whole."""
    before = lab.path("shares.conf").read_bytes()
    with pytest.raises(Problem) as caught:
        lab.server.put(section)
    assert caught.value.kind is ProblemKind.REFUSED
    assert "\n" not in str(caught.value)
    assert lab.path("shares.conf").read_bytes() == before


def test_two_shares_whose_names_differ_in_case_alone_are_a_conflict(lab: Lab) -> None:
    """To Samba they are one; the one that is there stays."""
    section = lab.put("Case", writers="alice")
    with pytest.raises(Problem, match="Samba ignores case") as caught:
        lab.server.put(lab.section("case", writers="bob"))
    assert caught.value.kind is ProblemKind.CONFLICT
    lab.server.remove("CASE")
    assert lab.server.live()["Case"] == section


def test_a_root_that_is_too_long_for_sockets_is_refused(lab_directory: str) -> None:
    """Before anything is made; the message says what to do."""
    server = SambaServer(Instance("long", f"{lab_directory}/{'x' * 90}"))
    with pytest.raises(Problem, match="give it a shorter root"):
        server.ensure_running(whole)
    assert not list(Path(lab_directory).iterdir())


def test_a_root_that_samba_would_misread_is_refused(lab_directory: str) -> None:
    """It stands in the configuration."""
    with pytest.raises(Problem, match="would misread"):
        SambaServer(Instance("odd", f"{lab_directory}/%S")).put(Section("data", "/pool/data"))


def test_a_program_that_is_missing_is_named_with_its_package(
    lab_directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What to install, for the administrator of the host."""
    server = SambaServer(Instance("bare", f"{lab_directory}/bare"))
    monkeypatch.setattr(smb_host, "_LIBRARY", "libnothing.so")
    with pytest.raises(Problem, match="install the package libnss-wrapper") as caught:
        server.ensure_user("alice", "pw")
    assert caught.value.kind is ProblemKind.REFUSED
    monkeypatch.setattr(commands, "find", lambda _: None)
    with pytest.raises(Problem, match="smbd is not installed on the storage host; install the package samba"):
        server.ensure_running(whole)


# The server


def test_a_server_that_never_was_has_nothing(lab_directory: str) -> None:
    """Reading and removing is not an error, and makes no file."""
    server = SambaServer(Instance("never", f"{lab_directory}/never"))
    assert not server.is_running()
    server.remove("data")
    server.remove_user("alice")
    server.stop()
    assert (server.live(), server.stored(), server.users()) == ({}, {}, frozenset())
    assert not list(Path(lab_directory).iterdir())


def test_shares_and_users_can_be_made_before_the_server_starts(lab_directory: str, network: Network) -> None:
    """They are in force from its start."""
    need_samba()
    lab = Lab(lab_directory, network, "early")
    host = network.stranger
    lab.instance = Instance("early", f"{lab_directory}/early", (), host.namespace_path)
    lab.server = SambaServer(lab.instance, port=1445)
    section = lab.put("data", writers="alice")
    lab.server.ensure_user("alice", "pw")
    assert (lab.server.live(), lab.server.stored()) == ({}, {"data": section})
    lab.server.ensure_running(whole)
    assert lab.server.live() == {"data": section}
    answer = smb(network.client, host.ipv4, "data -p 1445", "alice", "pw", "ls")
    assert "NT_STATUS_CONNECTION_REFUSED" in answer.text
    lab.server.stop()


def test_shares_and_users_outlive_a_restart(own_lab: Lab) -> None:
    """What was stored is in force again."""
    section = own_lab.put("kept", writers="alice")
    own_lab.server.stop()
    assert not own_lab.server.is_running()
    assert own_lab.server.live() == {}
    own_lab.server.ensure_running(whole)
    assert own_lab.server.live() == {"kept": section}
    assert write_own(own_lab, "kept").is_ok


def test_a_server_that_was_killed_is_started_again(own_lab: Lab) -> None:
    """Its sessions end with it, so none keeps a right that is taken away meanwhile."""
    own_lab.put("killed", writers="alice")
    session = Session(own_lab.network.client, own_lab.network.other_client.ipv4, "killed", "alice", PASSWORDS["alice"])
    with session:
        assert session.write("a").is_ok
        os.kill(own_lab.pid(), signal.SIGKILL)
        assert daemons.holds_within(lambda: not own_lab.server.is_running(), 300)
        assert own_lab.server.live() == {}
        section = own_lab.put("killed", readers="alice")
        own_lab.server.ensure_running(whole)
        assert not session.write("b").is_ok
    assert own_lab.server.live() == {"killed": section}
    assert "NT_STATUS_ACCESS_DENIED" in write_own(own_lab, "killed").text


def test_two_servers_have_equal_addresses_in_two_namespaces(lab: Lab, own_lab: Lab) -> None:
    """Each answers with its own shares and users."""
    lab.put("tenant", writers="alice")
    own_lab.put("other", writers="alice")
    own_lab.server.ensure_user("alice", "another")
    assert lab.write("tenant").is_ok
    assert write_own(own_lab, "other", "another").is_ok
    assert not write_own(own_lab, "tenant", "another").is_ok
    assert not lab.write("tenant", "alice", "another").is_ok


def test_a_configuration_that_was_edited_is_not_trusted(own_lab: Lab) -> None:
    """The server counts as down until it runs again on the right one."""
    section = own_lab.put("trusted", writers="alice")
    path, before = own_lab.path("smb.conf"), own_lab.pid()
    path.write_text(path.read_text().replace("map to guest = never", "map to guest = bad user"))
    assert not own_lab.server.is_running()
    assert own_lab.server.live() == {}
    own_lab.server.ensure_running(whole)
    assert own_lab.pid() != before
    assert "map to guest = never" in path.read_text()
    assert own_lab.server.live() == {"trusted": section}


def test_a_server_of_an_older_version_has_its_shares_open_until_it_is_started_anew(own_lab: Lab) -> None:
    """Versions before guests named no account for them. The next change brings the server up to date."""
    section = own_lab.put("older", writers="alice")
    path, before = own_lab.path("smb.conf"), own_lab.pid()
    path.write_text(path.read_text().replace("    guest account = _guest\n", ""))
    assert own_lab.server.live() == {"older": section}
    assert SambaServer(own_lab.instance, options=smb_host.ServerOptions(guests=True)).live() == {}
    own_lab.server.ensure_running(whole)
    assert own_lab.pid() != before
    assert "guest account = _guest" in path.read_text()
    assert own_lab.server.live() == {"older": section}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("guest ok = no", "guest ok = yes"),
        ('write list = "OWN\\alice"', 'write list = "OWN\\alice" "OWN\\bob"'),
        ("    read only = yes\n", ""),
        ("[edited]", "[edited]\n    force user = root"),
        ("path = ", "path = /tmp/../"),
    ],
)
def test_a_share_that_was_edited_is_seen_and_put_right(own_lab: Lab, old: str, new: str) -> None:
    """It has no path, so that it differs from all that can be asked for; others stay as they are."""
    section, other = own_lab.put("edited", writers="alice"), own_lab.put("other", writers="alice")
    path = own_lab.path("shares.conf")
    right = path.read_text()
    path.write_text(right.replace(old, new, 1))
    assert own_lab.server.live()["edited"].path == ""
    assert own_lab.server.stored() == {"edited": section, "other": other}
    own_lab.server.put(section)
    assert own_lab.server.live() == {"edited": section, "other": other}
    assert path.read_text() == right


@pytest.mark.parametrize(
    "text",
    ["map to guest = bad user\n{}", "{}[global]\nmap to guest = bad user\n", "{}[mine]\npath = /tmp\n", "{}[broken\n"],
)
def test_lines_that_may_change_every_share_put_all_in_doubt(own_lab: Lab, text: str) -> None:
    """The next change takes them out."""
    section = own_lab.put("one", writers="alice")
    path = own_lab.path("shares.conf")
    right = path.read_text()
    path.write_text(text.format(right))
    assert {section.path for section in own_lab.server.live().values()} == {""}
    own_lab.server.put(section)
    assert path.read_text() == right
    assert own_lab.server.live() == {"one": section}


def test_a_share_that_was_deleted_by_hand_is_seen_and_put_right(own_lab: Lab) -> None:
    """Sessions have it still, so it is shown, without a path."""
    section = own_lab.put("deleted", writers="alice")
    own_lab.path("shares.conf").write_text("")
    assert own_lab.server.live()["deleted"].path == ""
    own_lab.server.put(section)
    assert own_lab.server.live() == {"deleted": section}


def test_what_was_edited_while_the_server_was_down_is_undone_at_its_start(own_lab: Lab) -> None:
    """Smbd never reads it."""
    section = own_lab.put("down", writers="alice")
    own_lab.server.stop()
    path = own_lab.path("shares.conf")
    right = path.read_text()
    path.write_text(
        f"{right}[open]\npath = /\nguest ok = yes\n".replace("available = yes", "available = yes\n guest ok = yes")
    )
    own_lab.server.ensure_running(whole)
    assert path.read_text() == right
    assert own_lab.server.live() == {"down": section}


@pytest.mark.parametrize("addresses", [("10.77.1.10",), ()])
def test_a_port_that_is_taken_is_said(lab_directory: str, lab: Lab, addresses: tuple[str, ...]) -> None:
    """With who has it: Samba would start a second server there, and each would get some of the clients."""
    second = SambaServer(Instance("second", f"{lab_directory}/second", addresses, lab.instance.namespace))
    words = rf"'second' \(port 445\) cannot start: the port is in use by 'smbd' \(process {lab.pid()}\); stop that"
    with pytest.raises(Problem, match=words) as caught:
        second.ensure_running(whole)
    assert caught.value.kind is ProblemKind.CONFLICT
    assert lab.server.is_running()


def test_an_address_that_is_not_there_is_said(lab_directory: str, network: Network) -> None:
    """For good, as long as nobody adds it: the server would be up and answer only in part. Nothing of it is left."""
    need_samba()
    host = network.stranger
    instance = Instance("lost", f"{lab_directory}/lost", (host.ipv4, "10.99.0.1"), host.namespace_path)
    with pytest.raises(Problem, match=r"no interface of \S+ has the address 10\.99\.0\.1; add it") as caught:
        SambaServer(instance, port=2445).ensure_running(whole)
    assert caught.value.kind is ProblemKind.REFUSED
    assert run("pgrep", "--full", f"{lab_directory}/lost", check=False).stdout == ""


def test_a_server_that_ends_as_it_starts_is_said(lab_directory: str, network: Network) -> None:
    """With its own last words."""
    need_samba()
    server = SambaServer(Instance("broken", f"{lab_directory}/broken", (), network.stranger.namespace_path), port=4445)
    Path(lab_directory, "broken/smb/private/secrets.tdb").mkdir(parents=True)
    with pytest.raises(Problem, match=r"\(port 4445\) ended as it started: \S"):
        server.ensure_running(whole)


def test_a_start_that_a_killed_run_began_is_not_doubled(own_lab: Lab) -> None:
    """The process is found by its arguments, before it has written which one it is."""
    pid = own_lab.pid()
    own_lab.path("run/smbd.pid").unlink()
    own_lab.server.ensure_running(whole)
    assert own_lab.pid() != pid
    assert not daemons.is_process(pid, str(own_lab.path("smb.conf")))


def test_a_server_that_does_not_answer_is_said(own_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopped smbd takes messages and does nothing; the change is made when it goes on."""
    section = own_lab.section("asleep", writers="alice")
    pid = own_lab.pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(shares, "_ANSWER_SECONDS", 1)
            with pytest.raises(Problem, match="does not answer") as caught:
                own_lab.server.put(section)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert caught.value.kind is ProblemKind.TRANSIENT
    assert own_lab.server.live()["asleep"].path == ""
    own_lab.server.put(section)
    assert own_lab.server.live()["asleep"] == section


def test_32_threads_and_two_processes_lose_nothing(own_lab: Lab) -> None:
    """Threads that wait are served together; two servers on one folder stand for two processes."""
    servers = (own_lab.server, SambaServer(own_lab.instance))
    path = own_lab.volume("threads")

    def work(number: int) -> None:
        server = servers[number % 2]
        server.put(Section(f"t{number}", path, frozenset({"alice"})))
        if number % 4 == 0:
            server.remove(f"t{number}")

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(work, range(64)))
    assert set(own_lab.server.live()) == {f"t{number}" for number in range(64) if number % 4}
    assert {section.path for section in own_lab.server.live().values()} == {path}


def test_one_bad_request_among_many_fails_alone(own_lab: Lab) -> None:
    """The others that are served with it are done."""
    own_lab.put("Taken", writers="alice")

    def put(name: str) -> str:
        try:
            own_lab.put(name, writers="alice")
        except Problem as problem:
            return problem.kind
        return "done"

    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(put, ["taken", *(f"fine{number}" for number in range(15))]))
    assert outcomes == [ProblemKind.CONFLICT, *["done"] * 15]


def test_threads_start_one_server(lab_directory: str, network: Network) -> None:
    """Whoever comes second finds it running."""
    need_samba()
    instance = Instance("raced", f"{lab_directory}/raced", (), network.stranger.namespace_path)
    servers = [SambaServer(instance, port=3445) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda server: server.ensure_running(whole), servers))
    assert all(server.is_running() for server in servers)
    parents = run("pgrep", "--parent", "1", "--full", f"{lab_directory}/raced/smb/smb.conf").stdout.split()
    assert len(parents) == 1
    servers[0].stop()


def test_a_disk_that_is_full_is_said(own_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old file stays."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shares, "write_atomically", fail)
    with pytest.raises(Problem, match="No space left on device"):
        own_lab.put("full", writers="alice")
    assert own_lab.server.live() == {}


def test_a_full_disk_where_the_folders_go_is_said(lab_directory: str) -> None:
    """A file that stands in the way is such a failure too."""
    Path(lab_directory, "blocked").write_text("")
    with pytest.raises(Problem, match=r"cannot be worked on: .*Not a directory") as caught:
        SambaServer(Instance("blocked", f"{lab_directory}/blocked")).put(Section("data", "/pool/data"))
    assert caught.value.kind is ProblemKind.TRANSIENT


def test_threads_whose_change_was_interrupted_learn_it(own_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them takes what another one did for them as done."""
    monkeypatch.setattr(shares.Shares, "_apply", _interrupt)
    outcomes = []

    def put(number: int) -> None:
        try:
            own_lab.put(f"interrupted{number}", writers="alice")
        except (Problem, ArithmeticError) as error:
            outcomes.append(error)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(put, range(16)))
    assert len(outcomes) == 16


def _interrupt(*_: object) -> None:
    message = "a mistake"
    raise ArithmeticError(message)


def test_what_a_program_of_samba_refuses_is_said(own_lab: Lab) -> None:
    """In its own words, on one line."""
    own_lab.server.stop()
    database = own_lab.path("private/passdb.tdb")
    database.unlink()
    database.mkdir()
    with pytest.raises(Problem, match="pdbedit failed on the SMB server 'own': ") as caught:
        own_lab.server.ensure_user("bob", "pw")
    assert "\n" not in str(caught.value)


def test_a_program_of_samba_that_hangs_is_said(
    own_lab: Lab, lab_directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while, and it is ended."""
    program = Path(lab_directory, "pdbedit")
    program.write_text("#!/bin/sh\nexec tail -f /dev/null\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{lab_directory}:{os.environ['PATH']}")
    monkeypatch.setattr(smb_host, "_COMMAND_SECONDS", 0.2)
    with pytest.raises(Problem, match="pdbedit of the SMB server 'own' did not end"):
        own_lab.server.users()


def test_a_server_that_dies_during_a_change_is_said(own_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The change is stored, and in force from the next start."""
    section = own_lab.section("during", writers="alice")
    pid = own_lab.pid()
    os.kill(pid, signal.SIGKILL)
    daemons.wait_until(lambda: not daemons.is_process(pid, "/"), "it does not end")
    monkeypatch.setattr(smb_host.Host, "pid", lambda _: 1)
    with pytest.raises(Problem, match="did not accept the reload-config message") as caught:
        own_lab.server.put(section)
    assert caught.value.kind is ProblemKind.TRANSIENT
    monkeypatch.undo()
    own_lab.server.ensure_running(whole)
    assert own_lab.server.live() == {"during": section}


def test_on_a_full_disk_rights_that_were_taken_away_go_all_the_same(
    own_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A share that was to let in fewer lets in nobody, and the change fails; what was to become wider stays as it is."""
    own_lab.server.ensure_user("bob", PASSWORDS["bob"])
    narrow, gone = (own_lab.put(name, writers="alice bob") for name in ("narrow", "gone"))
    wide = own_lab.put("wide", writers="alice")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(shares, "write_atomically", full)
        with pytest.raises(Problem, match="No space left"):
            own_lab.server.put(own_lab.section("wide", writers="alice bob"))
        assert own_lab.server.live() == {"narrow": narrow, "gone": gone, "wide": wide}
        with pytest.raises(Problem, match="No space left"):
            own_lab.server.put(own_lab.section("narrow", writers="bob"))
        with pytest.raises(Problem, match="No space left"):
            own_lab.server.remove("gone")
    assert "NT_STATUS_BAD_NETWORK_NAME" in write_own(own_lab, "narrow").text
    assert "NT_STATUS_BAD_NETWORK_NAME" in write_own(own_lab, "gone").text
    assert write_own(own_lab, "wide").is_ok
    assert own_lab.server.stored() == {"wide": wide}


def test_a_section_that_is_not_ready_is_withheld_at_the_start(own_lab: Lab) -> None:
    """Its folder may be an empty mount point. It comes back at a start at which it is ready, or when it is put; removed, it does not."""
    absent = [own_lab.put(name, writers="alice") for name in ("absent", "away", "removed")]
    ready = own_lab.put("ready", writers="alice")
    own_lab.server.stop()
    own_lab.server.ensure_running(lambda section: section.name == "ready")
    assert own_lab.server.live() == {"ready": ready}
    assert list(own_lab.server.withheld()) == absent
    assert own_lab.server.stored() == {section.name: section for section in (*absent, ready)}
    own_lab.server.put(absent[0])
    own_lab.server.remove("removed")
    assert list(own_lab.server.withheld()) == [absent[1]]
    assert own_lab.server.live().keys() == {"absent", "ready"}
    own_lab.server.stop()
    own_lab.server.ensure_running(whole)
    assert own_lab.server.live().keys() == {"absent", "away", "ready"}
    assert list(own_lab.server.withheld()) == []


def test_the_server_tells_its_name_and_accounts(own_lab: Lab) -> None:
    """For messages and comparisons."""
    assert own_lab.server.name == "OWN"
    assert {own_lab.server.account(user) for user in ("Alice", "OWN\\alice", ".\\ALICE")} == {"alice"}
