"""Mount points that cannot be written to, and binds that show what they should."""

from __future__ import annotations

import errno
import itertools
import os
import signal
import subprocess
from pathlib import Path

import pytest

from sharectl.drivers.linux.agent.contract import ProblemKind
from sharectl.drivers.linux.agent.host import daemons, mounts, own_mounts, system_calls
from tests.drivers.linux.lab import need, run
from tests.drivers.linux.pools import fails_with


@pytest.fixture
def source(lab_directory: str) -> str:
    """Give a folder with a file in it."""
    folder = Path(lab_directory, "source")
    folder.mkdir()
    (folder / "file").touch()
    return str(folder)


@pytest.fixture
def target(lab_directory: str) -> str:
    """Give a mount point that was made."""
    path = f"{lab_directory}/target"
    mounts.make_mount_point(path)
    return path


def mounted_at(path: str) -> list[mounts.Mount]:
    """Return the mounts at the path, as the kernel lists them."""
    return [mount for mount in mounts.read_mounts() if mount.point == path]


def options_of(path: str) -> set[str]:
    """Return the options of what is mounted at the path, or of the mount that it is in."""
    return set(run("findmnt", "-n", "-o", "VFS-OPTIONS", "-T", path).stdout.strip().split(","))


def test_nobody_can_write_to_a_mount_point_that_nothing_is_mounted_on(target: str) -> None:
    """Not even root: a server that is started too early fails instead of filling the host's disk."""
    need()
    for act in (lambda: Path(target, "x").touch(), lambda: Path(target).chmod(0o777), lambda: Path(target).rmdir()):
        with pytest.raises(PermissionError):
            act()
    assert Path(target).stat().st_mode & 0o7777 == 0o555


def test_making_a_mount_point_again_changes_nothing(source: str, target: str) -> None:
    """Free or mounted on: what is mounted there keeps its mode."""
    mounts.make_mount_point(target)
    mounts.bind(source, target)
    Path(source).chmod(0o710)
    mounts.make_mount_point(target)
    assert Path(source).stat().st_mode & 0o7777 == 0o710
    Path(target, "written").touch()


def test_a_mount_point_that_was_made_by_hand_or_in_part_is_finished(lab_directory: str) -> None:
    """As when the process was killed after the first step."""
    path = Path(lab_directory, "half")
    path.mkdir(mode=0o777)
    mounts.make_mount_point(str(path))
    with pytest.raises(PermissionError):
        (path / "x").touch()


def test_a_folder_with_content_a_file_and_a_link_are_no_mount_points(lab_directory: str, source: str) -> None:
    """What they hold would be hidden, or somebody else's would be mounted on."""
    file, link = Path(lab_directory, "file"), Path(lab_directory, "link")
    file.touch()
    link.symlink_to("source")
    for path in (source, str(file), str(link)):
        with fails_with(ProblemKind.CONFLICT, path):
            mounts.make_mount_point(path)
    Path(source, "still-writable").touch()
    with fails_with(ProblemKind.NOT_FOUND):
        mounts.make_mount_point(f"{lab_directory}/no/parent")


def test_a_mount_point_is_removed_and_removing_it_again_is_no_error(source: str, target: str) -> None:
    """But not while something is mounted there."""
    mounts.bind(source, target)
    with fails_with(ProblemKind.IN_USE, "something is mounted"):
        mounts.remove_mount_point(target)
    mounts.unbind(target)
    for _ in range(2):
        mounts.remove_mount_point(target)
    assert not Path(target).exists()
    with fails_with(ProblemKind.CONFLICT, "not empty"):
        mounts.remove_mount_point(source)


def test_a_bind_shows_the_source_and_is_made_once(source: str, target: str) -> None:
    """Repeated it finds itself."""
    assert not mounts.is_mount_point(target)
    for _ in range(3):
        mounts.bind(source, target)
    assert mounts.is_mount_point(target)
    assert Path(target, "file").exists()
    assert len(mounted_at(target)) == 1
    for _ in range(2):
        mounts.unbind(target)
    assert not mounts.is_mount_point(target)
    assert list(Path(target).iterdir()) == []


def test_a_stale_bind_is_replaced_also_while_somebody_is_in_it(lab_directory: str, source: str, target: str) -> None:
    """Its folder was replaced by another of the same name: a client must not go on with the old one."""
    mounts.bind(source, target)
    held = os.open(f"{target}/file", os.O_RDONLY)
    try:
        Path(source).rename(f"{lab_directory}/old")
        Path(source).mkdir()
        Path(source, "newer").touch()
        mounts.bind(source, target)
    finally:
        os.close(held)
    assert [entry.name for entry in Path(target).iterdir()] == ["newer"]
    assert len(mounted_at(target)) == 1


