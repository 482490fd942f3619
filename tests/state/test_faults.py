"""What the state withstands: kill -9, full and read-only media, vanished files, damage at any byte."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sharectl.model.records import PutResource, PutRules, PutRun
from sharectl.state.contract import StateCorruptError, StateError, StateUnavailableError
from sharectl.state.sqlite.store import open_store
from sharectl.state.testing.samples import ALICE, RUN, document_of, make_record, make_rule, whole_view
from tests.media import fill_up, medium, resize

from .processes import WITHOUT_PRIVILEGES, run, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the state is."""
    return tmp_path / "repository" / "state.db"


@pytest.fixture
def shared_directory() -> Iterator[Path]:
    """Return a directory that every user may look into."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory
        directory.chmod(0o755)


def fill(path: Path) -> None:
    """Make a state with some of everything."""
    with closing(open_store(path, create=True)) as store:
        lease = store.acquire(ALICE, duration_seconds=60)
        store.commit(lease, [PutRun(RUN), *(PutResource(make_record(f"s{number}"), None) for number in range(40))])
        store.commit(lease, [PutRules(f"share/s{number}", (make_rule("10.0.0.1"),)) for number in range(40)])
        store.release(lease)


_COMMIT_WITHOUT_END = """
store = open_store(path, create=True)
lease = store.acquire(ME, duration_seconds=3600)
number = len(whole_view(store).records)
store.commit(lease, [PutRun(RUN)])
while True:
    address = f"share/s{number}"
    store.commit(lease, [
        PutResource(make_record(f"s{number}"), None),
        PutRules(address, (make_rule("10.0.0.1"), make_rule("10.0.0.2"))),
        AddHistory(make_entry(address)),
    ])
    print(address, flush=True)
    number += 1
