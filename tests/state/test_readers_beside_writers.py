"""Readers beside a writer that merges its log: a healthy state is never called damaged."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .processes import WITHOUT_PRIVILEGES, start

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def shared_directory() -> Iterator[Path]:
    """Return a directory that every user may look into."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


_GROW = """
rounds = int(sys.argv[2])
for round in range(rounds):
    store = open_store(path, create=True)
    lease = store.acquire(ME, duration_seconds=60)
    changes = [PutResource(make_record(f"s{round}-{number}"), None) for number in range(40)]
    store.commit(lease, changes)
    store.release(lease)
    store.close()  # merges the log into the file, which grows, and removes it
    if round == 0:
        print("begun", flush=True)
"""
_READ = """
stop = Path(sys.argv[2])
seen, trouble = 0, set()
while not stop.exists():
    try:
        store = open_store(path, create=False)
        seen = max(seen, len(whole_view(store).records))
        store.close()
    except StateError as error:
        trouble.add(f"{type(error).__name__}: {error.reason}")
print(seen, sorted(trouble))
"""


def test_a_reader_never_calls_a_growing_state_damaged(tmp_path: Path) -> None:
    """Each round of the writer makes the file longer and its log vanish, while two readers open it again and again."""
    path, stop = tmp_path / "state" / "state.db", tmp_path / "stop"
    with ExitStack() as stack:
        writer = stack.enter_context(start(_GROW, path, 80))
        assert writer.stdout is not None
        assert writer.stdout.readline() == "begun\n"
        readers = [stack.enter_context(start(_READ, path, stop)) for _ in range(2)]
        writer.wait(timeout=500)
        stop.touch()
        assert [reader.communicate(timeout=300)[0].split(" ", 1)[1] for reader in readers] == ["[]\n", "[]\n"]


def test_a_reader_who_may_not_write_never_calls_it_damaged_either(shared_directory: Path) -> None:
    """It reads without locks where no writer is at work, and says so where one came in between: never that the state is damaged."""
    path, stop = shared_directory / "state.db", shared_directory / "stop"
    with ExitStack() as stack:
        writer = stack.enter_context(
            start(_GROW.replace("store.release", "path.chmod(0o644); store.release"), path, 80)
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "begun\n"
        code = WITHOUT_PRIVILEGES + _READ
        readers = [stack.enter_context(start(code, path, stop, covered=False)) for _ in range(2)]
        writer.wait(timeout=500)
        stop.touch()
        for reader in readers:
            assert "Corrupt" not in reader.communicate(timeout=300)[0]