def test_what_was_mounted_over_a_bind_is_taken_away(source: str, target: str) -> None:
    """Layers, too."""
    mounts.bind(source, target)
    run("mount", "-t", "tmpfs", "none", target)
    mounts.bind(source, target)
    assert len(mounted_at(target)) == 1
    run("mount", "-t", "tmpfs", "none", target)
    mounts.unbind(target)
    assert mounted_at(target) == []


def test_a_bind_that_is_in_use_on_the_host_is_not_taken_away(
    source: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says how to find who uses it."""
    monkeypatch.setattr(mounts, "_BUSY_SECONDS", 0.05)
    mounts.bind(source, target)
    held = os.open(f"{target}/file", os.O_RDONLY)
    try:
        with fails_with(ProblemKind.IN_USE, f"fuser -vm {target}"):
            mounts.unbind(target)
    finally:
        os.close(held)
    mounts.unbind(target)


def test_set_user_id_bits_and_device_files_have_no_effect_in_a_bind(source: str, target: str) -> None:
    """Clients that are root make them; the flags of the mount that the source is in, and the source's own mount, stay as they are."""
    run("mount", "-t", "tmpfs", "-o", "noexec,noatime", "none", source)
    mounts.bind(source, target)
    assert options_of(target) >= {"nosuid", "nodev", "noexec", "noatime", "rw"}
    assert {"nosuid", "nodev"}.isdisjoint(options_of(source))


def test_a_bind_that_was_made_without_these_restrictions_gets_them(source: str, target: str) -> None:
    """As when the process was killed between the two steps."""
    run("mount", "--bind", source, target)
    assert "nosuid" not in options_of(target)
    mounts.bind(source, target)
    assert options_of(target) >= {"nosuid", "nodev"}
    assert len(mounted_at(target)) == 1


def test_what_a_process_works_in_is_detached_at_once(source: str, target: str) -> None:
    """All layers; the process stays where it is, and nobody else gets there."""
    mounts.bind(source, target)
    run("mount", "-t", "tmpfs", "none", target)
    mounts.bind(source, target)
    run("mount", "--bind", source, target)
    with subprocess.Popen(["cat"], cwd=target, stdin=subprocess.PIPE) as inside:  # noqa: S607 - any cat will do
        for _ in range(2):
            mounts.detach(target)
        assert mounted_at(target) == []
        assert list(Path(target).iterdir()) == []
        assert Path(f"/proc/{inside.pid}/cwd/file").exists()
    mounts.remove_mount_point(target)
    mounts.detach(target)


def test_detaching_what_the_kernel_refuses_to_let_go_says_so(
    lab_directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And an answer that another process was quicker is none of that."""
    answers = iter((errno.EINVAL, errno.EPERM))

    def refuse(_target: str, _flags: int) -> None:
        raise OSError(code := next(answers), os.strerror(code))

    monkeypatch.setattr(mounts, "is_mount_point", lambda _path: True)
    monkeypatch.setattr(system_calls, "unmount", refuse)
    with fails_with(ProblemKind.REFUSED, f"{lab_directory} cannot be detached"):
        mounts.detach(lab_directory)


def test_neither_a_missing_folder_nor_a_link_is_bound(lab_directory: str, source: str, target: str) -> None:
    """A link could lead anywhere."""
    with fails_with(ProblemKind.NOT_FOUND, "nowhere"):
        mounts.bind(f"{lab_directory}/nowhere", target)
    with fails_with(ProblemKind.NOT_FOUND, "nowhere"):
        mounts.bind(source, f"{lab_directory}/nowhere")
    link = Path(lab_directory, "link")
    link.symlink_to("source")
    for pair in ((str(link), target), (source, str(link))):
        with fails_with(ProblemKind.CONFLICT):
            mounts.bind(*pair)
    assert mounted_at(target) == mounted_at(source) == []
    mounts.unbind(f"{lab_directory}/nowhere")


def test_names_with_blanks_backslashes_and_newlines_are_read_as_they_are(lab_directory: str, source: str) -> None:
    r"""Mountinfo writes them in octal."""
    for name in ("a b", "back\\slash", "new\nline", "tab\tbed", "ünïcode", "hash#", "\\040"):
        path = f"{lab_directory}/{name}"
        mounts.make_mount_point(path)
        mounts.bind(source, path)
        assert [mount.root.rpartition("/")[2] for mount in mounted_at(path)] == ["source"]
        mounts.unbind(path)
        mounts.remove_mount_point(path)


def test_a_line_of_mountinfo_is_read_with_any_number_of_optional_fields() -> None:
    """Shared and slave mounts have some."""
    text = b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:2 - ext3 /dev/root rw\n41 36 0:9 / /p rw - btrfs /dev/sda rw\n"
    assert mounts.parse_mounts(text) == [
        mounts.Mount("98:0", "/mnt1", "/mnt2", "ext3", "/dev/root"),
        mounts.Mount("0:9", "/", "/p", "btrfs", "/dev/sda"),
    ]


def test_a_file_system_without_flags_takes_mount_points_by_their_mode(lab_directory: str) -> None:
    """As procfs; there a server that is root could write, so that it is checked before it is started too."""
    descriptor = os.open("/proc/self", os.O_RDONLY)
    try:
        assert not mounts.is_immutable(descriptor)
        mounts.set_immutable(descriptor, wanted=True)
    finally:
        os.close(descriptor)


def test_what_is_shared_with_daemons_shows_what_was_bound_before_and_can_be_undone(
    lab_directory: str, source: str
) -> None:
    """Once each, so that it can be unmounted; twice the same is no error."""
    folder = Path(lab_directory, "exports")
    folder.mkdir()
    run("mount", "--bind", lab_directory, lab_directory)
    run("mount", "--make-shared", lab_directory)  # as systemd has it
    early, late = (str(folder / name) for name in ("early", "late"))
    for _ in range(2):
        mounts.make_mount_point(early)
        mounts.bind(source, early)
        mounts.share(str(folder))
    assert [len(mounted_at(path)) for path in (str(folder), early)] == [1, 1]
    mounts.make_mount_point(late)
    mounts.bind(source, late)
    mounts.unshare(str(folder))
    assert mounted_at(str(folder)), "something is bound there"
    assert Path(early, "file").exists()
    for path in (early, late):
        mounts.unbind(path)
    mounts.unshare(str(folder))
    mounts.unshare(str(folder))
    assert not mounted_at(str(folder))
    run("umount", lab_directory)


@pytest.mark.parametrize("cut", [2, 3, 4, 5])
def test_what_is_shared_with_daemons_can_be_freed_wherever_that_was_cut_short(
    lab_directory: str, source: str, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    """Nothing stays mounted below the folder in a place that no path leads to, which would hold the volume."""
    folder = Path(lab_directory, "exports")
    folder.mkdir()
    names = [str(folder / name) for name in ("one", "two")]
    for name in names:
        mounts.make_mount_point(name)
        mounts.bind(source, name)
    calls, real = itertools.count(1), system_calls._call

    def killed(*arguments: object) -> int:
        if arguments[0] in {"mount", "umount2", "syscall"} and next(calls) > cut:
            raise KeyboardInterrupt
        return real(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(system_calls, "_call", killed)
        with pytest.raises(KeyboardInterrupt):
            mounts.share(str(folder))
    mounts.share(str(folder))
    for name in names:
        mounts.make_mount_point(name)
        mounts.bind(source, name)
        assert Path(name, "file").exists()
        mounts.unbind(name)
    mounts.unshare(str(folder))
    assert [mount.point for mount in mounts.read_mounts() if mount.point.startswith(str(folder))] == []


def test_a_daemon_with_mounts_of_its_own_sees_what_it_needs_and_holds_nothing_else(
    lab_directory: str, source: str
) -> None:
    """What is bound later in a folder that is shared it sees too; the host's other mounts can be unmounted, with their devices."""
    exports, shown, other = (Path(lab_directory, name) for name in ("exports", "shown", "other"))
    for folder in (exports, shown, other):
        folder.mkdir()
    (shown / "instead").touch()
    run("mount", "-t", "tmpfs", "none", str(other))
    mounts.share(str(exports))
    pid_file = Path(lab_directory, "pid")
    script = f"echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep 1000"
    daemons.start(
        ("/bin/sh", "-c", script),
        namespace=None,
        output_path=f"{lab_directory}/output",
        enter_mounts=lambda: own_mounts.enter([lab_directory + "/exports"], [(str(shown), "/run")]),
    )
    daemons.wait_until(pid_file.exists, "it does not start")
    pid = int(pid_file.read_text(encoding="ascii"))
    try:
        late = f"{exports}/late"
        mounts.make_mount_point(late)
        mounts.bind(source, late)
        seen = Path(f"/proc/{pid}/root")
        assert (seen / late.removeprefix("/") / "file").exists()
        assert os.listdir(seen / "run") == ["instead"]  # noqa: PTH208 - the names alone
        points = {mount.point for mount in mounts.parse_mounts(Path(f"/proc/{pid}/mountinfo").read_bytes())}
        assert str(other) not in points
        mounts.unbind(late)
        assert not (seen / late.removeprefix("/") / "file").exists()
        assert os.listdir("/run") != ["instead"]  # noqa: PTH208 - as above
    finally:
        os.kill(pid, signal.SIGKILL)
