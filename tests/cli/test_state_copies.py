"""Copies of the state: kept after each change, found without the state, brought back on request."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.simulated.driver import SimulatedDriver
from sharectl.state.sqlite.store import open_store
from sharectl.state.testing.samples import whole_view
from tests.cli.console import Console

if TYPE_CHECKING:
    from pathlib import Path


BACKEND = """\
apiVersion: sharectl/v1
kind: Backend
metadata: {{name: {name}}}
spec: {{driver: simulated, config: {{stateFile: {name}.db}}}}
"""


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep copies in a place of this test's own; return it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "kept"))
    return tmp_path / "kept"


@pytest.fixture
def console(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Console:
    """Return a console in an empty folder beside the copies."""
    (tmp_path / "repository").mkdir()
    return Console(tmp_path / "repository", capsys)


def names(kept: Path) -> list[Path]:
    """Return the copies, oldest first."""
    return sorted(kept.rglob("*.db"), key=lambda path: int(path.stem.partition("-")[2]))


def records(console: Console) -> dict[str, int]:
    """Return the addresses in the state with their versions."""
    store = open_store(console.root / ".sharectl" / "state.db", create=False)
    try:
        return {address: record.version for address, record in whole_view(store).records.items()}
    finally:
        store.close()


def test_a_lost_state_is_brought_back_and_nothing_is_to_be_done(applied: Console) -> None:
    """After `rm -rf .sharectl` each command tells of the copies, and the one that is restored plans empty."""
    before = records(applied)
    shutil.rmtree(applied.root / ".sharectl")
    for command in (["plan"], ["show", "share/one"], ["state", "list"], ["history"], ["lock", "status"], ["unlock"]):
        told = applied(*command)
        assert told.err.count("[state.lost]") == 1, command
        assert "sharectl state restore" in told.err, command
        assert "serial" in told.err
    listed = json.loads(applied("state", "restore", "-o", "json").out)
    assert [copy["resources"] for copy in listed["copies"]] == [len(before)]
    back = applied("state", "restore", listed["copies"][0]["name"], "--yes")
    assert back.code == 0, back.err
    assert records(applied) == before
    assert applied("plan", "--detailed-exitcode").code == 0


def test_the_newest_comes_back_without_a_name(applied: Console) -> None:
    """`state restore --yes`, as somebody types it at three in the morning; without --yes and a terminal nothing happens."""
    newest = records(applied)
    shutil.rmtree(applied.root / ".sharectl")
    assert applied("state", "restore").code == 0
    assert not (applied.root / ".sharectl" / "state.db").exists()
    assert applied("state", "restore", "--yes").code == 0
    assert records(applied) == newest


def test_a_state_that_an_apply_made_in_the_place_of_a_lost_one_still_leads_back(applied: Console) -> None:
    """As CI at night leaves it: the shares were in the way, nothing was done, and the new state would look like the right one."""
    before = records(applied)
    shutil.rmtree(applied.root / ".sharectl")
    assert applied("apply", "--yes").code == 1
    assert (records(applied), before != {}) == ({}, True)
    for command in (["plan"], ["list"], ["apply", "--yes"], ["lock", "status"]):
        told = applied(*command).err
        assert told.count("warning[state.lost]: there is nothing in the state at") == 1, command
        assert "`sharectl state restore` lists them" in told
    assert applied("state", "restore", "--yes").code == 0
    assert records(applied) == before
    assert "state.lost" not in applied("plan", "--detailed-exitcode").err


def test_a_lost_state_is_told_as_long_as_its_shares_are_in_the_way(applied: Console) -> None:
    """The new state holds something by then, and would look like the right one."""
    shutil.rmtree(applied.root / ".sharectl")
    alike = (applied.root / "all.yaml").read_text(encoding="utf-8").split("---\n")[1]
    applied.write("more.yaml", alike.replace("name: one", "name: three"))
    applied("apply", "--yes", "--allow-shared", "sim")
    assert "share/three" in records(applied)
    for command in (["plan"], ["apply", "--yes"]):
        told = applied(*command).err
        assert "holds what is in the way here: share/one, share/two\n" in told
    name = told.partition("`sharectl state restore ")[2].partition(" --force`")[0]
    assert applied("import", "share/one", "gold1/one", "--yes").code == 0
    assert "holds what is in the way here: share/two\n" in applied("plan").err
    assert applied("state", "restore", name, "--force", "--yes").code == 0
    assert "holds what is in the way here: share/three\n" in applied("plan").err


def test_what_this_state_has_forgotten_is_not_called_lost(applied: Console) -> None:
    """Another state of the project had it, long ago; somebody has taken it out of this one since."""
    shutil.rmtree(applied.root / ".sharectl")
    assert applied("import", "--backend", "sim", "--all", "--yes").code == 0
    assert applied("state", "rm", "share/one").code == 0
    told = applied("plan").err
    assert "share.in-the-way" in told
    assert "state.lost" not in told


def test_a_copy_is_private_whole_and_outside_of_the_checkout(applied: Console, kept: Path) -> None:
    """Modes 0600 in 0700, and a state that opens by itself."""
    (copy,) = names(kept)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert stat.S_IMODE(copy.parent.stat().st_mode) == 0o700
    store = open_store(copy, create=False)
    assert whole_view(store).records.keys() == records(applied).keys()
    store.close()
    assert not list(applied.root.rglob("copies"))
    assert {path.name for path in copy.parent.iterdir()} == {copy.name, "origins.json"}


def test_each_change_makes_a_copy_and_only_so_many_stay(applied: Console, kept: Path) -> None:
    """A run that changes nothing makes none; changes by hand count as well."""
    applied.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\nspec: {state: {copies: {keep: 3}}}\n")
    assert applied("apply", "--yes").code == 0
    assert len(names(kept)) == 1
    for number in range(5):
        assert applied("state", "mv", f"share/{number or 'one'}", f"share/{number + 1}").code == 0
    assert len(names(kept)) == 3


def test_none_is_kept_where_that_is_switched_off(simulated: Console, kept: Path) -> None:
    """`keep: 0`."""
    simulated.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\nspec: {state: {copies: {keep: 0}}}\n")
    assert simulated("apply", "--yes").code == 0
    assert not kept.exists()


def test_they_are_kept_where_the_project_says(simulated: Console, kept: Path) -> None:
    """A relative directory is under the project file's folder."""
    text = "apiVersion: sharectl/v1\nkind: Project\nspec: {state: {copies: {directory: ../mine}}}\n"
    simulated.write("sharectl.yaml", text)
    assert simulated("apply", "--yes").code == 0
    assert not kept.exists()
    assert len(names(simulated.root.parent / "mine")) == 1


