"""What befalls a Ganesha server: killed, cut off, changed by hand, badly set up; and how it is repaired or what is said."""

from __future__ import annotations

import errno
import os
import signal
import socket
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.linux.agent.contract import Client, Instance, Problem, ProblemKind
from sharectl.drivers.linux.agent.host import daemons
from sharectl.drivers.linux.agent.nfs.ganesha import process, stored_exports
from sharectl.drivers.linux.agent.nfs.ganesha.bus import GaneshaBus, NoAnswerError, RefusedError
from sharectl.drivers.linux.agent.nfs.ganesha.configuration import export_text
from sharectl.drivers.linux.agent.nfs.ganesha.server import GaneshaServer
from sharectl.drivers.linux.agent.nfs.ganesha.snapshots import SnapshotExports
from tests.drivers.linux.ganesha_lab import always, by_hand, export_of, kill, layout_of
from tests.drivers.linux.lab import Host, Network, run
from tests.drivers.linux.nfs_client import nfs

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.drivers.linux.ganesha_lab import MakeGanesha


def test_files_of_others_do_not_keep_the_server_from_starting(ganesha: GaneshaServer, lab_directory: str) -> None:
    """The server would read each of them, and one mistake would take all exports away: they are put aside, none is lost."""
    export = export_of(lab_directory)
    ganesha.put(export)
    ganesha.stop()
    layout = layout_of(lab_directory)
    junk = {
        "broken.conf": b"EXPORT { ",
        ".1.conf.swp": b"\xff\x00",
        "9.conf": export_text(export).encode(),
        "1.conf~": b"}",
    }
    for name, content in junk.items():
        Path(layout.exports, name).write_bytes(content)
    Path(layout.exports, "folder").mkdir()
    ganesha.ensure_running(always)
    assert ganesha.live() == {1: export}
    assert {name: Path(layout.withheld, name).read_bytes() for name in junk} == junk


def test_a_stored_export_that_was_edited_is_written_anew(ganesha: GaneshaServer, lab_directory: str) -> None:
    """What the file says it was written for counts."""
    export = export_of(lab_directory, 1, ("10.77.1.21", "ro"))
    ganesha.put(export)
    ganesha.stop()
    path = Path(layout_of(lab_directory).exports, "1.conf")
    path.write_text(path.read_text(encoding="utf-8").replace("RO", "RW"), encoding="utf-8")
    ganesha.ensure_running(always)
    assert ganesha.live() == {1: export}


def test_a_killed_server_is_repaired(ganesha: GaneshaServer, lab_directory: str, network: Network) -> None:
    """Until then it is down; what is put meanwhile is stored."""
    exports = {number: export_of(lab_directory, number) for number in (1, 2)}
    ganesha.put(exports[1])
    kill(layout_of(lab_directory).pid)
    assert not ganesha.is_running()
    assert ganesha.live() == {}
    ganesha.put(exports[2])
    ganesha.ensure_running(always)
    assert ganesha.live() == exports
    assert nfs(network.client, network.server.ipv4, "/shares/s2", "ls").is_done


def test_a_server_whose_bus_was_killed_is_repaired(
    ganesha: GaneshaServer, lab_directory: str, network: Network
) -> None:
    """It ends with its bus (a rule of the library that it speaks D-Bus with)."""
    export = export_of(lab_directory)
    ganesha.put(export)
    kill(layout_of(lab_directory).bus_pid)
    assert not ganesha.is_running()
    assert ganesha.live() == {}
    ganesha.ensure_running(always)
    assert ganesha.live() == {1: export}
    assert nfs(network.client, network.server.ipv4, export.pseudo, "ls").is_done


def test_a_server_out_of_control_is_restarted(
    make_ganesha: MakeGanesha, ganesha: GaneshaServer, lab_directory: str, network: Network
) -> None:
    """One whose socket was deleted serves clients, and does not count as running."""
    export = export_of(lab_directory)
    ganesha.put(export)
    Path(layout_of(lab_directory).socket).unlink()
    fresh = make_ganesha()
    assert not fresh.is_running()
    assert fresh.live() == {}
    assert nfs(network.client, network.server.ipv4, export.pseudo, "ls").is_done
    fresh.ensure_running(always)
    assert fresh.live() == {1: export}


