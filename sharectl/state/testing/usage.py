"""Notes of use: for stores that keep them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from sharectl.model.records import PutResource, PutRun, RemoveResource, RenameBackend
from sharectl.model.usage import MOST_SAMPLES, SAMPLE_SPACING_SECONDS, BackendUse, PoolSample, ShareSample, ShareUse
from sharectl.state.contract import CanMove, KeepsCopies, KeepsUsage, StateRefusedError
from sharectl.state.testing.samples import RUN, Conformance, document_of, make_record, whole_view
from sharectl.state.usage import MOST_ALIKE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sharectl.model.records import Lease
    from sharectl.state.contract import StateStore, UsageNotes

NOW = 1_770_000_000
HOUR = SAMPLE_SPACING_SECONDS


def seen(at: int, shares: Mapping[str, int | None], *, is_whole: bool = True, backend: str = "filer") -> BackendUse:
    """Return what a backend said of the shares with these names."""
    return BackendUse(backend, at, {f"id-{name}": used for name, used in shares.items()}, is_whole)


class UsageConformance(Conformance):
    """What is noted of use, by whom, and how long it is kept."""

    @pytest.fixture
    def notes(self, store: StateStore, lease: Lease) -> UsageNotes:
        """Return the notes of a state with two shares on a backend."""
        if not isinstance(store, KeepsUsage):
            pytest.skip("this store keeps no notes of use")
        store.commit(lease, [PutRun(RUN), PutResource(make_record("a"), None), PutResource(make_record("b"), None)])
        return store.usage_notes()

    def test_what_is_used_is_known_with_the_time_at_which_it_was_seen(self, notes: UsageNotes) -> None:
        """Of all shares, of some, and of none that nobody has seen; a share that is used as before was seen again all the same."""
        assert notes.usage() == {}
        assert notes.take([seen(NOW, {"a": 5, "b": 7})])
        assert notes.take([seen(NOW + 60, {"a": 5, "b": 8})])
        assert notes.usage() == {"id-a": ShareUse(5, NOW + 60), "id-b": ShareUse(8, NOW + 60)}
        assert notes.usage(["id-a", "id-nobody", "id-\udcff"]) == {"id-a": ShareUse(5, NOW + 60)}
        assert notes.usage([]) == {}

    def test_the_largest_are_those_that_use_most_and_what_is_like_the_last_of_them(self, notes: UsageNotes) -> None:
        """None where fewer are noted than are asked for."""
        assert list(notes.largest(1)) == []
        notes.take([seen(NOW, {"a": 5, "b": 7, "c": 5, "d": 1})])
        assert [sorted(notes.largest(number)) for number in (1, 2, 4, 5)] == [
            ["id-b"],
            ["id-a", "id-b", "id-c"],
            ["id-a", "id-b", "id-c", "id-d"],
            [],
        ]

    def test_where_too_many_use_the_same_none_is_among_the_largest(self, notes: UsageNotes) -> None:
        """All have to be looked at: what is told of some may not be large."""
        notes.take([seen(NOW, {f"n{number}": 5 for number in range(MOST_ALIKE + 2)})])
        assert list(notes.largest(1)) == []

    def test_a_share_that_was_not_seen_keeps_its_time(self, notes: UsageNotes) -> None:
        """Where only some were listed, and where the driver could not say of one; it is seen again later."""
        notes.take([seen(NOW, {"a": 5, "b": 7})])
        notes.take([seen(NOW + 10, {"a": 6}, is_whole=False)])
        assert notes.usage() == {"id-a": ShareUse(6, NOW + 10), "id-b": ShareUse(7, NOW)}
        notes.take([seen(NOW + 20, {"a": None, "b": 7})])
        notes.take([seen(NOW + 30, {"a": None, "b": 7})])
        assert notes.usage() == {"id-a": ShareUse(6, NOW + 10), "id-b": ShareUse(7, NOW + 30)}
        notes.take([seen(NOW + 40, {"a": 6, "b": 7})])
        assert notes.usage() == {"id-a": ShareUse(6, NOW + 40), "id-b": ShareUse(7, NOW + 40)}

    def test_a_share_that_is_no_part_of_a_whole_listing_is_forgotten(
        self, store: StateStore, notes: UsageNotes, lease: Lease
    ) -> None:
        """With its samples; those on other backends are not."""
        store.commit(lease, [PutResource(make_record("c", backend="other"), None)])
        notes.take([seen(NOW, {"a": 5}), seen(NOW, {"c": 7}, backend="other")])
        notes.take([seen(NOW + HOUR, {"a": 6})])
        notes.take([seen(NOW + HOUR + 1, {})])
        assert notes.usage() == {"id-c": ShareUse(7, NOW)}
        assert notes.share_samples().keys() == {"id-c"}

    def test_the_samples_of_a_share_tell_how_it_grew(
        self, notes: UsageNotes, open_again: Callable[[], StateStore]
    ) -> None:
        """Oldest first, an hour apart or more, with what was seen last; the same in another process, of one share and of all."""
        for hours, used in ((0, 1), (1, 2), (1.1, 3), (5, 4), (9, 4)):
            notes.take([seen(NOW + int(hours * HOUR), {"a": used, "b": 9})])
        grown = tuple(ShareSample(NOW + hours * HOUR, used) for hours, used in ((0, 1), (1, 2), (5, 4), (9, 4)))
        other = open_again()
        assert isinstance(other, KeepsUsage)
        for each in (notes, other.usage_notes()):
            assert tuple(each.share_samples(["id-a"])["id-a"]) == grown
            assert tuple(each.share_samples()["id-b"]) == (ShareSample(NOW, 9), ShareSample(NOW + 9 * HOUR, 9))

    def test_samples_are_bounded_and_reach_back_to_the_first(self, notes: UsageNotes) -> None:
        """However long it goes on; the older, the farther apart."""
        for hour in range(200):
            pools = {"fast": PoolSample(NOW + hour * HOUR, 1000, 1000 - hour, hour)}
            notes.take([BackendUse("filer", NOW + hour * HOUR, {"id-a": hour}, is_whole=True, pools=pools)])
        for series in (notes.share_samples()["id-a"], notes.pool_samples()["filer", "fast"]):
            times = [sample.at for sample in series]
            assert len(times) <= MOST_SAMPLES + 2
            assert (times[0], times[-1]) == (NOW, NOW + 199 * HOUR)
            assert times == sorted(set(times))
            assert times[2] - times[1] > times[-1] - times[-2]

    def test_pools_are_noted_with_what_is_known_of_them(self, notes: UsageNotes) -> None:
        """A capacity that is not known, or has no end, is None; one that was noted already is not noted again."""
        first, second = PoolSample(NOW, 100, None, 0), PoolSample(NOW + HOUR, None, 60, None)
        for sample in (first, second, first):
            notes.take([BackendUse("filer", sample.at, pools={"fast": sample, "slow": sample})])
        series = {name: tuple(found) for (_, name), found in notes.pool_samples().items()}
        assert series == {"fast": (first, second), "slow": (first, second)}

    def test_what_a_clock_that_ran_ahead_has_noted_gives_way(self, notes: UsageNotes) -> None:
        """Of shares, whether they are used as before or not, of pools, and of their samples; else nothing would be noted until that time comes."""

        def noted(at: int, used: int) -> None:
            pools = {"p": PoolSample(at, 100, 100 - used, 100)}
            notes.take([BackendUse("filer", at, {"id-a": used, "id-b": 7}, is_whole=True, pools=pools)])

        year = 8760 * HOUR
        for at, used in ((NOW, 5), (NOW + year, 6), (NOW + year + 2 * HOUR, 7), (NOW + 2 * HOUR, 8)):
            noted(at, used)
        assert notes.usage() == {"id-a": ShareUse(8, NOW + 2 * HOUR), "id-b": ShareUse(7, NOW + 2 * HOUR)}
        noted(NOW + 4 * HOUR, 9)
        assert notes.usage()["id-a"] == ShareUse(9, NOW + 4 * HOUR)
        assert [sample.at for sample in notes.share_samples()["id-a"]] == [NOW, NOW + 2 * HOUR, NOW + 4 * HOUR]
        assert [sample.at for sample in notes.pool_samples()["filer", "p"]] == [NOW, NOW + 2 * HOUR, NOW + 4 * HOUR]

    def test_a_pool_of_a_name_that_no_state_holds_is_left_out(self, notes: UsageNotes) -> None:
        """Others are noted all the same."""
        sample = PoolSample(NOW, 100, None, 0)
        assert notes.take([BackendUse("filer", NOW, pools={"\udcff": sample, "fast": sample})])
        assert notes.pool_samples().keys() == {("filer", "fast")}

    def test_notes_are_no_part_of_the_state(self, store: StateStore, notes: UsageNotes, lease: Lease) -> None:
        """They are taken while another holds the lock, move neither serial nor mark, and what holds the same otherwise is the same."""
        before = whole_view(store)
        mark = store.content_mark() if isinstance(store, KeepsCopies) else None
        document = document_of(store)
        assert notes.take([seen(NOW, {"a": 5})])
        assert whole_view(store) == before
        assert mark is None or (isinstance(store, KeepsCopies) and store.content_mark() == mark)
        store.import_document(lease, document)
        assert notes.usage() == {}

    def test_a_document_holds_the_notes(self, store: StateStore, notes: UsageNotes, lease: Lease) -> None:
        """Exported, imported and exported again it is the same; one without notes has no word of them."""
        assert not {"share_use", "pool_use", "use_listings"} & orjson.loads(document_of(store)).keys()
        for hours in range(3):
            pools = {"fast": PoolSample(NOW + hours * HOUR, 100, None, 0)}
            at = NOW + hours * HOUR
            notes.take([BackendUse("filer", at, {"id-a": hours, "id-b": 1}, is_whole=True, pools=pools)])
        document = document_of(store)
        known = notes.usage(), notes.share_samples(), notes.pool_samples()
        notes.take([seen(NOW + 9 * HOUR, {})])
        store.import_document(lease, document, force=True)
        assert document_of(store) == document
        assert (notes.usage(), notes.share_samples(), notes.pool_samples()) == known

    @pytest.mark.parametrize(
        ("section", "item"),
        [
            ("share_use", {"resource_id": "id-a"}),
            ("share_use", [1]),
            (
                "share_use",
                {
                    "resource_id": "id-a",
                    "backend": "filer",
                    "used_bytes": -1,
                    "seen_at": 1,
                    "is_current": True,
                    "samples": [],
                },
            ),
            (
                "share_use",
                {
                    "resource_id": "id-a",
                    "backend": "filer",
                    "used_bytes": 1,
                    "seen_at": 1,
                    "is_current": True,
                    "samples": [[1, "2"]],
                },
            ),
            ("pool_use", {"backend": "filer", "pool": "fast", "samples": []}),
            ("use_listings", {"backend": "filer", "listed_at": 1.5}),
        ],
    )
    def test_a_document_with_notes_that_are_none_is_refused(
        self, store: StateStore, notes: UsageNotes, lease: Lease, section: str, item: object
    ) -> None:
        """As any other that sharectl does not write."""
        notes.take([seen(NOW, {"a": 5})])
        document = orjson.loads(document_of(store))
        with pytest.raises(StateRefusedError, match=section):
            store.import_document(lease, orjson.dumps({**document, section: [item]}), force=True)
        assert notes.usage() == {"id-a": ShareUse(5, NOW)}

    def test_notes_follow_a_backend_that_gets_another_name(
        self, store: StateStore, notes: UsageNotes, lease: Lease
    ) -> None:
        """Of its shares, of its pools, and when it was listed."""
        notes.take([BackendUse("filer", NOW, {"id-a": 5}, is_whole=True, pools={"fast": PoolSample(NOW, 1, 1, 1)})])
        store.commit(lease, [RenameBackend("filer", "nas", None)])
        notes.take([seen(NOW + 5, {"a": 5}, backend="nas")])
        assert notes.usage() == {"id-a": ShareUse(5, NOW + 5)}
        assert notes.pool_samples().keys() == {("nas", "fast")}

    def test_a_backend_on_which_the_state_has_nothing_is_forgotten(
        self, store: StateStore, notes: UsageNotes, lease: Lease
    ) -> None:
        """With the next note of any other."""
        notes.take([BackendUse("filer", NOW, {"id-a": 5}, is_whole=True, pools={"fast": PoolSample(NOW, 1, 1, 1)})])
        put = PutResource(make_record("c", backend="other"), None)
        store.commit(lease, [RemoveResource("share/a", 1), RemoveResource("share/b", 1), put])
        notes.take([seen(NOW + 1, {"c": 1}, backend="other")])
        assert notes.usage() == {"id-c": ShareUse(1, NOW + 1)}
        assert notes.pool_samples() == {}

    def test_a_state_that_has_moved_takes_no_notes(self, store: StateStore, notes: UsageNotes, lease: Lease) -> None:
        """They are taken where it is now."""
        if not isinstance(store, CanMove):
            pytest.skip("this store does not know where it has gone")
        store.mark_moved(lease, "elsewhere")
        assert not notes.take([seen(NOW, {"a": 5})])
        assert notes.usage() == {}
