"""A directory backend that a later run has taken over: whatever the earlier one is in the middle of, it changes nothing more."""

from __future__ import annotations

import fcntl
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.base import FencedError
from sharectl.drivers.directory import files
from sharectl.drivers.testing import new_id, ref, snapshot_ref
from sharectl.model.access import AccessRule
from tests.drivers.opening import new_request, open_driver

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sharectl.model.observed import ObservedShare, ObservedSnapshot
    from tests.drivers.opening import FullDriver

RULES = (AccessRule("ip", "10.0.0.0/8", "rw"),)


class World:
    """A backend with a share that has access, one in the trash, a snapshot, and a folder that is nobody's."""

    def __init__(self, root: Path) -> None:
        """Make it, as the first run of a state."""
        self.root = root
        driver = self.opened(1)
        driver.prepare()
        self.share = driver.create_share(new_request("kept"))
        (root / "kept" / "file").write_text("data")
        driver.update_access(ref(self.share), RULES, RULES, [])
        self.snapshot: ObservedSnapshot = driver.create_snapshot(ref(self.share), new_id(), "before")
        self.windows: ObservedShare = driver.create_share(new_request("windows", protocol="CIFS"))
        self.trashed = driver.create_share(new_request("trashed"))
        driver.trash_share(ref(self.trashed))
        (root / "stranger").mkdir()
        self.stranger = driver.adopt_share("stranger", new_id(), 1 << 30)

    def opened(self, fence: int) -> FullDriver:
        """Return the driver of a run with this fence."""
        driver = open_driver("directory", {"root": str(self.root), "exportHost": "nas"}, self.root.parent)
        driver.raise_fence("one state", fence)
        return driver

    def is_locked(self) -> bool:
        """Tell whether a call is changing names just now: whoever wants to take over waits for that."""
        with (self.root / ".sharectl" / "lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def content(self) -> dict[str, bytes | None]:
        """Return all files and folders but those of calls under way."""
        work = self.root / ".sharectl" / "work"
        return {
            str(path.relative_to(self.root)): path.read_bytes() if path.is_file() else None
            for path in self.root.rglob("*")
            if work not in path.parents and path.suffix != ".tmp"
        }


CALLS: dict[str, Callable[[FullDriver, World], object]] = {
    "create": lambda driver, _: driver.create_share(new_request("new")),
    "delete": lambda driver, world: driver.delete_share(ref(world.share)),
    "trash": lambda driver, world: driver.trash_share(ref(world.share)),
    "restore": lambda driver, world: driver.restore_share(str(world.trashed.resource_id)),
    "first access": lambda driver, world: driver.update_access(ref(world.stranger), RULES, RULES, []),
    "protocols": lambda driver, world: driver.change_protocols(ref(world.share), "NFS_CIFS"),
    "export name": lambda driver, world: driver.rename_export(ref(world.windows), "other"),
    "snapshot": lambda driver, world: driver.create_snapshot(ref(world.share), new_id(), "new"),
    "delete snapshot": lambda driver, world: driver.delete_snapshot(snapshot_ref(world.snapshot, world.share)),
}


def overtaken(world: World, call: Callable[[FullDriver, World], object], moment: int) -> bool:
    """Make a call that a later run overtakes when it is about to note or to forget something for the `moment`th time; tell whether it came to that."""
    late, numbers = world.opened(1), count(1)
    found: list[dict[str, bytes | None]] = []

    def before(plain: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: object, **words: object) -> object:
            if not found and not world.is_locked() and next(numbers) == moment:
                found.append({})  # the later run writes too
                world.opened(2)
                found[0] = world.content()
            return plain(*arguments, **words)

        return watched

    with pytest.MonkeyPatch.context() as patch:
        for name in ("write_durably", "remove_durably"):
            patch.setattr(files, name, before(getattr(files, name)))
        try:
            call(late, world)
        except FencedError:
            assert found
    if found:
        assert world.content() == found[0]
    return bool(found)


@pytest.mark.parametrize("name", CALLS)
def test_whoever_is_overtaken_in_the_middle_of_a_call_changes_nothing_more(in_memory: Path, name: str) -> None:
    """Neither data nor what is known of it, which the later run may have changed meanwhile: the call is too late for its next step, and says so."""
    moments = 0
    while overtaken(World(in_memory / str(moments)), CALLS[name], moments + 1):
        moments += 1
    assert moments