@pytest.mark.parametrize("is_removed", [True, False])
def test_a_right_is_taken_away_also_from_a_server_out_of_control(
    make_ganesha: MakeGanesha,
    ganesha: GaneshaServer,
    lab_directory: str,
    network: Network,
    is_removed: bool,  # noqa: FBT001 - a case says yes or no
) -> None:
    """By stopping it: else the right would last as long as the process."""
    export = export_of(lab_directory)
    ganesha.put(export)
    Path(layout_of(lab_directory).socket).unlink()
    fresh = make_ganesha()
    if is_removed:
        fresh.remove(1)
    else:
        fresh.put(replace(export, clients=frozenset({Client("10.77.1.22", "rw")})))
    assert not nfs(network.client, network.server.ipv4, export.pseudo, "ls").is_done
    fresh.ensure_running(always)
    assert "NFS4ERR_NOENT" in nfs(network.client, network.server.ipv4, export.pseudo, "ls").text


def test_after_a_crash_of_the_machine_the_server_starts(ganesha: GaneshaServer, lab_directory: str) -> None:
    """The socket is left, and the pid files name processes that have other work now, and are let live."""
    export = export_of(lab_directory)
    ganesha.put(export)
    layout = layout_of(lab_directory)
    for pid_file in (layout.pid, layout.bus_pid):
        kill(pid_file)
        Path(pid_file).write_text(f"{os.getpid()}\n", encoding="ascii")
    assert Path(layout.socket).exists()
    assert not ganesha.is_running()
    ganesha.ensure_running(always)
    assert ganesha.live() == {1: export}


def test_daemons_that_no_pid_file_names_are_replaced(
    make_ganesha: MakeGanesha, ganesha: GaneshaServer, lab_directory: str
) -> None:
    """Their starter was killed before they wrote it; else the port would be in use for ever."""
    ganesha.put(export_of(lab_directory))
    layout = layout_of(lab_directory)
    old = [int(Path(pid_file).read_text(encoding="ascii")) for pid_file in (layout.pid, layout.bus_pid)]
    for leftover in (layout.pid, layout.bus_pid, layout.socket):
        Path(leftover).unlink()
    fresh = make_ganesha()
    fresh.ensure_running(always)
    assert fresh.live().keys() == {1}
    assert not any(daemons.is_process(pid, lab_directory) for pid in old)


def test_an_export_that_was_removed_by_hand_is_not_live(ganesha: GaneshaServer, lab_directory: str) -> None:
    """Another put repairs it."""
    export = export_of(lab_directory)
    ganesha.put(export)
    by_hand(lab_directory, "RemoveExport", "q", 1)
    assert ganesha.live() == {}
    ganesha.put(export)
    assert ganesha.live() == {1: export}


@pytest.mark.parametrize(
    ("written", "by_somebody"),
    [
        ("Access_Type = RO", "Access_Type = RW"),
        ("Clients = *; Access_Type = None", "Clients = *; Access_Type = RW"),
        ("CLIENT { Clients = *;", "CLIENT { Clients = 10.9.9.9;"),
        ("No_Root_Squash", "Root_Id_Squash"),
        ("Clients = 10.77.1.21;", "Clients = nowhere.invalid;"),
        ("/shares/s1", "/shares/other"),
    ],
)
def test_an_export_that_was_changed_by_hand_differs(
    ganesha: GaneshaServer, lab_directory: str, written: str, by_somebody: str
) -> None:
    """In whatever, and another put repairs it."""
    export = export_of(lab_directory, 1, ("10.77.1.21", "ro"), ("10.77.1.0/24", "ro"))
    ganesha.put(export)
    changed = Path(lab_directory, "changed.conf")
    text = export_text(export)
    changed.write_text(text.replace(written, by_somebody), encoding="utf-8")
    assert written in text
    by_hand(lab_directory, "UpdateExport", "ss", str(changed), "EXPORT(Export_Id=1)")
    live = ganesha.live()
    assert live.keys() == {1}
    assert live[1] != export
    ganesha.put(export)
    assert ganesha.live() == {1: export}


def test_an_export_that_somebody_added_is_live(ganesha: GaneshaServer, lab_directory: str) -> None:
    """So that it is seen, and can be removed."""
    added = Path(lab_directory, "added.conf")
    added.write_text(export_text(export_of(lab_directory, 77)), encoding="utf-8")
    by_hand(lab_directory, "UpdateExport", "ss", str(added), "EXPORT(Export_Id=77)")
    assert ganesha.live().keys() == {77}
    assert ganesha.live([1]) == {}
    ganesha.remove(77)
    assert ganesha.live() == {}


