"""What calls that were cut short leave on a directory backend: never a claim on somebody else's folder, and nothing for good."""

from __future__ import annotations

import os
import shutil
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.base import ConflictError, TransientError
from sharectl.drivers.directory import files
from sharectl.drivers.directory.settings import read_settings
from sharectl.drivers.directory.storage import Storage
from sharectl.drivers.testing import ref
from sharectl.model.access import AccessRule
from tests.drivers.opening import new_request, open_driver

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.drivers.opening import FullDriver

RESOURCE_ID = "6a1f0b5e-0000-4000-8000-000000000001"
NEW = "New $"
RULES = (AccessRule("user", "alice", "rw"), AccessRule("user", "bob", "ro"))
_CALLS = ("rename", "unlink", "rmdir", "fsync", "symlink")


def killed_at(number: int, work: Callable[[], object]) -> bool:
    """Do the work in a process of its own that dies before its system call `number` that changes a folder; tell whether it came to that."""
    child = os.fork()
    if child == 0:
        left = [number]
        for name in _CALLS:
            setattr(os, name, _counting(getattr(os, name), left))
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def _counting(call: Callable[..., object], left: list[int]) -> Callable[..., object]:
    def counted(*arguments: object, **words: object) -> object:
        left[0] -= 1
        if left[0] < 0:
            os._exit(9)
        return call(*arguments, **words)

    return counted


def opened(tmp_path: Path) -> FullDriver:
    """Return the driver as a new process would open it."""
    return open_driver("directory", {"root": "root"}, tmp_path)


def records(tmp_path: Path) -> list[str]:
    """Return the names of all records and temporary files of shares."""
    return sorted(path.name for path in (tmp_path / "root" / ".sharectl" / "shares").iterdir())


@pytest.mark.parametrize("protocol", ["NFS", "CIFS"])
def test_a_deletion_killed_anywhere_claims_no_folder_of_somebody_else(tmp_path: Path, protocol: str) -> None:
    """A folder that somebody makes under the name of the share is theirs, at once and after the deletion was repeated; all is swept."""
    number, dies = 0, True
    while dies:
        shutil.rmtree(tmp_path / "root", ignore_errors=True)
        driver = opened(tmp_path)
        driver.prepare()
        share = driver.create_share(new_request("a", resource_id="share", protocol=protocol))
        (tmp_path / "root" / "a" / "ours").write_text("ours")
        dies = killed_at(number, partial(opened(tmp_path).delete_share, ref(share)))
        number += 1
        folder = tmp_path / "root" / "a"
        is_gone = not folder.exists()
        if is_gone:
            folder.mkdir()
            (folder / "theirs").write_text("theirs")
        after = opened(tmp_path)
        assert [seen.resource_id for seen in after.list_shares() if seen.name == "a"] == [None if is_gone else "share"]
        after.create_share(new_request("b", resource_id="other"))
        assert records(tmp_path) == (["other.json"] if is_gone else ["other.json", "share.json"])
        if is_gone:
            after.adopt_share("a", "new", 1)
        after.delete_share(ref(share))
        assert folder.exists() is is_gone
        assert not is_gone or (folder / "theirs").read_text() == "theirs"
    assert number > 5


def test_a_creation_killed_anywhere_leaves_nothing_for_good(tmp_path: Path) -> None:
    """The next change of the backend sweeps the temporary files; the share is finished when it is asked for again."""
    number, dies = 0, True
    while dies:
        shutil.rmtree(tmp_path / "root", ignore_errors=True)
        opened(tmp_path).prepare()
        dies = killed_at(number, lambda: opened(tmp_path).create_share(new_request("a", resource_id="share")))
        number += 1
        opened(tmp_path).create_share(new_request("b", resource_id="other"))
        assert not [name for name in records(tmp_path) if name.endswith(".tmp")]
        assert opened(tmp_path).create_share(new_request("a", resource_id="share")).backend_id == "a"
        assert records(tmp_path) == ["other.json", "share.json"]


def killed_rename(tmp_path: Path, new: str, number: int) -> bool:
    """Make two shares, and kill the rename of the first from "Old" at its effect `number`; tell whether it came to that."""
    shutil.rmtree(tmp_path / "root", ignore_errors=True)
    driver = opened(tmp_path)
    driver.prepare()
    driver.create_share(new_request("other", resource_id="other", protocol="CIFS"))
    request = new_request("a", resource_id="share", protocol="CIFS", export_name="Old")
    share = ref(driver.create_share(request))
    driver.update_access(share, RULES, RULES, ())
    return killed_at(number, lambda: opened(tmp_path).rename_export(share, new))


