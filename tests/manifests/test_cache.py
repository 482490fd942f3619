"""The cache: what it keeps is used only when it is whole and current, and losing it costs nothing but time."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

import sharectl.manifests.compile as compile_module
from sharectl.manifests.cache import ManifestCache
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

    def counted(data: bytes, drivers: compile_module.DriverSchemas) -> object:
        calls.append(len(data))
        return original(data, drivers)

    monkeypatch.setattr(compile_module, "compile_file", counted)
    return calls


def entries(folder: Path) -> list[Path]:
    """Return the entries of the cache."""
    return sorted((folder / "cache").glob("*.manifest"))


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
    assert not entries(tmp_path)


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


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "swap", "directory", "link"])
def test_a_damaged_entry_is_not_used(tmp_path: Path, compiled: list[int], damage: str) -> None:
    """It is made anew."""
    expected = load_text(tmp_path / "m", TEXT, cache=cache_of(tmp_path)).desired.digests
    (entry,) = entries(tmp_path)
    content = entry.read_bytes()
    entry.unlink()
    if damage == "truncate":
        entry.write_bytes(content[:-10])
    elif damage == "flip":
        entry.write_bytes(content[:200] + bytes([content[200] ^ 1]) + content[201:])
    elif damage == "empty":
        entry.write_bytes(b"")
    elif damage == "swap":
        other = load_text(tmp_path / "n", share("q"), cache=cache_of(tmp_path))
        assert not other.diagnostics
        os.replace(entries(tmp_path)[0], entry)  # noqa: PTH105 - the point of the test
    elif damage == "directory":
        entry.mkdir()
    else:
        (tmp_path / "elsewhere").write_bytes(content)
        entry.symlink_to(tmp_path / "elsewhere")
    before = len(compiled)
    assert load_text(tmp_path / "m", TEXT, cache=cache_of(tmp_path)).desired.digests == expected
    assert len(compiled) == before + 1


def test_a_cache_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    """Its folder is a file, or cannot be made."""
    (tmp_path / "cache").write_text("")
    assert not load_text(tmp_path / "m", TEXT, cache=cache_of(tmp_path)).diagnostics
    assert not load_text(tmp_path / "m", TEXT, cache=ManifestCache(tmp_path / "cache" / "below")).diagnostics


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    """Here a folder stands where the entry should go."""
    cache = cache_of(tmp_path)
    (tmp_path / "cache" / "key.manifest" / "x").mkdir(parents=True)
    cache.put("key", b"content")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["key.manifest"]
    assert cache.get("key") is None


def test_entries_out_of_use_are_removed(tmp_path: Path) -> None:
    """When something new is written: those that no run has used for weeks; fresh ones stay."""
    load_text(tmp_path / "m", share("a"), cache=cache_of(tmp_path))
    load_text(tmp_path / "m", share("b"), cache=cache_of(tmp_path))
    old, young = entries(tmp_path)
    torn = tmp_path / "cache" / "torn.tmp"
    torn.write_bytes(b"")
    month_ago = time.time() - 30 * 24 * 3600
    for path in (old, torn):
        os.utime(path, (month_ago, month_ago))
    load_text(tmp_path / "m", share("c"), cache=cache_of(tmp_path))
    assert young in entries(tmp_path)
    assert not old.exists()
    assert not torn.exists()


def test_an_entry_in_use_stays_young(tmp_path: Path) -> None:
    """Reading it marks it as used, at most once a day."""
    load_text(tmp_path / "m", share("a"), cache=cache_of(tmp_path))
    (entry,) = entries(tmp_path)
    week_ago = time.time() - 7 * 24 * 3600
    os.utime(entry, (week_ago, week_ago))
    load_text(tmp_path / "m", share("a"), cache=cache_of(tmp_path))
    assert entry.stat().st_mtime > week_ago + 3600


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
