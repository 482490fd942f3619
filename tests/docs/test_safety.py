"""What docs/safety.md promises, shown with the program itself."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import pytest

from .repository import Repository

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAMES = [f"share-{number:02}" for number in range(12)]
DEADLINE_SECONDS = 300.0


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Return a repository with a backend and no shares."""
    made = Repository(tmp_path)
    made.write_backend()
    return made


def wait_for(condition: Callable[[], bool]) -> None:
    """Ask again and again until the condition holds."""
    turn = threading.Event()
    for _ in range(int(DEADLINE_SECONDS / 0.01)):
        if condition():
            return
        turn.wait(0.01)
    pytest.fail("what the test waits for did not happen")


@pytest.mark.parametrize("calls", [1, 3, 9, 20])
def test_an_apply_that_is_killed_is_finished_by_the_next(repository: Repository, calls: int) -> None:
    """Every share is made once, none is orphaned, and the plan after that is empty."""
    repository.write_backend(latency={"create_share": "20ms", "update_access": "20ms"})
    for name in NAMES:
        repository.write_share(name, access=[{"type": "ip", "to": "10.0.0.0/8", "level": "rw"}])
    with repository.start("apply", "--yes") as process:
        wait_for(lambda: len(repository.on_backend("SELECT 1 FROM calls WHERE call != 'report'")) >= calls)
        process.kill()
    repository.applied()
    assert repository.on_backend("SELECT name FROM shares ORDER BY name") == NAMES
    assert repository.run("plan", "--detailed-exitcode").code == 0


def test_ctrl_c_lets_running_steps_end_and_starts_no_new_ones(repository: Repository) -> None:
    """What was done is recorded, nothing is left open, and the next apply does the rest."""
    repository.write_backend(latency={"create_share": "2s"})
    names = [f"share-{number:02}" for number in range(60)]  # so many that they take half a minute
    for name in names:
        repository.write_share(name)
    with repository.start("apply", "--yes") as process:
        wait_for(lambda: bool(repository.on_backend("SELECT 1 FROM calls WHERE call = 'create_share'")))
        process.send_signal(signal.SIGINT)
        text, _ = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 130, text
    made = repository.shares()
    assert 0 < len(made) < len(names)
    assert repository.run("state", "list").text.count("share/") == len(made)
    assert "unresolved" not in repository.run("plan").text
    repository.write_backend()
    repository.applied()
    assert repository.shares() == names


def test_a_second_apply_is_told_who_is_at_work(repository: Repository) -> None:
    """It ends with 75 at once, and changes nothing."""
    repository.write_backend(faults=[{"call": "create_share", "effect": "hang"}])
    repository.write_share("slow")
    with repository.start("apply", "--yes") as process:
        wait_for(lambda: bool(repository.on_backend("SELECT 1 FROM calls WHERE call = 'create_share'")))
        second = repository.run("apply", "--yes")
        process.kill()
    assert second.code == 75
    assert f"process {process.pid}" in second.text
    assert repository.shares() == []


def test_a_backend_that_cannot_be_read_loses_nothing(repository: Repository) -> None:
    """Its shares are unknown: none is made again, none is forgotten."""
    repository.write_share("kept")
    repository.applied()
    repository.write_backend(faults=[{"call": "list_shares", "effect": "unavailable"}])
    planned = repository.run("plan", "--detailed-exitcode")
    assert planned.code == 1
    assert "No changes" in planned.text
    assert "backend.unknown" in planned.text


def test_a_clone_waits_for_a_backend_that_cannot_be_read_and_holds_nothing_back(repository: Repository) -> None:
    """What concerns other backends is done, and the clone is made once its own backend answers."""
    repository.write_share("data")
    repository.write("snapshot.yaml", "Snapshot", "monday", {"share": "data"})
    repository.applied()
    repository.write("other.yaml", "Backend", "other", {"driver": "simulated", "config": {"stateFile": "other.db"}})
    repository.write_backend(faults=[{"call": "report", "effect": "unavailable"}])
    repository.write_share("copy", sourceSnapshot="monday")
    repository.write_share("fresh")
    ended = repository.run("apply", "--yes")
    assert (ended.code, "share.held" in ended.text) == (1, True)
    assert "share/fresh" in repository.run("state", "list").text
    assert repository.shares() == ["data"]
    repository.write_backend()
    repository.applied()
    assert repository.shares() == ["copy", "data"]