def test_a_port_in_use_is_said_and_nothing_is_left_running(
    make_ganesha: MakeGanesha, ganesha: GaneshaServer, lab_directory: str
) -> None:
    """With who has it and what to do: asking again would not help."""
    second = make_ganesha("second")
    pid = Path(layout_of(lab_directory).pid).read_text(encoding="ascii").strip()
    words = rf"port 2049 on 10\.77\.1\.10 of .* is in use by 'ganesha.nfsd' \(process {pid}\); stop that, or give this server another"
    with pytest.raises(Problem, match=words) as raised:
        second.ensure_running(always)
    assert raised.value.kind is ProblemKind.CONFLICT
    layout = layout_of(lab_directory, "second")
    assert daemons.running_pid(layout.bus_pid, layout.bus_configuration) is None
    ganesha.stop()
    second.ensure_running(always)
    assert second.is_running()


def test_an_address_that_is_not_there_is_said(make_ganesha: MakeGanesha) -> None:
    """With its name, and where it was looked for."""
    with pytest.raises(Problem, match=r"no interface of /run/netns/\S+ has the address 10\.77\.1\.200") as raised:
        make_ganesha(address="10.77.1.200").ensure_running(always)
    assert raised.value.kind is ProblemKind.REFUSED


def test_a_namespace_that_is_gone_is_said(make_ganesha: MakeGanesha) -> None:
    """The server is not started in another."""
    nowhere = Host("st-not-there", "10.77.1.10", "fd77::10")
    with pytest.raises(Problem, match=r"/run/netns/st-not-there"):
        make_ganesha(host=nowhere).ensure_running(always)


