"""The cache: what it keeps is used only when it is whole and current, and losing it costs nothing but time."""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sharectl.manifests.cache as cache_module
import sharectl.manifests.compile as compile_module
import sharectl.manifests.files as files_module
import sharectl.manifests.sources as sources_module
from sharectl.manifests.cache import ManifestCache, file_system_at
from sharectl.model.diagnostics import DiagnosticError
from tests.manifests.support import SCHEMAS, codes, document, load_folder, load_text, share

if TYPE_CHECKING:
    from pathlib import Path


TEXT = (
    share(
        "a",
        ", type: t, access: [{type: ip, to: 10.0.0.1, level: rw}]",
        ", labels: {x: y}, annotations: {sharectl/moved-from: old}",
    )
    + share("b", ", sourceSnapshot: s, schedulerHints: {sameHost: [c]}")
    + share("c")
    + document("Snapshot", "s", "{share: a}", ", labels: {x: z}")
    + document("ShareType", "t", "{extraSpecs: {x: 1}}")
    + document("Backend", "b", "{driver: simulated, config: {seed: 1}}")
    + document("AccessRule", "r", "{share: a, type: ip, to: 10.0.0.2, level: rw}")
)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the files that are compiled."""
    calls: list[int] = []
    original = compile_module.compile_file

    def counted(data: bytes, *others: Any) -> object:  # noqa: ANN401 - as the function has them
        calls.append(len(data))
        return original(data, *others)

    monkeypatch.setattr(compile_module, "compile_file", counted)
    return calls


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Count the files that are read; each status counts at once, so that no test has to wait."""
    paths: list[str] = []
    original = files_module.read_regular_file

    def counted(path: str) -> object:
        paths.append(path)
        return original(path)

    monkeypatch.setattr(sources_module, "read_regular_file", counted)
    monkeypatch.setattr(cache_module, "_SETTLED_NANOSECONDS", -(10**12))
    return paths


def packs(folder: Path) -> list[Path]:
    """Return the packs in the cache."""
    return sorted((folder / "cache").glob("*.pack"))


def cache_of(folder: Path) -> ManifestCache:
    """Return a cache beside the manifests, as a new process would open it."""
    return ManifestCache(folder / "cache")


def test_an_unchanged_file_is_not_compiled_again(tmp_path: Path, compiled: list[int]) -> None:
    """And everything about it is the same as when it was."""
    fresh = load_text(tmp_path / "m", TEXT, cache=cache_of(tmp_path)).desired
    cached = load_text(tmp_path / "m", TEXT, cache=cache_of(tmp_path)).desired
    assert len(compiled) == 1
    assert cached.digests == fresh.digests
    assert cached.moves == fresh.moves == {"share/a": ("share/old",)}
    assert (cached.backends, cached.share_types) == (fresh.backends, fresh.share_types)
    for address in ("share/a", "share/b", "share/c"):
        assert cached.share(address) == fresh.share(address)
        assert cached.access(address) == fresh.access(address)
    assert cached.snapshot("snapshot/s") == fresh.snapshot("snapshot/s")
    for address in cached.addresses:
        assert cached.source(address) == fresh.source(address)
        assert cached.labels_of(address) == fresh.labels_of(address)


def test_a_changed_file_is_compiled_again(tmp_path: Path, compiled: list[int]) -> None:
    """Only that one."""
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "b.yaml").write_text(share("z"))
    load_text(tmp_path / "m", TEXT, cache=cache_of(tmp_path))
    loaded = load_text(tmp_path / "m", TEXT.replace("1GiB", "2GiB"), cache=cache_of(tmp_path))
    assert len(compiled) == 3
    assert loaded.desired.share("share/a").size_bytes == 2 << 30


def test_a_file_with_mistakes_is_never_cached(tmp_path: Path) -> None:
    """So that they are reported each time."""
    for _ in range(2):
        assert codes(load_text(tmp_path / "m", share("a", ", x: 1"), cache=cache_of(tmp_path))) == ["unknown-field"]
        assert codes(load_text(tmp_path / "m", "a: [", cache=cache_of(tmp_path))) == ["syntax"]
    assert not packs(tmp_path)