def test_nothing_is_made_on_storage_that_is_not_the_one_the_state_knows(repository: Repository) -> None:
    """An exchanged filer answers, and is neither read as empty nor written to."""
    repository.write_share("first")
    repository.applied()
    repository.change_backend("UPDATE backend SET identity = 'another'")
    repository.change_backend("DELETE FROM shares")
    assert "backend.identity" in repository.run("plan", "--detailed-exitcode").text
    repository.write_share("second")
    assert repository.run("apply", "--yes").code == 1
    assert repository.shares() == []


def test_a_list_that_is_cut_short_does_not_make_many_shares_again(repository: Repository) -> None:
    """More lost shares than the limits allow stop the plan; the number repeated lets it go on."""
    for name in NAMES:
        repository.write_share(name)
    repository.applied()
    repository.change_backend("DELETE FROM shares WHERE name < 'share-06'")
    refused = repository.run("apply", "--yes")
    assert refused.code == 1
    assert "--allow-recreations 6" in refused.text
    assert len(repository.shares()) == 6
    assert repository.run("apply", "--yes", "--allow-recreations", "6").code == 0
    assert repository.shares() == NAMES


def test_many_deletions_at_once_are_refused_until_their_number_is_repeated(repository: Repository) -> None:
    """A smaller number than there are deletions does not do."""
    for name in NAMES:
        repository.write_share(name, deletionPolicy="delete")
    repository.applied()
    for name in NAMES[:5]:
        repository.remove(name)
    for flags in ([], ["--allow-deletions", "4"]):
        refused = repository.run("apply", "--yes", *flags)
        assert refused.code == 1
        assert "5 of 12" in refused.text
    assert repository.shares() == NAMES
    assert repository.run("apply", "--yes", "--allow-deletions", "5").code == 0
    assert repository.shares() == NAMES[5:]


def access_rule(repository: Repository, name: str, to: str, level: str = "rw") -> None:
    """Write an access rule as a document of its own."""
    spec = {"share": name, "type": "ip", "to": to, "level": level}
    repository.write(f"rule-{name}.yaml", "AccessRule", name, spec)


def test_many_revocations_at_once_are_refused_until_their_number_is_repeated(repository: Repository) -> None:
    """A folder of access rules that is missing takes nobody's access away; neither do many that are narrowed."""
    for name in NAMES:
        repository.write_share(name)
        access_rule(repository, name, "10.0.0.0/8")
    repository.applied()
    before = repository.on_backend("SELECT access FROM shares")
    for name in NAMES:
        (repository.path / f"rule-{name}.yaml").unlink()
    for flags in ([], ["--allow-revocations", "11"], ["--allow-deletions", "12"]):
        refused = repository.run("apply", "--yes", *flags)
        assert refused.code == 1
        assert "take away or narrow 12 of 12 access rules" in refused.text
        assert "--allow-revocations 12" in refused.text
    for to, level in (("10.0.0.0/8", "ro"), ("10.1.0.0/16", "rw")):
        for name in NAMES:
            access_rule(repository, name, to, level)
        assert "narrow 12 of 12" in repository.run("apply", "--yes").text
    assert repository.on_backend("SELECT access FROM shares") == before
    for name in NAMES:
        access_rule(repository, name, "10.0.0.0/7")
    repository.applied()
    for name in NAMES[1:]:
        access_rule(repository, name, "10.0.0.0/8")
    assert repository.run("apply", "--yes", "--allow-revocations", "11").code == 0


def test_a_protected_share_does_not_lose_all_of_its_access_at_once(repository: Repository) -> None:
    """Some of it may go; all of it goes once it is not protected any more, or with the override."""
    one, two = ({"type": "ip", "to": to, "level": "rw"} for to in ("10.0.0.1", "10.0.0.2"))
    repository.write_share("kept", protect=True, access=[one, two])
    repository.applied()
    repository.write_share("kept", protect=True, access=[two])
    repository.applied()
    repository.write_share("kept", protect=True)
    refused = repository.run("apply", "--yes")
    assert refused.code == 1
    assert "share/kept is protected and would lose all of its access (ip:10.0.0.2)" in refused.text
    assert repository.on_backend("SELECT access FROM shares") == ['[["ip","10.0.0.2","rw"]]']
    assert repository.run("apply", "--yes", "--override-protection", "share/kept").code == 0
    assert repository.on_backend("SELECT access FROM shares") == ["[]"]