def test_the_servers_own_words_are_said_where_it_does_not_start(
    ganesha: GaneshaServer, lab_directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last complaint of its log, and where the log is."""
    ganesha.stop()
    monkeypatch.setattr("sharectl.drivers.linux.agent.nfs.ganesha.server.EXPORTS", "not-there")
    monkeypatch.setattr(stored_exports, "sort", lambda *_: 0)
    with pytest.raises(Problem, match=r"does not start: .*opendir\(not-there\) failed.*/nfs/log"):
        ganesha.ensure_running(always)


def test_what_is_wrong_with_the_configuration_is_said_rather_than_where(make_ganesha: MakeGanesha) -> None:
    """Of an address that getaddrinfo(3) does not take on a host that has none but 127.0.0.1, say."""
    host = Host(f"st-{os.getpid()}-alone", "127.0.0.1", "::1")
    run("ip", "netns", "add", host.namespace)
    try:
        run("ip", "-n", host.namespace, "link", "set", "lo", "up")
        with pytest.raises(Problem, match=r"does not start: .*No IP address found for 127\.0\.0\.1"):
            make_ganesha(host=host).ensure_running(always)
    finally:
        run("ip", "netns", "del", host.namespace)


@pytest.mark.parametrize(
    ("constant", "value", "words"),
    [
        ("_PLUGIN_FOLDERS", ("/nowhere/*",), "nfs-ganesha-vfs"),
        ("_SYSTEM_PATH", "/nowhere", "ganesha.nfsd is not installed .* package nfs-ganesha"),
        ("_MOUNT_TABLE", "/nowhere", "ln -s /proc/self/mounts /nowhere"),
    ],
)
def test_what_is_missing_on_the_host_is_named(
    make_ganesha: MakeGanesha, monkeypatch: pytest.MonkeyPatch, constant: str, value: object, words: str
) -> None:
    """With what to do about it."""
    new = make_ganesha()
    monkeypatch.setattr(process, constant, value)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Problem, match=words) as raised:
        new.ensure_running(always)
    assert raised.value.kind is ProblemKind.REFUSED


@pytest.mark.parametrize(
    ("instance", "options", "words"),
    [
        (Instance("a", '/srv/a"b'), {}, "quotation mark"),
        (Instance("a", "/srv/a\nb"), {}, "control character"),
        (Instance("a", "/srv/a", ("10.0.0.1; }",)), {}, "not an IP address"),
        (Instance("a", "/srv/a", ("10.0.0.0/8",)), {}, "not an IP address"),
        (Instance("a", "/srv/a"), {"port": 0}, "is not a port"),
        (Instance("a", "/srv/a"), {"minor_versions": ()}, "minor versions"),
        (Instance("a", "/srv/a"), {"minor_versions": (3,)}, "minor versions"),
        (Instance("a", "/srv/a"), {"keytab": 'x"'}, "keytab"),
    ],
)
def test_no_hostile_setting_reaches_the_configuration(
    instance: Instance, options: dict[str, object], words: str
) -> None:
    """The server is not even made."""
    with pytest.raises(Problem, match=words) as raised:
        GaneshaServer(instance, **options)  # type: ignore[arg-type]
    assert raised.value.kind is ProblemKind.REFUSED


def test_an_export_that_another_start_withholds_meanwhile_is_put_in_force(
    make_ganesha: MakeGanesha, lab_directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was stored while the server was down, and somebody who knows nothing of it starts the server before it is put there."""
    server, other = make_ganesha(), make_ganesha()
    export = export_of(lab_directory)
    told = GaneshaServer._told

    def started_first(self: GaneshaServer, action: Callable[[], None], **options: bool) -> bool:
        other.ensure_running(lambda _export: False)
        return told(self, action, **options)

    with monkeypatch.context() as patched:
        patched.setattr(server.__class__, "_told", started_first)
        assert server.put(export)
    assert server.live() == {1: export}
    assert not Path(layout_of(lab_directory).withheld, "1.conf").exists()


def full(*_: object, **__: object) -> None:
    """Fail as a disk without space does."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_on_a_full_disk_a_right_that_was_taken_away_goes_all_the_same(
    ganesha: GaneshaServer, lab_directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The export goes whole, now and for later starts, and the change fails; one that was to be made wider stays as it is."""
    one, two = (export_of(lab_directory, number, ("10.77.1.0/24", "rw")) for number in (1, 2))
    for export in (one, two):
        assert ganesha.put(export)
    monkeypatch.setattr(daemons, "write_atomically", full)
    with pytest.raises(OSError, match="No space left"):
        ganesha.put(export_of(lab_directory, 1, ("10.77.1.0/24", "ro")))
    with pytest.raises(OSError, match="No space left"):
        ganesha.put(export_of(lab_directory, 2, ("10.77.1.0/24", "rw"), ("10.77.2.0/24", "ro")))
    assert ganesha.live() == {2: two}
    assert [path.name for path in Path(layout_of(lab_directory).exports).iterdir()] == ["2.conf"]


def test_an_export_is_withdrawn_also_where_it_cannot_be_forgotten(
    ganesha: GaneshaServer, lab_directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call fails, and is to be repeated."""
    assert ganesha.put(export_of(lab_directory, 1))
    monkeypatch.setattr(daemons, "sync_directory", full)
    with pytest.raises(OSError, match="No space left"):
        ganesha.remove(1)
    assert ganesha.live() == {}


def test_a_bus_without_a_server_gives_no_answer(ganesha: GaneshaServer, lab_directory: str) -> None:
    """A connection that was open before the end does not hide it."""
    bus = GaneshaBus(layout_of(lab_directory).socket)
    assert bus.call("DisplayExport", "q", 0)[1] == "/"
    kill(layout_of(lab_directory).pid)
    with pytest.raises(NoAnswerError):
        bus.call("DisplayExport", "q", 0)
    kill(layout_of(lab_directory).bus_pid)
    for _ in range(2):
        with pytest.raises(NoAnswerError):
            bus.call("DisplayExport", "q", 0)
    ganesha.ensure_running(always)
    assert bus.call("DisplayExport", "q", 0)[1] == "/"
    bus.close()


def test_a_server_that_hangs_gives_no_answer_in_time(ganesha: GaneshaServer, lab_directory: str) -> None:
    """The wait has an end."""
    pid = int(Path(layout_of(lab_directory).pid).read_text(encoding="ascii"))
    bus = GaneshaBus(layout_of(lab_directory).socket)
    os.kill(pid, signal.SIGSTOP)
    daemons.wait_until(lambda: ") T " in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8"), "it does not stop")
    try:
        with pytest.raises(NoAnswerError):
            bus.call("DisplayExport", "q", 0, seconds=0.2)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert ganesha.is_running()
    bus.close()


def test_more_requests_than_a_bus_keeps_are_answered_in_order(ganesha: GaneshaServer, lab_directory: str) -> None:
    """Refusals stand where their requests stood."""
    export = export_of(lab_directory, 500)
    ganesha.put(export)
    bus = GaneshaBus(layout_of(lab_directory).socket)
    replies = bus.call_all("DisplayExport", "q", [(number,) for number in range(300, 600)])
    assert [place for place, reply in enumerate(replies) if not isinstance(reply, RefusedError)] == [200]
    bus.close()


def test_an_export_that_the_server_reads_otherwise_is_not_taken_for_done(
    ganesha: GaneshaServer, lab_directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server leaves out a client that it cannot read, and calls that a success: the error says what it says."""
    monkeypatch.setattr(
        "sharectl.drivers.linux.agent.nfs.ganesha.server.export_text",
        lambda export: export_text(export).replace("Clients = 10.77.1.21;", "Clients = nowhere.invalid;"),
    )
    with pytest.raises(Problem, match=r"differently from what it was given: .*nowhere\.invalid") as raised:
        ganesha.put(export_of(lab_directory, 1, ("10.77.1.21", "rw")))
    assert raised.value.kind is ProblemKind.TRANSIENT
    assert "\n" not in str(raised.value)


def test_an_export_that_stays_is_not_taken_for_removed(
    ganesha: GaneshaServer, lab_directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The success of a removal is that the export is gone."""
    ganesha.put(export_of(lab_directory))
    call = GaneshaBus.call
    monkeypatch.setattr(
        GaneshaBus, "call", lambda bus, method, *words: () if method == "RemoveExport" else call(bus, method, *words)
    )
    with pytest.raises(Problem, match="still has the export 1"):
        ganesha.remove(1)


def test_by_an_export_that_cannot_be_removed_nobody_comes_in(
    ganesha: GaneshaServer, lab_directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call fails as one to be repeated, whether the server refuses that, or has another export below it that stays."""
    for number in (1, 2):
        ganesha.put(export_of(lab_directory, number))
    call = GaneshaBus.call

    def refused(bus: GaneshaBus, method: str, *words: object) -> object:
        if method == "RemoveExport":
            reason = "the export has submounts"
            raise RefusedError(reason)
        return call(bus, method, *words)

    with monkeypatch.context() as patched:
        patched.setattr(GaneshaBus, "call", refused)
        with pytest.raises(Problem, match="still has the export 1"):
            ganesha.remove(1)
    assert ganesha.live()[1].clients == frozenset()

    def hide(*_words: object, **_options: object) -> None:
        raise Problem(ProblemKind.TRANSIENT, "the snapshots stay")

    with monkeypatch.context() as patched:
        patched.setattr(SnapshotExports, "hide", hide)
        with pytest.raises(Problem, match="the snapshots stay"):
            ganesha.remove(2)
    assert 2 not in ganesha.live()


def test_an_old_share_with_an_id_of_snapshots_keeps_its_export(ganesha: GaneshaServer, lab_directory: str) -> None:
    """Whatever is done about the snapshots of the share that has the id of the lower half; and it has none itself."""
    low, high = export_of(lab_directory, 1), export_of(lab_directory, 65535)
    for export in (low, high):
        assert ganesha.put(export)
    for number, reason in ((1, "another share's"), (65535, "too high")):
        with pytest.raises(Problem, match=reason):
            ganesha.snapshots.show(number, low.path)
        ganesha.snapshots.hide(number, is_known=True)
        ganesha.snapshots.follow(export_of(lab_directory, number))
    assert ganesha.live() == {1: low, 65535: high}
    ganesha.remove(1)
    assert ganesha.live() == {65535: high}


def test_a_server_that_goes_away_again_and_again_is_said(
    ganesha: GaneshaServer, lab_directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller may try again."""
    kill(layout_of(lab_directory).pid)
    monkeypatch.setattr(process.GaneshaProcess, "answers", lambda _process: True)
    with pytest.raises(Problem, match="ended or hung") as raised:
        ganesha.live()
    assert raised.value.kind is ProblemKind.TRANSIENT


def test_connections_are_closed_with_the_object_that_has_them(ganesha: GaneshaServer, lab_directory: str) -> None:
    """Nobody has to remember it."""
    bus = GaneshaBus(layout_of(lab_directory).socket)
    bus.call("DisplayExport", "q", 0)
    connection = bus._idle[0]
    del bus
    assert connection.sock.fileno() == -1


def test_a_socket_that_nobody_listens_at_gives_no_answer(tmp_path: Path) -> None:
    """As after a crash."""
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(tmp_path / "bus"))
    with pytest.raises(NoAnswerError):
        GaneshaBus(str(tmp_path / "bus")).call("ShowExports", "")
