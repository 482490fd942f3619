"""What is made for many resources at once holds little of it at a time: counted in bytes that Python allocates, which no other process moves."""

from __future__ import annotations

import gc
import tracemalloc
from typing import TYPE_CHECKING

import orjson
import pytest

from sharectl.manifests.cache import ManifestCache
from sharectl.manifests.compiled import decoded_index
from sharectl.render.output import json_parts
from sharectl.render.plan_json import plan_object
from sharectl.state.columns import records_of
from sharectl.workspace.planfile import read_plan_file, write_plan_file
from tests.manifests.support import load_text, share
from tests.planner.world import World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sharectl.model.plans import Plan

SHARES = 2_000


def world_of(shares: int) -> World:
    """Return a world that wants so many new shares."""
    world = World("nas1", "nas2", "nas3")
    for number in range(shares):
        world.wants(f"share-{number:04d}", access=[f"ip:10.0.{number % 200}.0/24", "ip:10.9.0.1=ro"])
    return world


@pytest.fixture(scope="module")
def first_plan() -> Plan:
    """Return the first plan of many shares."""
    return world_of(SHARES).plan()


def allocated(work: Callable[[], object]) -> tuple[int, int]:
    """Return the bytes that are held when the work is done a second time, and the most that were held meanwhile."""
    work()  # the first time, modules are imported and tables made
    gc.collect()
    tracemalloc.start()
    try:
        result = work()
        held, most = tracemalloc.get_traced_memory()
        del result
    finally:
        tracemalloc.stop()
    return held, most


def test_a_plan_is_saved_and_printed_a_part_at_a_time(first_plan: Plan, tmp_path: Path) -> None:
    """Its document is larger than what is held of it: five times, as a file."""
    _, most = allocated(lambda: write_plan_file(tmp_path / "plan", first_plan))
    assert most < (tmp_path / "plan").stat().st_size / 5
    printed: list[int] = []
    _, most = allocated(lambda: printed.extend(map(len, json_parts(plan_object(first_plan)))))
    assert most < sum(printed)


def test_a_saved_plan_is_read_a_step_at_a_time(first_plan: Plan, tmp_path: Path) -> None:
    """Little more is held than the plan."""
    write_plan_file(tmp_path / "plan", first_plan)
    held, most = allocated(lambda: read_plan_file(tmp_path / "plan"))
    assert most < held * 1.2


def test_a_new_share_takes_little_of_a_plan() -> None:
    """Its candidates are packed, and what it has in common with others is theirs too."""
    held, _ = allocated(world_of(SHARES).plan)
    assert held / SHARES < 1_050


def manifests() -> str:
    """Return the manifests of many shares."""
    return "".join(
        share(f"share-{number:04d}", f", access: [{{type: ip, to: 10.0.{number % 200}.1, level: rw}}]")
        for number in range(SHARES)
    )


def test_what_the_cache_keeps_of_new_manifests_is_held_no_longer(tmp_path: Path) -> None:
    """And is had from there: the same again, as without a cache."""
    text = manifests()
    tried = iter(range(2))
    held, _ = allocated(lambda: load_text(tmp_path / "m", text, cache=ManifestCache(tmp_path / f"cache{next(tried)}")))
    held_without, _ = allocated(lambda: load_text(tmp_path / "m", text))
    assert held_without - held > 150 * SHARES
    new = load_text(tmp_path / "m", text, cache=ManifestCache(tmp_path / "cache")).desired
    plain = load_text(tmp_path / "m", text).desired
    assert [new.plain(address) for address in new.digests] == [plain.plain(address) for address in plain.digests]


def test_files_that_refer_to_the_same_have_one_text_for_it() -> None:
    """There are far more files than share types."""
    values = orjson.dumps([1, ["share/a"], ["share_type/gold"], [["gold", None, False]], [], [], [], {}, {}, []])
    first, second = (decoded_index(orjson.loads(values)) for _ in range(2))
    assert first == second
    assert first.references[0] is second.references[0]
    assert first.placements[0][0] is second.placements[0][0]


def test_what_was_decoded_of_the_manifests_is_let_go_of(tmp_path: Path) -> None:
    """And decoded again, to the same, where it is asked for after all."""
    text = manifests()
    load_text(tmp_path / "m", text, cache=ManifestCache(tmp_path / "cache"))
    desired = load_text(tmp_path / "m", text, cache=ManifestCache(tmp_path / "cache")).desired
    addresses = list(desired.digests)
    assert len(addresses) == SHARES

    def decoded() -> list[object]:
        return [(desired.share(address), desired.access(address), desired.plain(address)) for address in addresses]

    before = decoded()
    desired.let_go(specs=True)
    gc.collect()
    tracemalloc.start()
    try:
        for address in addresses:
            desired.share(address)
        held, _ = tracemalloc.get_traced_memory()
        desired.let_go()
        without_files, _ = tracemalloc.get_traced_memory()
        desired.let_go(specs=True)
        nothing, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert without_files < held * 0.7
    assert nothing < held / 10
    assert decoded() == before


def test_rows_with_the_same_place_or_size_have_one_value_for_it() -> None:
    """As those of most shares: a plan holds the rows of all."""
    values = ("share", "id", "nas1", "pool", 1, bytes(16), bytes(16), 1 << 30, False, b"{}", b"{}")
    rows = [(f"share/s{number}", *map(_copied, values)) for number in range(2)]
    first, second = records_of(rows).values()
    assert first[1:] == second[1:] == values
    for column in ("kind", "backend", "pool", "size_bytes"):
        assert getattr(first, column) is getattr(second, column)


def _copied(value: object) -> object:
    """Return another object that is equal, of a text or a large number."""
    return value[:1] + value[1:] if isinstance(value, str) else int(str(value)) if type(value) is int else value