def test_forgetting_many_shares_counts_as_removing_them(repository: Repository) -> None:
    """The policy `retain` saves the data; that so many manifests went is likely to be the same mistake."""
    for name in NAMES:
        repository.write_share(name)
    repository.applied()
    for name in NAMES[:5]:
        repository.remove(name)
    assert "--allow-deletions 5" in repository.run("apply", "--yes").text
    assert "share/share-00" in repository.run("state", "list").text


def test_an_empty_set_of_manifests_removes_nothing(repository: Repository) -> None:
    """However few shares there are."""
    repository.write_share("only", deletionPolicy="delete")
    repository.applied()
    repository.remove("only")
    assert "--allow-empty" in repository.run("apply", "--yes").text
    assert repository.shares() == ["only"]
    assert repository.run("apply", "--yes", "--allow-empty").code == 0
    assert repository.shares() == []


@pytest.mark.parametrize("damage", ["kind: [Share", "kind: Share\nkind: Share\n", "\x00"])
def test_a_manifest_that_cannot_be_read_is_not_a_manifest_that_is_gone(repository: Repository, damage: str) -> None:
    """With a mistake anywhere nothing is planned at all."""
    for name in ("first", "second"):
        repository.write_share(name, deletionPolicy="delete")
    repository.applied()
    (repository.path / "share-first.yaml").write_text(damage, encoding="utf-8")
    ended = repository.run("apply", "--yes")
    assert ended.code == 1
    assert "share-first.yaml:" in ended.text
    assert repository.shares() == ["first", "second"]


@pytest.mark.parametrize(("former", "code"), [("projets", 1), ("something-else", 0)])
def test_a_rename_that_matches_nothing_is_no_deletion(repository: Repository, former: str, code: int) -> None:
    """Where the name is near to one that would go, nothing is done; otherwise the plan says what goes."""
    for name in ("projects", "other"):
        repository.write_share(name, deletionPolicy="delete")
    repository.applied()
    repository.remove("projects")
    repository.write_share("research")
    path = repository.path / "share-research.yaml"
    text = path.read_text()
    annotations = f'"annotations": {{"sharectl/moved-from": "{former}"}}'
    path.write_text(text.replace('"name": "research"', f'"name": "research", {annotations}'))
    found = repository.run("plan")
    assert found.code == code
    assert "move.unknown" in found.text
    assert ('did you mean "share/projects"?' in found.text) is bool(code)
    if code:
        assert repository.run("apply", "--yes").code == 1
        assert repository.shares() == ["other", "projects"]


@pytest.mark.parametrize("target", ["share/projects", "share/research"])
def test_a_renamed_share_keeps_its_data_by_whichever_name_it_is_targeted(repository: Repository, target: str) -> None:
    """The old name is that of a share whose manifest is gone only where no other manifest says that it was that one."""
    for name in ("projects", "other"):
        repository.write_share(name, deletionPolicy="delete")
    repository.applied()
    repository.remove("projects")
    repository.write_share("research", deletionPolicy="delete")
    path = repository.path / "share-research.yaml"
    annotations = '"annotations": {"sharectl/moved-from": "projects"}'
    path.write_text(path.read_text().replace('"name": "research"', f'"name": "research", {annotations}'))
    assert repository.run("apply", "--yes", "--target", target).code == 0
    assert repository.shares() == ["other", "projects"]
    assert "No changes" in repository.run("plan").text


def test_without_a_policy_data_stays_where_it_is(repository: Repository) -> None:
    """A share whose manifest is gone is forgotten and not touched."""
    for name in ("kept", "other"):
        repository.write_share(name)
    repository.applied()
    repository.remove("kept")
    repository.applied()
    assert repository.shares() == ["kept", "other"]
    assert "share/kept" not in repository.run("state", "list").text


