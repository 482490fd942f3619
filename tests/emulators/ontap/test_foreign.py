"""The odd volumes that others made in `vs1`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.emulators.ontap import foreign, oracle

if TYPE_CHECKING:
    from tests.emulators.ontap.storage_calls import Storage


def test_each_is_odd_in_its_own_way(storage: Storage) -> None:
    """What an import has to tell apart can be read of each."""
    foreign.add(storage.client.emulator.world)
    fields = "name,state,type,style,comment,nas.path,nas.export_policy,space,clone,size"
    listed = storage.client.get(f"/storage/volumes?is_svm_root=false&fields={fields}").records
    shown = {each["name"]: each for each in listed}
    assert sorted(shown) == sorted(foreign.NAMES)
    assert len(shown) == 12
    assert (shown["stopped"]["state"], shown["mirror"]["type"]) == ("offline", "dp")
    assert (shown["big_group"]["style"], "path" in shown["no_junction"]["nas"]) == ("flexgroup", False)
    assert (shown["nested"]["nas"]["path"], shown["a_clone"]["clone"]["is_flexclone"]) == ("/projects/nested", True)
    assert shown["odd_reserve"]["space"]["snapshot"]["reserve_percent"] == 9.5
    assert shown["odd_reserve"]["space"]["snapshot_spill"] > 0
    assert shown["was_mirror"]["space"]["filesystem_size_fixed"]
    policies = [shown[name]["nas"]["export_policy"]["name"] for name in ("projects", "nested", "a_clone", "quoted")]
    assert policies == ["projects", "projects", "projects", "default"]
    held = storage.client.get("/storage/luns?svm.name=vs1&fields=location.volume").records
    assert [each["location"]["volume"]["name"] for each in held] == ["with_lun"]


def test_a_comment_with_the_filters_own_characters_is_found(storage: Storage) -> None:
    """In quotes, or by what it does not share with the others."""
    foreign.add(storage.client.emulator.world)
    found = storage.client.get("/storage/volumes?comment=*{|*!}*").records
    assert [each["name"] for each in found] == ["quoted"]


def test_they_do_not_count_as_changed(storage: Storage) -> None:
    """Two dumps of the array are compared, but for what has a mark."""
    world = storage.client.emulator.world
    foreign.add(world)
    before = world.dump()
    storage.volume("ours_v")
    assert oracle.changed_outside(before, world.dump(), "ours_") == []
    storage.change(storage.uuid("projects"), comment="touched")
    assert len(oracle.changed_outside(before, world.dump(), "ours_")) == 2