"""


def leave_a_log(path: Path, commits: int = 1) -> None:
    """Kill a writer after so many commits, at least: they are in its log, which nobody has merged."""
    with start(_COMMIT_WITHOUT_END, path) as process:
        assert process.stdout is not None
        for _ in range(commits):
            assert process.stdout.readline()
        process.kill()


@pytest.mark.parametrize("commits", [0, 1, 7, 60, 400])
def test_what_was_committed_before_kill_9_is_there_and_nothing_is_there_by_half(path: Path, commits: int) -> None:
    """Three killed processes after each other; each row has its rules and its history."""
    told: list[str] = []
    for _ in range(3):
        with start(_COMMIT_WITHOUT_END, path) as process:
            assert process.stdout is not None
            told += [process.stdout.readline().strip() for _ in range(commits)]
            process.kill()
            told += [line.strip() for line in process.stdout if line.endswith("\n")]
    with closing(open_store(path, create=True)) as store:
        with store.read() as reader:
            records, rules = reader.view().records, reader.rules()
        history = {line.entry.address for line in store.history()}
        assert records.keys() >= set(told)
        assert records.keys() == rules.keys() == history
        assert {len(share_rules) for share_rules in rules.values()} <= {2}
        store.acquire(ALICE, duration_seconds=60)


def test_a_medium_that_is_full_refuses_the_commit_and_keeps_what_was_there(path: Path) -> None:
    """After space was made, the same process goes on with the same lease."""
    code = """
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = open_store(path, create=True)
lease = store.acquire(ME, duration_seconds=60)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
number = 0
while True:
    try:
        store.commit(lease, [PutResource(make_record(f"s{number}"), None)])
    except StateUnavailableError as error:
        print(bool(error.remedy), len(whole_view(store).records) == number > 0)
        break
    number += 1
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
store.commit(lease, [PutResource(make_record(f"s{number}"), None)])
print(len(whole_view(store).records) == number + 1)
store.close()
"""
    assert run(code, path) == ["True True", "True"]
    with closing(open_store(path, create=False)) as store:
        assert whole_view(store).serial == len(whole_view(store).records)


def test_a_checkpoint_cut_short_after_any_page_is_no_damage(path: Path, tmp_path: Path) -> None:
    """A kill, or a full disk, while SQLite merges its log: the file is neither as before nor as after, and the log has all."""
    fill(path)
    torn = tmp_path / "torn" / "state.db"
    torn.parent.mkdir()
    shutil.copy(path, torn)
    with closing(open_store(path, create=False)) as store:
        lease = store.acquire(ALICE, duration_seconds=60)
        store.commit(lease, [PutResource(make_record(f"n{number}"), None) for number in range(200)])
        store.release(lease)
        log = (path.parent / "state.db-wal").read_bytes()
    before, after = torn.read_bytes(), path.read_bytes()
    page_bytes = int.from_bytes(after[16:18], "big")
    assert len(after) > len(before)
    for end in range(0, len(after), page_bytes):
        torn.write_bytes(after[:end] + before[end:])
        (torn.parent / "state.db-wal").write_bytes(log)
        with closing(open_store(torn, create=False)) as store:
            assert len(whole_view(store).records) == 240
            store.release(store.acquire(ALICE, duration_seconds=60))
        assert [entry.name for entry in torn.parent.iterdir()] == ["state.db"]


def test_on_a_full_medium_reading_says_that_it_is_full(tmp_path: Path) -> None:
    """SQLite needs room for shared memory to read, and calls it an error of the disk."""
    with medium(tmp_path / "full", 400) as full:
        fill(full / "state.db")
        fill_up(full / "fills")
        with closing(open_store(full / "state.db", create=False)) as store:
            with pytest.raises(StateUnavailableError, match="no space left") as caught:
                whole_view(store)
            assert "free space" in caught.value.remedy


def test_a_state_that_fits_only_in_part_is_not_begun(tmp_path: Path) -> None:
    """SQLite needs room for a log beside the file first, and may find none when it merges it: whatever the room, it is there whole or not at all."""
    open_store(tmp_path / "state.db", create=True).close()
    empty_bytes = (tmp_path / "state.db").stat().st_size
    outcomes = set()
    with medium(tmp_path / "full", 120) as full:
        for kib in range(120, 300, 8):
            resize(full, kib)
            path = full / str(kib) / "state.db"
            try:
                with closing(open_store(path, create=True)):
                    outcomes.add("made")
                assert path.stat().st_size == empty_bytes
            except StateUnavailableError as problem:
                outcomes.add("no space" if "no space left" in problem.reason else str(problem))
                assert not path.exists()
            shutil.rmtree(path.parent)
    assert outcomes == {"made", "no space"}


def test_a_file_that_is_smaller_than_any_state_says_how_to_go_on(path: Path) -> None:
    """Sharectl itself has made such files where there was no space; they are not taken for an empty state all the same."""
    open_store(path, create=True).close()
    whole = path.read_bytes()
    path.write_bytes(whole[:8192])
    with pytest.raises(StateCorruptError, match="ends after 8192 bytes") as refused:
        open_store(path, create=True)
    assert "where it never held anything" in refused.value.remedy
    assert path.read_bytes() == whole[:8192]


def test_no_state_is_begun_where_there_is_no_space(path: Path) -> None:
    """And no draft of it is left."""
    code = """
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
try:
    open_store(path, create=True)
except StateUnavailableError as error:
    print(bool(error.remedy), list(path.parent.iterdir()))
"""
    assert run(code, path, covered=False) == ["True []"]


_READ_AND_TRY_TO_WRITE = """
store = open_store(path, create=True)
print(len(whole_view(store).records), len(document_of(store)) > 0)
try:
    store.acquire(ME, duration_seconds=60)
except StateUnavailableError as error:
    print("refused", bool(error.remedy))
store.close()
"""


def test_a_user_who_may_only_read_reads_and_cannot_write(shared_directory: Path) -> None:
    """Neither the file nor the directory is writable, and nobody else has the state open."""
    fill(shared_directory / "state.db")
    (shared_directory / "state.db").chmod(0o444)
    shared_directory.chmod(0o555)
    lines = run(WITHOUT_PRIVILEGES + _READ_AND_TRY_TO_WRITE, shared_directory / "state.db", covered=False)
    assert lines == ["40 True", "refused True"]
    assert [entry.name for entry in shared_directory.iterdir()] == ["state.db"]


def test_a_user_who_may_only_read_sees_what_a_writer_has_just_committed(shared_directory: Path) -> None:
    """While the log is in use it is read along, through shared memory that the reader cannot write."""
    fill(shared_directory / "state.db")
    (shared_directory / "state.db").chmod(0o644)
    with closing(open_store(shared_directory / "state.db", create=True)) as store:
        lease = store.acquire(ALICE, duration_seconds=60)
        store.commit(lease, [PutResource(make_record("new"), None)])
        read = "store = open_store(path, create=False); print(len(whole_view(store).records)); store.close()"
        assert run(WITHOUT_PRIVILEGES + read, shared_directory / "state.db", covered=False) == ["41"]


def test_a_reader_that_cannot_see_writers_notices_a_change_under_it(shared_directory: Path) -> None:
    """It refuses what it has read rather than mix two states."""
    fill(shared_directory / "state.db")
    (shared_directory / "state.db").chmod(0o444)
    shared_directory.chmod(0o555)
    code = """