def test_trash_keeps_the_data_and_import_brings_it_back(repository: Repository) -> None:
    """Under the manifest of the same name."""
    for name in ("kept", "other"):
        repository.write_share(name, deletionPolicy="trash")
    repository.applied()
    repository.change_backend("UPDATE shares SET content = 'precious' WHERE name = 'kept'")
    backend_id = repository.on_backend("SELECT backend_id FROM shares WHERE name = 'kept'")[0]
    repository.remove("kept")
    repository.applied()
    assert repository.shares() == ["other"]
    repository.write_share("kept", deletionPolicy="trash")
    assert repository.run("import", "share/kept", backend_id, "--backend", "sim", "--yes").code == 0
    assert repository.on_backend("SELECT content FROM shares WHERE name = 'kept' AND trashed_at IS NULL") == [
        "precious"
    ]


def test_a_share_is_not_deleted_from_under_its_snapshots(repository: Repository) -> None:
    """A snapshot that is to stay keeps its share."""
    for name in ("data", "other"):
        repository.write_share(name, deletionPolicy="delete")
    repository.write("share-snapshot.yaml", "Snapshot", "before", {"share": "data"})
    repository.applied()
    repository.remove("data")
    repository.remove("snapshot")
    assert "share.kept-snapshots" in repository.run("apply", "--yes").text
    assert repository.shares() == ["data", "other"]


def test_the_identity_of_storage_that_was_exchanged_on_purpose_can_be_forgotten(repository: Repository) -> None:
    """After that the new storage is prepared and pinned."""
    repository.write_share("data")
    repository.applied()
    (repository.path / "sim.db").unlink()
    assert repository.run("state", "rm", "backend/sim").code == 0
    repository.applied()
    assert repository.shares() == ["data"]


@pytest.mark.parametrize("command", ["apply", "destroy"])
def test_protection_outlives_the_manifest(repository: Repository, command: str) -> None:
    """Only the address, named, lifts it."""
    repository.write_share("precious", protect=True, deletionPolicy="delete")
    repository.write_share("other")
    repository.applied()
    repository.remove("precious")
    refused = repository.run(command, "--yes")
    assert refused.code == 1
    assert "safety.protected" in refused.text
    assert "precious" in repository.shares()
    assert repository.run(command, "--yes", "--override-protection", "share/precious").code == 0
    assert "precious" not in repository.shares()


def test_a_revert_is_done_once_and_never_repeated_by_itself(repository: Repository) -> None:
    """Killed in the middle, it is left to people: what was written meanwhile stays until there is a new request."""
    repository.write_share("data")
    repository.applied()
    repository.change_backend("UPDATE shares SET content = 'old'")
    repository.write("snapshot.yaml", "Snapshot", "monday", {"share": "data"})
    repository.applied()
    repository.change_backend("UPDATE shares SET content = 'new'")
    repository.write_backend(faults=[{"call": "revert_share", "effect": "hang"}])
    repository.write_share("data", revertTo={"snapshot": "monday", "request": "T-1"})
    planned = repository.run("plan").text
    assert "! what was written since snapshot/monday was taken is destroyed" in planned
    assert "1 share loses for good what is newer than a snapshot: share/data (snapshot/monday)" in planned
    with repository.start("apply", "--yes") as process:
        wait_for(lambda: bool(repository.on_backend("SELECT 1 FROM calls WHERE call = 'revert_share'")))
        process.kill()
    repository.write_backend()
    assert repository.run("apply", "--yes").code == 1
    assert repository.on_backend("SELECT content FROM shares") == ["new"]
    assert "share.revert-cut-short" in repository.run("plan").text
    repository.write_share("data", revertTo={"snapshot": "monday", "request": "T-2"})
    repository.applied()
    assert repository.on_backend("SELECT content FROM shares") == ["old"]
    repository.change_backend("UPDATE shares SET content = 'newer'")
    repository.applied()
    assert repository.on_backend("SELECT content FROM shares") == ["newer"]