def test_links_between_cached_files_are_checked_each_time(tmp_path: Path) -> None:
    """Names that have gone, and names that are there twice now."""
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "t.yaml").write_text(document("ShareType", "t") + share("x"))
    assert not load_text(folder, share("a", ", type: t"), cache=cache_of(tmp_path)).diagnostics
    (folder / "t.yaml").unlink()
    assert codes(load_folder(folder, cache=cache_of(tmp_path))) == ["dangling"]
    (folder / "t.yaml").write_text(document("ShareType", "t") + share("x"))
    (folder / "u.yaml").write_text(share("a", ", type: t"))
    assert codes(load_folder(folder, cache=cache_of(tmp_path))) == ["duplicate-name"]


def test_another_driver_schema_makes_the_entry_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A config that the driver no longer takes is found although the file did not change."""
    assert not load_text(tmp_path / "m", TEXT, cache=cache_of(tmp_path)).diagnostics
    monkeypatch.setitem(SCHEMAS, "simulated", {"type": "object", "required": ["pools"]})
    assert codes(load_text(tmp_path / "m", TEXT, cache=cache_of(tmp_path))) == ["missing"]


def test_an_unchanged_file_is_not_even_read(tmp_path: Path, compiled: list[int], read: list[str]) -> None:
    """Its status says enough; the records of its shares are read from the cache when they are asked for."""
    expected = load_text(tmp_path / "m", TEXT, cache=cache_of(tmp_path)).desired.share("share/a")
    for _ in range(2):
        assert load_folder(tmp_path / "m", cache=cache_of(tmp_path)).desired.share("share/a") == expected
    assert (len(read), len(compiled)) == (1, 1)


@pytest.mark.parametrize("change", ["content", "size", "touched", "replaced", "linked"])
def test_a_change_of_any_kind_makes_the_file_be_read(tmp_path: Path, read: list[str], change: str) -> None:
    """Even if it keeps the time of the last modification."""
    path = tmp_path / "m" / "a.yaml"
    load_text(tmp_path / "m", share("a"), cache=cache_of(tmp_path))
    found = path.stat()
    text = share("b") if change != "size" else share("bb")
    if change in {"content", "size"}:
        path.write_text(text)
    elif change != "touched":
        (tmp_path / "new").write_text(text)
        if change == "replaced":
            (tmp_path / "new").rename(path)
        else:
            path.unlink()
            path.symlink_to("../new")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns), follow_symlinks=False)
    loaded = load_folder(tmp_path / "m", str(path), cache=cache_of(tmp_path))
    assert set(loaded.desired.digests) == {
        "share/a" if change == "touched" else f"share/{text.split('name: ')[1].split('}')[0]}"
    }
    assert len(read) == 2


def test_a_change_right_after_a_run_is_seen(tmp_path: Path) -> None:
    """Clocks of file systems are coarse: the new content may have the size and the times of the old one."""
    for number in range(100):
        for name in (f"a{number:03}", f"b{number:03}"):
            assert set(load_text(tmp_path / "m", share(name), cache=cache_of(tmp_path)).desired.digests) == {
                f"share/{name}"
            }


def test_the_file_system_of_a_path_is_that_of_the_nearest_mount() -> None:
    """The last of those at one place; on a network file system no status is relied upon, for a client may hear of changes late."""
    mounts = (
        "21 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
        "30 21 0:50 / /srv/with\\040blank rw - nfs4 server:/x rw\n"
        "31 21 0:51 / /srv/two rw - xfs /dev/vdb rw\n"
        "32 31 0:52 / /srv/two rw master:1 - fuse.sshfs me@there: rw\n"
    )
    found = {
        path: file_system_at(path, mounts)
        for path in ("/", "/home/x", "/srv/with blank/a", "/srv/twofold", "/srv/two/a")
    }
    assert list(found.values()) == ["ext4", "ext4", "nfs4", "ext4", "fuse.sshfs"]


def test_a_file_that_is_emptied_while_it_is_compiled_again_is_not_taken_for_what_it_was(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept of it is kept under the content that was compiled."""
    load_text(tmp_path / "m", TEXT, cache=cache_of(tmp_path))
    counted, path = sources_module.read_regular_file, tmp_path / "m" / "a.yaml"

    def emptied_after(name: str) -> object:
        found = counted(name)
        path.write_bytes(b"")
        return found

    read.clear()
    monkeypatch.setitem(SCHEMAS, "simulated", {"type": "object"})
    monkeypatch.setattr(sources_module, "read_regular_file", emptied_after)
    load_folder(tmp_path / "m", cache=cache_of(tmp_path))
    monkeypatch.setattr(sources_module, "read_regular_file", counted)
    assert codes(load_folder(tmp_path / "m", cache=cache_of(tmp_path))) == ["empty"]