def served(tmp_path: Path) -> tuple[str, str, set[AccessRule]]:
    """Return the name under which the renamed share is listed, that of its section, and who is let in."""
    (share,) = opened(tmp_path).list_shares(["share"])
    text = (tmp_path / "root" / ".sharectl" / "smb.d" / "share.conf").read_text()
    section = next(line for line in text.splitlines() if line.startswith("["))
    return str(share.export_name), section.strip("[]"), set(share.access)


def names_reserved(tmp_path: Path) -> int:
    """Return how many names are reserved."""
    return len(list((tmp_path / "root" / ".sharectl" / "names").iterdir()))


@pytest.mark.parametrize(("new", "then"), [(NEW, "create"), (NEW, "rename"), ("OLD", "create")])
def test_a_rename_killed_anywhere_keeps_no_name_from_another_share(tmp_path: Path, new: str, then: str) -> None:
    """Another share can have the name that the share is not listed under; who has access to the share keeps it, under its own."""
    number, dies, seen = 0, True, set()
    while dies:
        dies = killed_rename(tmp_path, new, number)
        number += 1
        name, _, _ = served(tmp_path)
        seen.add(name)
        free = "Third" if new == "OLD" else ({"Old", new} - {name}).pop()
        if then == "create":
            opened(tmp_path).create_share(new_request("third", protocol="CIFS", export_name=free))
        else:
            (other,) = opened(tmp_path).list_shares(["other"])
            opened(tmp_path).rename_export(ref(other), free)
        if then == "create" or new != "OLD":
            assert served(tmp_path) == (name, name, {*RULES})
    assert seen == {"Old", new}


@pytest.mark.parametrize(
    ("new", "then"), [*((NEW, then) for then in ("rename", "back", "access", "trash", "delete")), ("OLD", "back")]
)
def test_what_follows_a_rename_killed_anywhere_ends_it(tmp_path: Path, new: str, then: str) -> None:
    """Renamed again or back, given access, put aside or removed: the share has one name or none, and so has its section."""
    number, dies = 0, True
    while dies:
        dies = killed_rename(tmp_path, new, number)
        number += 1
        driver = opened(tmp_path)
        (share,) = driver.list_shares(["share"])
        name = str(share.export_name)
        if then == "access":
            driver.update_access(ref(share), RULES[:1], (), ())
            assert served(tmp_path) == (name, name, {*RULES[:1]})
        elif then == "trash":
            driver.trash_share(ref(share))
        elif then == "delete":
            driver.delete_share(ref(share))
        else:
            name = new if then == "rename" else "Old"
            driver.rename_export(ref(share), name)
            assert served(tmp_path) == (name, name, {*RULES})
        assert names_reserved(tmp_path) == (2 if then in {"trash", "delete"} else 4)


def test_a_section_changed_by_hand_keeps_its_name_until_access_is_given_anew(tmp_path: Path) -> None:
    """What a rename that was cut short has left is not written over by calls that are about other shares."""
    number = 0
    while killed_rename(tmp_path, "New", number) and served(tmp_path)[:2] != ("New", "Old"):
        number += 1
    section = tmp_path / "root" / ".sharectl" / "smb.d" / "share.conf"
    by_hand = section.read_text() + "    hosts deny = ALL\n"
    section.write_text(by_hand)
    driver = opened(tmp_path)
    (share, other) = (driver.list_shares([name])[0] for name in ("share", "other"))
    with pytest.raises(ConflictError, match="Old"):
        driver.rename_export(ref(other), "Old")
    driver.create_share(new_request("third"))
    assert section.read_text() == by_hand
    driver.update_access(ref(share), RULES, (), ())
    driver.rename_export(ref(other), "Old")
    assert served(tmp_path) == ("New", "New", {*RULES})


def test_a_temporary_file_that_is_being_written_is_left(tmp_path: Path) -> None:
    """A sweep beside a write does not take its file away."""
    with files.opened_directory(str(tmp_path)) as descriptor:
        name, held = files._opened_temporary("x", descriptor, 0o600)
        files.sweep_temporaries(".", descriptor)
        assert [path.name for path in tmp_path.iterdir()] == [name]
        os.close(held)
        files.sweep_temporaries(".", descriptor)
        assert list(tmp_path.iterdir()) == []


def test_whoever_comes_as_a_workspace_goes_has_one_of_its_own(tmp_path: Path) -> None:
    """Several threads use the same workspace: each has it whole, or is told that another is at work."""
    storage = Storage(read_settings({"root": "root"}, str(tmp_path)))
    (pool_name,) = storage.settings.pools
    storage.prepare()
    failures: list[BaseException] = []

    def work(had: int = 0) -> None:
        while had < 100 and not failures:
            try:
                with (
                    storage.metadata() as metadata,
                    storage.pool(metadata, pool_name) as pool,
                    pool.workspace(RESOURCE_ID) as folder,
                ):
                    os.mkdir("mine", dir_fd=folder)
                had += 1
            except TransientError:
                pass
            except OSError as failure:
                failures.append(failure)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