def test_without_a_home_they_are_beside_the_state(simulated: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    """Better there than nowhere."""
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.delenv("HOME")
    assert simulated("apply", "--yes").code == 0
    assert len(names(simulated.root / ".sharectl" / "copies")) == 1
    (simulated.root / ".sharectl" / "state.db").unlink()
    assert "sharectl state restore" in simulated("plan").err


def side_by_side(root: Path, name: str, capture: pytest.CaptureFixture[str]) -> Console:
    """Return a project whose state is in a folder that it shares with others, applied."""
    console = Console(root / name, capture)
    text = f"apiVersion: sharectl/v1\nkind: Project\nspec: {{state: {{url: 'sqlite:{root}/states/{name}.db'}}}}\n"
    console.write("sharectl.yaml", text)
    console.write("all.yaml", BACKEND.format(name=name))
    assert console("apply", "--yes").code == 0
    return console


def test_copies_of_projects_that_share_a_folder_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a home they lie beside both states; the newest is of the other project, and is not brought back for this one."""
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.delenv("HOME")
    (tmp_path / "states").mkdir()
    mine, _ = (side_by_side(tmp_path, name, capsys) for name in ("mine", "other"))
    (tmp_path / "states" / "mine.db").unlink()
    assert mine("state", "restore", "--yes").code == 0
    assert [line.split()[0] for line in mine("state", "list").out.splitlines()[1:]] == ["backend/mine"]


def test_of_several_states_of_a_project_none_is_guessed(
    simulated: Console, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where one is there, its own newest copy comes back, however new those of the other are; where none is, a name is needed."""
    assert simulated("apply", "--yes").code == 0
    (tmp_path / "second").mkdir()
    monkeypatch.setenv("SHARECTL_STATE", str(tmp_path / "second" / "state.db"))
    simulated.write("all.yaml", BACKEND.format(name="another"))
    assert simulated("apply", "--yes").code == 0
    monkeypatch.delenv("SHARECTL_STATE")
    told = simulated("state", "restore", "--yes")
    assert (told.code, "nothing is to be brought back" in told.err) == (0, True)
    shutil.rmtree(simulated.root / ".sharectl")
    refused = simulated("state", "restore", "--yes")
    assert (refused.code, "state.which-copy" in refused.err) == (1, True)
    assert not (simulated.root / ".sharectl" / "state.db").exists()


def test_one_that_cannot_be_written_is_a_warning(simulated: Console, tmp_path: Path) -> None:
    """The apply has done its work, and says so."""
    (tmp_path / "file").write_text("in the way")
    text = f"apiVersion: sharectl/v1\nkind: Project\nspec: {{state: {{copies: {{directory: {tmp_path}/file/x}}}}}}\n"
    simulated.write("sharectl.yaml", text)
    ended = simulated("apply", "--yes")
    assert ended.code == 0
    assert "warning[state.copy-failed]" in ended.err


def test_a_state_that_was_damaged_during_the_apply_is_named(
    simulated: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the folder of the copies, and nobody is told that all is recorded."""
    plain = SimulatedDriver.update_access

    def update_access(driver: SimulatedDriver, *arguments: Any) -> Any:  # noqa: ANN401 - as the original
        os.truncate(simulated.root / ".sharectl" / "state.db", 4096)
        return plain(driver, *arguments)

    monkeypatch.setattr(SimulatedDriver, "update_access", update_access)
    ended = simulated("apply", "--yes")
    assert ended.code == 1
    assert "error[state.corrupt]" in ended.err, ended.err
    assert "sharectl state restore" in ended.err
    assert "state.copy-failed" not in ended.err


def test_of_an_unchanged_state_the_newest_copy_is_there_already(applied: Console) -> None:
    """Nothing is done, not even a run recorded, and it is no error, however often it is asked for."""
    before = applied("state", "pull").out
    for _ in range(2):
        ended = applied("state", "restore", "--yes")
        assert ended.code == 0
        assert "nothing is to be brought back" in ended.err
    assert applied("state", "pull").out == before


def test_a_newer_state_is_not_replaced_without_being_told(applied: Console) -> None:
    """Neither is that of another lineage."""
    name = json.loads(applied("state", "restore", "-o", "json").out)["copies"][0]["name"]
    assert applied("state", "rm", "share/one").code == 0
    refused = applied("state", "restore", name, "--yes")
    assert refused.code == 1
    assert "it is older" in refused.err
    assert "share/one" not in records(applied)
    newest = json.loads(applied("state", "restore", "-o", "json").out)["copies"][0]["name"]
    assert f"`sharectl state restore {newest}` makes" not in applied("state", "restore").err
    assert applied("state", "restore", name, "--yes", "--force").code == 0
    assert "share/one" in records(applied)
    listed = applied("state", "restore")
    assert listed.err.endswith(
        "what the state holds now; `sharectl state restore COPY --force` goes back to another.\n"
    )
    (applied.root / ".sharectl/state.db").unlink()
    listed = applied("state", "restore")
    assert "` makes the newest of them the state.\n" in listed.err


def test_what_is_replaced_can_be_brought_back_too(applied: Console) -> None:
    """Going back was a mistake: the copy from before is still there."""
    copies = json.loads(applied("state", "restore", "-o", "json").out)["copies"]
    assert applied("state", "rm", "share/one").code == 0
    assert applied("state", "restore", copies[0]["name"], "--yes", "--force").code == 0
    later = json.loads(applied("state", "restore", "-o", "json").out)["copies"]
    without = next(copy for copy in later if copy["resources"] == copies[0]["resources"] - 1)
    assert applied("state", "restore", without["name"], "--yes", "--force").code == 0
    assert "share/one" not in records(applied)


def test_the_newest_is_found_where_an_earlier_one_was_taken_by_a_clock_that_ran_ahead(
    applied: Console, kept: Path
) -> None:
    """By what is brought back without a name, and by what tells that an older state was put in place of a newer one."""
    (ahead,) = names(kept)
    ahead = ahead.rename(ahead.with_name(f"29991231T235959Z-{ahead.stem.partition('-')[2]}.db"))
    earlier = applied.root / "earlier.db"
    shutil.copy(applied.root / ".sharectl" / "state.db", earlier)
    assert applied("state", "mv", "share/one", "share/uno").code == 0
    shutil.copy(earlier, applied.root / ".sharectl" / "state.db")
    assert "error[state.overtaken]" in applied("plan").err
    shutil.rmtree(applied.root / ".sharectl")
    assert applied("state", "restore", "--yes").code == 0
    assert "share/uno" in records(applied)
    assert applied("state", "mv", "share/uno", "share/one").code == 0
    assert len(set(names(kept))) > 2


def test_a_damaged_state_is_set_aside_and_replaced(applied: Console) -> None:
    """What can still be read of it by an expert stays."""
    path = applied.root / ".sharectl" / "state.db"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert "sharectl state restore" in applied("plan").err
    assert applied("state", "restore", "--yes").code == 0
    assert "share/one" in records(applied)
    assert path.with_name("state.db.damaged-1").read_bytes() == data[: len(data) // 2]


def test_a_state_whose_first_page_is_lost_comes_back_by_what_the_error_says(applied: Console) -> None:
    """It cannot be told from a file of another program, so it is somebody's to move."""
    path = applied.root / ".sharectl" / "state.db"
    path.write_bytes(b"\0" * 4096 + path.read_bytes()[4096:])
    ended = applied("state", "restore", "--yes")
    assert (ended.code, "move it away, and `sharectl state restore` brings a copy back" in ended.err) == (1, True)
    assert "`state.file` in sharectl.yaml" in ended.err
    path.rename(path.with_name("was"))
    assert applied("state", "restore", "--yes").code == 0
    assert "share/one" in records(applied)


def test_a_damaged_copy_is_passed_over(applied: Console, kept: Path) -> None:
    """The list holds what can be restored."""
    (copy,) = names(kept)
    copy.write_bytes(copy.read_bytes()[:3000])
    assert json.loads(applied("state", "restore", "-o", "json").out)["copies"] == []
    assert applied("state", "restore", "--yes").code == 1


def test_a_copy_with_a_damaged_row_takes_nothing_away(applied: Console, kept: Path) -> None:
    """The damaged state stays where it is: an empty one in its place would let the next apply make everything again."""
    (copy,) = names(kept)
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("UPDATE resource SET spec = CAST('{}' AS BLOB) WHERE address = 'share/one'")
        connection.commit()
    path = applied.root / ".sharectl" / "state.db"
    path.write_bytes(path.read_bytes()[:9000])
    refused = applied("state", "restore", "--yes")
    assert refused.code == 1
    assert "is not taken: share/one: its spec lacks" in refused.err
    assert path.stat().st_size == 9000
    assert not path.with_name("state.db.damaged-1").exists()


def test_another_clone_of_the_repository_finds_them(applied: Console) -> None:
    """By its git repository, whatever is written of user and password in the address; another folder in it is another project."""
    root = applied.root

    def git(*arguments: str, folder: Path = root) -> None:
        author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        command = ["git", "-C", str(folder), *author, *arguments]
        subprocess.run(command, check=True, capture_output=True)

    git("init", "-q")
    git("remote", "add", "origin", "https://alice:secret@git.example.org/lab/shares.git")
    git("add", "all.yaml", "sharectl.yaml")
    git("commit", "-qm", "Begin")
    shutil.rmtree(root / ".sharectl")
    assert applied("state", "restore", "--yes").code == 0
    clone = Console(root.parent / "clone", applied.capture)
    shutil.copytree(root, clone.root, ignore=shutil.ignore_patterns(".sharectl", ".git"))
    git("init", "-q", folder=clone.root)
    git("remote", "add", "origin", "https://ci-token@git.example.org/lab/shares", folder=clone.root)
    # Copies that were first kept before there was a repository know the path alone: this one is of a repository.
    shutil.rmtree(root.parent / "kept")
    assert applied("state", "mv", "share/one", "share/uno").code == 0
    assert "secret" not in next((root.parent / "kept").rglob("origins.json")).read_text()
    assert "sharectl state restore" in clone("plan").err
    other = Console(clone.root / "other", applied.capture)
    other.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    assert "sharectl state restore" not in other("plan").err
    assert "Copies of other projects" in other("state", "restore").out


def test_without_a_state_the_copies_of_other_projects_stay_closed(applied: Console, kept: Path) -> None:
    """A machine may keep them for hundreds of projects; each first plan would read them all."""
    (copy,) = names(kept)
    other = Console(applied.root.parent / "other", applied.capture)
    other.write("all.yaml", (applied.root / "all.yaml").read_text())
    os.utime(copy, ns=(0, copy.stat().st_mtime_ns))  # so old that reading renews it, also where mounts seldom note that
    ended = other("plan")
    assert (ended.code, "state.lost" in ended.err) == (0, False)
    assert copy.stat().st_atime_ns == 0


def test_a_lost_state_takes_a_document_too(applied: Console) -> None:
    """`state push` makes a state where there is none; what is no document makes none."""
    document = applied.write("state.json", applied("state", "pull").out)
    shutil.rmtree(applied.root / ".sharectl")
    applied.write("wrong.json", "{}")
    assert applied("state", "push", "wrong.json").code == 1
    wrong = json.loads(document.read_text(encoding="utf-8"))
    wrong["resources"][-1]["backend"] = None
    applied.write("wrong.json", json.dumps(wrong))
    assert applied("state", "push", "wrong.json").code == 1
    assert not (applied.root / ".sharectl" / "state.db").exists()
    assert applied("state", "push", str(document)).code == 0
    assert "share/one" in records(applied)


@pytest.fixture
def overtaken(applied: Console) -> Console:
    """Return an applied repository into which somebody has put an older state, after a share was renamed and another took its name."""
    state = applied.root / ".sharectl" / "state.db"
    older = state.read_bytes()
    text = (applied.root / "all.yaml").read_text(encoding="utf-8")
    renamed = text.replace("{name: one,", "{name: uno, annotations: {sharectl/moved-from: one},")
    applied.write("all.yaml", renamed)
    assert applied("apply", "--yes").code == 0
    applied.write("all.yaml", renamed.replace(" annotations: {sharectl/moved-from: one},", ""))
    applied.write(
        "new.yaml", "apiVersion: sharectl/v1\nkind: Share\nmetadata: {name: one}\nspec: {size: 1GiB, protocol: NFS}\n"
    )
    assert applied("apply", "--yes").code == 0
    state.write_bytes(older)
    return applied


@pytest.mark.parametrize(
    "command",
    [("apply", "--yes"), ("apply", "--yes", "--refresh", "none"), ("destroy", "--yes"), ("state", "rm", "share/two")],
)
def test_an_older_state_is_not_worked_with(overtaken: Console, command: tuple[str, ...]) -> None:
    """Its plan would make what was renamed a second time, empty: it is shown, is an error, and is not saved to be applied."""
    before = records(overtaken)
    looked = overtaken("plan", "--out", "saved")
    assert looked.code == 1
    assert "error[state.overtaken]" in looked.err
    assert "share/uno" in looked.out
    assert not (overtaken.root / "saved").exists()
    assert json.loads(overtaken("plan", "-o", "json").out)["stopped"]
    assert "warning[state.overtaken]" in overtaken("state", "list").err
    refused = overtaken(*command)
    assert refused.code == 1
    assert "error[state.overtaken]" in refused.err
    assert "sharectl state restore" in refused.err
    assert records(overtaken) == before


def test_the_later_state_comes_back_over_an_older_one(overtaken: Console) -> None:
    """By the command that the refusal names."""
    name = overtaken("plan").err.partition("sharectl state restore ")[2].partition("`")[0]
    assert overtaken("state", "restore", name, "--yes").code == 0
    assert overtaken("plan", "--detailed-exitcode").code == 0
    assert overtaken("apply", "--yes").code == 0


def test_an_older_state_that_is_meant_is_worked_with(overtaken: Console) -> None:
    """By the other way that the refusal names; so it is after an older copy was restored on purpose."""
    (overtaken.root / "state.json").write_text(overtaken("state", "pull").out, encoding="utf-8")
    assert overtaken("state", "push", "--force", str(overtaken.root / "state.json")).code == 0
    assert "state.overtaken" not in overtaken("apply", "--yes", "--exclude", "share/one").err
    oldest = json.loads(overtaken("state", "restore", "-o", "json").out)["copies"][-1]["name"]
    assert overtaken("state", "restore", oldest, "--yes", "--force").code == 0
    assert "state.overtaken" not in overtaken("plan").err


_KILLED_BEFORE_THE_COPY = """
import os, signal, sys
from sharectl.cli import main
from sharectl.workspace import copies

copies.keep_copy = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
main(sys.argv[1:])
"""


def test_a_restore_that_is_killed_before_its_copy_is_finished_by_the_same_command(applied: Console) -> None:
    """The older state is there by then, and nothing is to be brought back; but nothing would be done with it before a copy holds it, too."""
    backup = str(applied.root / "earlier.db")
    assert applied("state", "backup", "--to", backup).code == 0
    assert applied("state", "mv", "share/one", "share/uno").code == 0
    before = records(applied)
    command = ("state", "restore", backup, "--yes", "--force")
    killed = [sys.executable, "-c", _KILLED_BEFORE_THE_COPY, *command]
    assert subprocess.run(killed, cwd=applied.root, capture_output=True, check=False).returncode == -signal.SIGKILL
    assert records(applied) != before
    assert "error[state.overtaken]" in applied("plan").err
    assert applied(*command).code == 0
    assert applied("apply", "--yes").code == 0
    assert "nothing is to be brought back" in applied("state", "restore", "--yes").err


def test_of_two_copies_of_a_project_one_goes_on(applied: Console) -> None:
    """A folder that was copied with its state: what is applied in one of them is not known in the other."""
    other = Console(applied.root.parent / "other", applied.capture)
    shutil.copytree(applied.root, other.root)
    text = (applied.root / "all.yaml").read_text(encoding="utf-8")
    for console, name in ((applied, "three"), (other, "four")):
        console.write("all.yaml", text.replace("{name: one,", f"{{name: {name},"))
    assert applied("apply", "--yes").code == 0
    refused = other("apply", "--yes")
    assert refused.code == 1
    assert "error[state.overtaken]" in refused.err