store = open_store(path, create=False)
with store.read() as reader:
    reader.view()
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        reader.rules()
    except StateUnavailableError as error:
        print(error.reason, flush=True)
"""
    with start(WITHOUT_PRIVILEGES + code, shared_directory / "state.db", covered=False) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.utime(shared_directory / "state.db", (1, 1))
        process.stdin.write("go\n")
        process.stdin.flush()
        assert "was changed" in process.stdout.readline()


def test_a_log_that_cannot_be_read_along_is_not_left_out(shared_directory: Path) -> None:
    """A writer died, and this reader can neither merge its log nor make the shared memory to read it with."""
    fill(shared_directory / "state.db")
    leave_a_log(shared_directory / "state.db")
    (shared_directory / "state.db-shm").unlink()
    for name in ("state.db", "state.db-wal"):
        (shared_directory / name).chmod(0o444)
    shared_directory.chmod(0o555)
    code = """
try:
    whole_view(open_store(path, create=False))
except StateUnavailableError as error:
    print(error.reason, error.remedy)
"""
    lines = run(WITHOUT_PRIVILEGES + code, shared_directory / "state.db", covered=False)
    assert "state.db-wal" in lines[0]
    assert "copy" in lines[0]


def test_a_file_that_may_not_be_read_is_refused_with_a_way_out(shared_directory: Path) -> None:
    """Mode 0600 keeps others out, and they are told so."""
    fill(shared_directory / "state.db")
    (shared_directory / "state.db").chmod(0o200)
    code = """
try:
    open_store(path, create=False)
except StateUnavailableError as error:
    print(error.reason, bool(error.remedy))
"""
    lines = run(WITHOUT_PRIVILEGES + code, shared_directory / "state.db", covered=False)
    assert lines == ["Permission denied True"]


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer every question for permission as a read-only file system does, whoever runs the tests."""
    monkeypatch.setattr("sharectl.state.sqlite.files.os.access", lambda _, mode: mode == os.R_OK)


def test_a_read_only_medium_is_read_without_a_trace_and_refuses_writing(
    path: Path, request: pytest.FixtureRequest
) -> None:
    """Several readings, one after the other."""
    fill(path)
    request.getfixturevalue("read_only")
    with closing(open_store(path, create=True)) as store:
        for _ in range(2):
            assert len(whole_view(store).records) == 40
        with pytest.raises(StateUnavailableError, match="cannot be written"):
            store.acquire(ALICE, duration_seconds=60)
        with store.read() as reader:
            os.utime(path, (1, 1))
            with pytest.raises(StateUnavailableError, match="was changed"):
                reader.view()
    assert [entry.name for entry in path.parent.iterdir()] == ["state.db"]


def test_a_read_only_medium_with_a_log_is_read_through_it_or_not_at_all(
    path: Path, request: pytest.FixtureRequest
) -> None:
    """With the shared memory of a writer its commits are seen; without, the reading is refused."""
    fill(path)
    leave_a_log(path)
    request.getfixturevalue("read_only")
    with closing(open_store(path, create=False)) as store:
        assert len(whole_view(store).records) > 40
    path.with_name("state.db-shm").unlink()
    with closing(open_store(path, create=False)) as store, pytest.raises(StateUnavailableError, match="-wal"):
        whole_view(store)


def test_a_file_without_any_permission_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before SQLite is asked."""
    fill(path)
    monkeypatch.setattr("sharectl.state.sqlite.files.os.access", lambda *_: False)
    with pytest.raises(StateUnavailableError, match="denied"):
        open_store(path, create=False)


def test_tidying_is_left_to_those_who_may_write(path: Path, request: pytest.FixtureRequest) -> None:
    """SQLite's files stay where they are."""
    fill(path)
    leave_a_log(path)
    request.getfixturevalue("read_only")
    before = path.with_name("state.db-wal").read_bytes()
    open_store(path, create=False).close()
    assert path.with_name("state.db-wal").read_bytes() == before