def test_folders_with_odd_names_may_be_mounted_somewhere() -> None:
    """Whoever may mount something chooses the name; the kernel writes all but blanks, tabs and ends of lines as they are."""
    mounts = (
        "21 1 254:1 / / rw - ext4 /dev/vda rw\n"
        "30 21 0:50 / /mnt/a\x0cb rw - fuse.x x\x1cy rw\n"
        "31 21 0:51 / /mnt/a\u2028b rw - nfs4 server:/x\rz rw\n"
    )
    assert file_system_at("/home/x", mounts) == "ext4"
    assert file_system_at("/mnt/a\u2028b/c", mounts) == "nfs4"


def test_a_file_is_found_by_its_content_wherever_it_is(tmp_path: Path, compiled: list[int]) -> None:
    """A fresh checkout of the same commit, with the cache of another."""
    load_text(tmp_path / "m", TEXT, cache=cache_of(tmp_path))
    assert len(load_text(tmp_path / "n", TEXT, cache=cache_of(tmp_path)).desired.digests) == 4
    assert len(compiled) == 1


@pytest.mark.parametrize("name", ["index", "pack"])
@pytest.mark.parametrize("damage", ["truncate", "flip", "size", "empty", "swap", "directory", "link", "gone"])
def test_a_damaged_cache_is_not_used(
    tmp_path: Path, compiled: list[int], read: list[str], name: str, damage: str
) -> None:
    """What is lost is made anew."""
    expected = load_text(tmp_path / "m", TEXT, cache=cache_of(tmp_path)).desired.digests
    path = tmp_path / "cache" / "index" if name == "index" else packs(tmp_path)[0]
    content = path.read_bytes()
    path.unlink()
    if damage == "truncate":
        path.write_bytes(content[:50])
    elif damage == "flip":
        path.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    elif damage == "size":
        path.write_bytes(content[:36] + b"\x7f" + content[37:])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "swap":
        assert not load_text(tmp_path / "n", share("q"), cache=ManifestCache(tmp_path / "other" / "cache")).diagnostics
        other = tmp_path / "other" / "cache" / "index" if name == "index" else packs(tmp_path / "other")[0]
        path.write_bytes(other.read_bytes())
    elif damage == "directory":
        path.mkdir()
    elif damage == "link":
        (tmp_path / "elsewhere").write_bytes(content)
        path.symlink_to(tmp_path / "elsewhere")
    before = len(compiled)
    desired = load_folder(tmp_path / "m", cache=cache_of(tmp_path)).desired
    assert desired.digests == expected
    assert desired.share("share/a").share_type == "t"
    assert len(compiled) > before or damage == "swap"
    assert len(read) > 1


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_damage_makes_a_cache_wrong(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever byte of whatever file is another, or gone with all behind it: also while a run is using it."""
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "m").mkdir()
    (folder / "m" / "b.yaml").write_text(share("z"))
    expected = load_text(folder / "m", TEXT, cache=cache_of(folder)).desired
    early = load_folder(folder / "m", cache=cache_of(folder)).desired
    path = data.draw(st.sampled_from([folder / "cache" / "index", *packs(folder)]))
    content = path.read_bytes()
    place = int(data.draw(st.floats(0, 1, exclude_max=True)) * len(content))
    path.write_bytes(
        content[:place] + (b"" if data.draw(st.booleans()) else bytes([content[place] ^ 255]) + content[place + 1 :])
    )
    for desired in (early, load_folder(folder / "m", cache=cache_of(folder)).desired):
        assert desired.digests == expected.digests
        for address in ("share/a", "share/b", "share/z"):
            assert desired.share(address) == expected.share(address)
            assert desired.access(address) == expected.access(address)


def test_a_file_that_changes_while_its_records_are_lost_ends_the_run(tmp_path: Path) -> None:
    """Nobody acts upon the one half before and the other after."""
    load_text(tmp_path / "m", share("b"), cache=cache_of(tmp_path))
    desired = load_folder(tmp_path / "m", cache=cache_of(tmp_path)).desired
    for path in packs(tmp_path):
        path.unlink()
    (tmp_path / "m" / "a.yaml").write_text(share("b").replace("1GiB", "2GiB"))
    with pytest.raises(DiagnosticError, match="was changed while sharectl was at work"):
        desired.share("share/b")


def test_two_processes_may_use_one_cache(tmp_path: Path) -> None:
    """Each writes its files again and again, with what the other does between: nobody ever sees another content than its own."""
    with ProcessPoolExecutor(2, get_context("spawn")) as processes:
        assert list(processes.map(_change_and_load, [tmp_path / "x", tmp_path / "y"])) == [[], []]


def _change_and_load(folder: Path) -> list[str]:
    wrong = []
    folder.mkdir()
    for number in range(60):
        (folder / f"{number % 7}.yaml").write_text(share(f"s{number % 7}", metadata=f", labels: {{n: '{number:02}'}}"))
        desired = load_folder(folder, cache=ManifestCache(folder.parent / "cache")).desired
        for address in desired.digests:
            latest = max(other for other in range(number + 1) if f"share/s{other % 7}" == address)
            if desired.share(address).labels != {"n": f"{latest:02}"}:
                wrong.append(f"{number} {address}")
    return wrong


def test_a_cache_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    """Its folder is a file, or cannot be made."""
    (tmp_path / "cache").write_text("")
    assert not load_text(tmp_path / "m", TEXT, cache=cache_of(tmp_path)).diagnostics
    assert not load_text(tmp_path / "m", TEXT, cache=ManifestCache(tmp_path / "cache" / "below")).diagnostics


def test_a_write_that_fails_leaves_nothing_torn_behind(tmp_path: Path) -> None:
    """Here a folder stands where the index should go."""
    (tmp_path / "cache" / "index" / "x").mkdir(parents=True)
    for _ in range(2):
        assert not load_text(tmp_path / "m", TEXT, cache=cache_of(tmp_path)).diagnostics
    assert not list((tmp_path / "cache").glob("*.tmp"))


def test_what_is_out_of_use_is_removed(tmp_path: Path) -> None:
    """When something new is written: packs that no index names, what was torn, and entries of former versions; fresh ones may be another process's."""
    load_text(tmp_path / "m", share("a"), cache=cache_of(tmp_path))
    left = [tmp_path / "cache" / name for name in ("old.pack", "torn.tmp", "former.manifest", "kept.txt")]
    fresh = tmp_path / "cache" / "fresh.pack"
    for path in (*left, fresh):
        path.write_bytes(b"")
    month_ago = time.time() - 30 * 24 * 3600
    for path in left:
        os.utime(path, (month_ago, month_ago))
    load_text(tmp_path / "m", share("b"), cache=cache_of(tmp_path))
    assert [path.name for path in left if path.exists()] == ["kept.txt"]
    assert fresh.exists()


def test_many_small_changes_do_not_make_many_packs(tmp_path: Path, compiled: list[int]) -> None:
    """They are put together, and what is no longer in use is left out."""
    for number in range(30):
        (tmp_path / "m").mkdir(exist_ok=True)
        (tmp_path / "m" / f"b{number}.yaml").write_text(share(f"b{number}"))
        load_text(tmp_path / "m", share(f"a{number}"), cache=cache_of(tmp_path))
    named = orjson.loads((tmp_path / "cache" / "index").read_bytes()[32:].partition(b"\n")[0])[0]
    assert len([name for name in named if name]) <= 9
    before = len(compiled)
    assert len(load_folder(tmp_path / "m", cache=cache_of(tmp_path)).desired.digests) == 31
    assert len(compiled) == before


def test_a_run_on_other_files_leaves_the_rest_in_the_cache(tmp_path: Path, compiled: list[int]) -> None:
    """As `plan -f one.yaml` between two plans of the whole."""
    load_text(tmp_path / "m", TEXT, cache=cache_of(tmp_path))
    load_text(tmp_path / "n", share("q"), cache=cache_of(tmp_path))
    load_folder(tmp_path / "m", cache=cache_of(tmp_path))
    assert len(compiled) == 2


def test_a_name_that_is_no_text_is_not_kept(tmp_path: Path) -> None:
    """It is compiled each time."""
    folder = tmp_path / "m"
    folder.mkdir()
    with open(os.fsencode(folder) + b"/\xff.yaml", "w") as file:  # noqa: PTH123 - no path in text
        file.write(share("q"))
    for _ in range(2):
        assert set(load_folder(folder, cache=cache_of(tmp_path)).desired.digests) == {"share/q"}


def test_a_selection_holds_what_was_asked_for_and_its_origins(tmp_path: Path) -> None:
    """From the cache and without it; settings are whole."""
    folder = tmp_path / "m"
    for cache in (None, cache_of(tmp_path), cache_of(tmp_path)):
        whole = load_text(folder, TEXT, cache=cache).desired
        some = load_text(folder, TEXT, cache=cache, only={"share/b"}).desired
        assert set(some.digests) == {"share/b", "snapshot/s", "share/a"}
        assert all(some.digests[address] == whole.digests[address] for address in some.digests)
        assert some.access("share/a") == whole.access("share/a")
        assert some.source("share/b") == whole.source("share/b")
        assert some.backends == whole.backends
        assert set(
            load_text(folder, TEXT, cache=cache, only={"share/c", "share/none", "backend/b"}).desired.digests
        ) == {"share/c"}
        assert set(load_text(folder, TEXT, cache=cache, only={"share/a/access/ip:10.0.0.1"}).desired.moves) == {
            "share/a"
        }
        assert not load_text(folder, TEXT, cache=cache, only=()).desired.digests


def test_a_selection_still_finds_what_concerns_it(tmp_path: Path) -> None:
    """Namesakes, dangling references, rules that stand twice; not the mistakes of links elsewhere."""
    folder = tmp_path / "m"
    folder.mkdir()
    rule = document("AccessRule", "r", "{share: a, type: ip, to: 10.0.0.1, level: rw}")
    (folder / "a.yaml").write_text(share("a", ", type: t, access: [{type: ip, to: 10.0.0.1, level: ro}]"))
    (folder / "b.yaml").write_text(share("a", ", schedulerHints: {differentHost: [x, y]}") + share("y"))
    (folder / "c.yaml").write_text(rule + document("Snapshot", "z", "{share: nowhere}"))
    for cache in (None, cache_of(tmp_path), cache_of(tmp_path)):
        assert codes(load_folder(folder, cache=cache, only={"share/a"})) == [
            "dangling",
            "duplicate-name",
            "dangling",
            "duplicate-access",
        ]
        assert codes(load_folder(folder, cache=cache, only={"share/y"})) == []


def test_a_selection_knows_of_renames_from_both_of_their_names(tmp_path: Path) -> None:
    """The former name alone would look like a share whose manifest is gone; and a former name that is still described is a mistake."""
    folder = tmp_path / "m"
    folder.mkdir()
    renamed = document("Share", "b, annotations: {sharectl/moved-from: a}", "{size: 1GiB, protocol: NFS}")
    (folder / "b.yaml").write_text(renamed)
    for cache in (None, cache_of(tmp_path), cache_of(tmp_path)):
        for name in ("share/a", "share/b"):
            some = load_folder(folder, cache=cache, only={name}).desired
            assert dict(some.moves) == {"share/b": ("share/a",)}
            assert set(some.digests) == {"share/b"}
    (folder / "c.yaml").write_text(renamed.replace("name: b", "name: c"))
    for name in ("share/b", "share/c", "share/a"):
        assert codes(load_folder(folder, cache=cache_of(tmp_path), only={name})) == ["moved"]
    (folder / "c.yaml").write_text(share("a"))
    for name in ("share/b", "share/a"):
        assert codes(load_folder(folder, cache=cache_of(tmp_path), only={name})) == ["moved"]