def test_a_protected_share_is_not_turned_back(repository: Repository) -> None:
    """Only the address, named, lifts it."""
    repository.write_share("data", protect=True)
    repository.write("snapshot.yaml", "Snapshot", "monday", {"share": "data"})
    repository.applied()
    repository.change_backend("UPDATE shares SET content = 'new'")
    repository.write_share("data", protect=True, revertTo={"snapshot": "monday", "request": "T-1"})
    refused = repository.run("apply", "--yes")
    assert (refused.code, "safety.protected" in refused.text) == (1, True)
    assert repository.on_backend("SELECT content FROM shares") == ["new"]
    assert repository.run("apply", "--yes", "--override-protection", "share/data").code == 0
    assert repository.on_backend("SELECT content FROM shares") != ["new"]


def test_a_share_does_not_shrink_or_become_another_by_mistake(repository: Repository) -> None:
    """A smaller size and another protocol are refused, with the way to say that they are meant."""
    repository.write_share("data", size="2GiB")
    repository.applied()
    repository.write_share("data", size="1GiB")
    assert "allowShrink: true" in repository.run("apply", "--yes").text
    repository.write_share("data", size="2GiB", protocol="CIFS")
    assert "--replace share/data" in repository.run("apply", "--yes").text
    assert repository.on_backend("SELECT protocol || size_bytes FROM shares") == [f"NFS{2 << 30}"]


def test_a_saved_plan_that_has_aged_is_refused_for_what_has_changed(repository: Repository) -> None:
    """What the plan has for other resources is done."""
    for name in ("aged", "fresh"):
        repository.write_share(name)
    repository.applied()
    for name in ("aged", "fresh"):
        repository.write_share(name, size="3GiB")
    assert repository.run("plan", "--out", "saved.plan").code == 0
    repository.write_share("aged", size="5GiB")
    assert repository.run("apply", "--yes", "--target", "share/aged").code == 0
    ended = repository.run("apply", "saved.plan")
    assert ended.code == 1
    assert "share/aged: changed since the plan was made (version" in ended.text
    assert repository.on_backend("SELECT size_bytes >> 30 FROM shares ORDER BY name") == [5, 3]


def test_one_failure_does_not_stop_what_does_not_depend_on_it(repository: Repository) -> None:
    """The summary names the failure, and the next apply does the rest."""
    repository.write_backend(faults=[{"call": "create_share", "name": "bad", "effect": "error"}])
    for name in ("bad", "good"):
        repository.write_share(name, access=[{"type": "ip", "to": "10.0.0.1", "level": "rw"}])
    ended = repository.run("apply", "--yes")
    assert ended.code == 1
    assert "share/bad" in ended.text
    assert repository.shares() == ["good"]
    repository.write_backend()
    repository.applied()
    assert repository.shares() == ["bad", "good"]


def test_a_call_that_lies_is_found_out_by_the_next_plan(repository: Repository) -> None:
    """Observed is what a backend lists, not what it said."""
    repository.write_backend(faults=[{"call": "create_share", "first": 1, "effect": "lie"}])
    repository.write_share("data")
    repository.run("apply", "--yes")
    assert "gone from backend sim" in repository.run("plan").text
    repository.applied()
    assert repository.shares() == ["data"]


def test_what_sharectl_did_not_make_is_shown_and_left_alone(repository: Repository) -> None:
    """A share of the same name is not taken over silently, and `destroy` does not touch it."""
    repository.write_share("mine", deletionPolicy="delete")
    repository.applied()
    repository.change_backend(
        "INSERT INTO shares (backend_id, name, pool, size_bytes, protocol, access) "
        "VALUES ('pool/theirs', 'theirs', 'pool', 1, 'NFS', '[]')"
    )
    assert "theirs" in repository.run("plan").text
    assert repository.run("destroy", "--yes").code == 0
    assert repository.shares() == ["theirs"]


def test_a_secret_in_a_manifest_is_refused_and_not_repeated(repository: Repository) -> None:
    """A password is a reference; one that is written out does not reach the diagnostic either."""
    spec = {"type": "ldap", "server": "10.0.0.9", "user": "svc", "password": "hunter2-in-the-clear"}
    repository.write("directory.yaml", "SecurityService", "directory", spec)
    ended = repository.run("validate")
    assert ended.code == 1
    assert "directory.yaml:" in ended.text
    assert "hunter2-in-the-clear" not in ended.text