@pytest.mark.parametrize("gone", ["directory", "file", "log", "shared memory", "replaced"])
def test_a_state_that_vanished_while_in_use_is_noticed_at_the_next_commit(path: Path, gone: str) -> None:
    """Nothing is written into files that have no name any more, and nothing is made in their place."""
    store = open_store(path, create=True)
    lease = store.acquire(ALICE, duration_seconds=60)
    store.commit(lease, [PutResource(make_record("a"), None)])
    if gone == "directory":
        shutil.rmtree(path.parent)
    elif gone == "replaced":
        fill(path.with_name("other.db"))
        path.with_name("other.db").replace(path)
    else:
        path.with_name({"file": "state.db", "log": "state.db-wal", "shared memory": "state.db-shm"}[gone]).unlink()
    before = sorted(path.parent.iterdir()) if path.parent.exists() else None
    for write in (
        lambda: store.commit(lease, [PutResource(make_record("b"), None)]),
        lambda: store.renew(lease),
        lambda: store.release(lease),
    ):
        with pytest.raises(StateUnavailableError) as caught:
            write()
        assert caught.value.remedy
    assert (sorted(path.parent.iterdir()) if path.parent.exists() else None) == before
    store.close()


def exercise(path: Path) -> bool:
    """Use the state at `path` in every way; return whether writing was refused. Only StateError may be raised."""
    try:
        store = open_store(path, create=True)
    except StateError:
        return True
    with closing(store):
        for use in (
            lambda: whole_view(store),
            lambda: document_of(store),
            lambda: list(store.history()),
            store.lock_status,
        ):
            _tolerating_state_errors(use)
        try:
            lease = store.acquire(ALICE, duration_seconds=60)
        except StateError:
            return True
        _tolerating_state_errors(lambda: store.commit(lease, [PutResource(make_record("new"), None)]))
        return False


def _tolerating_state_errors(use: Callable[[], object]) -> None:
    with suppress(StateError):
        use()


@pytest.fixture(scope="module")
def sound_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the files of a state whose writer was killed, so that its latest changes are still in its log."""
    path = tmp_path_factory.mktemp("sound") / "state.db"
    fill(path)
    leave_a_log(path, 3)
    return {name: path.with_name(name).read_bytes() for name in ("state.db", "state.db-wal")}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), with_log=st.booleans(), in_log=st.booleans())
def test_a_file_that_is_damaged_anywhere_is_read_or_refused(
    sound_files: dict[str, bytes],
    *,
    data: st.DataObject,
    with_log: bool,
    in_log: bool,
) -> None:
    """Bytes flipped, overwritten or cut off: never another error than the contract's, and a refused file stays as it is."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "state.db"
        names = ["state.db", "state.db-wal"] if with_log else ["state.db"]
        damaged = "state.db-wal" if with_log and in_log else "state.db"
        content = bytearray(sound_files[damaged])
        offset = data.draw(st.integers(0, len(content) - 1), label="offset")
        if data.draw(st.booleans(), label="cut"):
            del content[offset:]
        else:
            patch = data.draw(st.binary(min_size=1, max_size=64), label="patch")
            content[offset : offset + len(patch)] = patch
        for each in names:
            path.with_name(each).write_bytes(content if each == damaged else sound_files[each])
        before = path.read_bytes(), path.stat().st_mtime_ns
        if exercise(path):
            assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_a_reader_who_may_not_write_the_file_makes_none_beside_it(shared_directory: Path) -> None:
    """Even where it could: files of its own would stand in the owner's way."""
    fill(shared_directory / "state.db")
    (shared_directory / "state.db").chmod(0o644)
    shared_directory.chmod(0o777)
    code = "print(len(whole_view(open_store(path, create=False)).records), [entry.name for entry in path.parent.iterdir()])"
    lines = run(WITHOUT_PRIVILEGES + code, shared_directory / "state.db", covered=False)
    if os.geteuid() == 0:
        assert lines == ["40 ['state.db']"]
    else:
        assert lines[0].startswith("40 ")
    with closing(open_store(shared_directory / "state.db", create=True)) as store:
        store.acquire(ALICE, duration_seconds=60)
