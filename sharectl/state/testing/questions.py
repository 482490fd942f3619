"""What is asked of a state by what is in it: whose rules, which runs, what failed, and a part of the history."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from sharectl.model.access import AccessRule
from sharectl.model.kinds import Kind, address_of
from sharectl.model.records import AddHistory, HistoryFilter, PutResource, PutRules, PutRun, RuleRecord
from sharectl.state.testing.samples import RUN, Conformance, make_entry, make_record, make_rule, make_snapshot

if TYPE_CHECKING:
    from sharectl.model.records import Lease
    from sharectl.state.contract import StateStore

_BOBS: Final = replace(RUN, run_id="second", user="bob", actor=None, author="Álice Ito <a.ito@example.org>")


class QuestionsConformance(Conformance):
    """What readers find by what rows hold."""

    @pytest.fixture
    def ruled(self, store: StateStore, lease: Lease) -> StateStore:
        """Return a store with rules for addresses, networks and people."""
        rules = {
            "a": (make_rule("10.0.0.0/8"), make_rule("10.0.3.5", "none")),
            "b": (make_rule("10.0.3.0/24"), make_rule("2001:db8::/32", "ro")),
            "c": (RuleRecord(AccessRule("user", "CORP\\alice", "rw"), "active"), make_rule("10.1.0.0/16")),
            "d": (RuleRecord(AccessRule("group", "10.0.3.5", "rw"), "active"),),
            "e": (RuleRecord(AccessRule("user", "Ünal", "rw"), "active"),),
        }
        changes = [PutResource(make_record(name), None) for name in rules]
        store.commit(
            lease, [*changes, *(PutRules(address_of(Kind.SHARE, name), found) for name, found in rules.items())]
        )
        return store

    def test_shares_are_found_by_whom_their_rules_name(self, ruled: StateStore) -> None:
        """By whole names of one type, whatever the case of ASCII letters, and by beginnings; each share once."""
        with ruled.read() as reader:
            assert list(reader.shares_of_clients("ip", ["10.0.0.0/8", "10.0.3.5", "10.0.3.0/24"])) == [
                "share/a",
                "share/b",
            ]
            assert list(reader.shares_of_clients("user", ["corp\\ALICE", "nobody"])) == ["share/c"]
            assert list(reader.shares_of_clients("user", ["Ünal"])) == ["share/e"]
            assert list(reader.shares_of_clients("ip", beginnings=["10.0.3."])) == ["share/a", "share/b"]
            assert list(reader.shares_of_clients("ip", beginnings=["2001:DB8:", "10.1."])) == ["share/b", "share/c"]
            assert list(reader.shares_of_clients("ip")) == list(reader.shares_of_clients("guest", ["*"])) == []
            assert list(reader.shares_of_clients("user", ["\udcff"], ["\udcff"])) == []
            many = [f"10.9.{number // 250}.{number % 250}" for number in range(3000)]
            assert list(reader.shares_of_clients("ip", [*many, "10.0.3.5"])) == ["share/a"]

    def test_shares_are_chosen_without_their_rows_being_decoded(self, store: StateStore, lease: Lease) -> None:
        """By parts of their specs, by backends, by what is not well; in order, or the largest first."""
        labelled = make_record("labelled", spec=b'{"labels":{"team":"a"},"name":"labelled","protocol":"NFS"}')
        rows = [
            labelled,
            make_record("large", size_bytes=20 << 30, backend="other"),
            make_record("plain"),
            make_record("refused", spec_digest=None),
            make_record("old@deposed-0123"),
            make_record("unsized", size_bytes=None),
            make_snapshot("s1", "plain"),
        ]
        store.commit(lease, [PutResource(row, None) for row in rows])
        with store.read() as reader:
            names = sorted(row.address for row in rows[:-1])
            assert list(reader.share_addresses()) == names
            assert list(reader.share_addresses(limit=2)) == names[:2]
            assert list(reader.share_addresses(holding=[b'"team":"a"', b'"NFS"'])) == ["share/labelled"]
            assert list(reader.share_addresses(backends=["other", "nobody", "\udcff"])) == ["share/large"]
            assert list(reader.share_addresses(refused_or_named="@deposed-")) == [
                "share/old@deposed-0123",
                "share/refused",
            ]
            sizes = {address: (own_id, size) for address, own_id, size in reader.share_sizes()}
            assert list(sizes) == names
            assert (sizes["share/large"], sizes["share/unsized"]) == (("id-large", 20 << 30), ("id-unsized", None))
            by_size = list(reader.share_addresses(largest_first=True))
            assert (by_size[0], by_size[-1]) == ("share/large", "share/unsized")

    def test_it_is_told_whom_rules_name(self, ruled: StateStore) -> None:
        """Each name once, of one type."""
        with ruled.read() as reader:
            assert sorted(reader.client_names("user")) == ["CORP\\alice", "Ünal"]
            assert list(reader.client_names("guest")) == []

    @pytest.fixture
    def told(self, store: StateStore, lease: Lease) -> StateStore:
        """Return a store with the history of two runs."""
        later = [
            replace(
                make_entry(address_of(Kind.SHARE, name), outcome),
                run_id="second",
                at=f"2026-05-05T12:00:0{second}Z",
                verb=verb,
            )
            for second, (name, outcome, verb) in enumerate(
                [("a", "done", "create-share"), ("b", "failed", "extend-share"), ("b", "done", "create-share")]
            )
        ]
        earlier = [make_entry("share/a", "failed"), make_entry("share/b", "failed"), make_entry("share/c", "failed")]
        store.commit(lease, [PutRun(RUN), PutRun(_BOBS), *map(AddHistory, (*earlier, *later))])
        return store

    @pytest.mark.parametrize(
        ("among", "found"),
        [
            (HistoryFilter(), 6),
            (HistoryFilter(run_id="second"), 3),
            (HistoryFilter(run_id="secon"), 0),
            (HistoryFilter(since="2026-05-05T00:00:00Z"), 3),
            (HistoryFilter(since="2026-05-05T12:00:01Z", run_id="second"), 2),
            (HistoryFilter(since="2027-01-01T00:00:00Z"), 0),
            (HistoryFilter(user="ALICE"), 3),
            (HistoryFilter(user="alice-at-forge"), 3),
            (HistoryFilter(user="a.ITO@example"), 3),
            (HistoryFilter(user="example"), 6),
            (HistoryFilter(user="nobody"), 0),
            (HistoryFilter(user="\udcff"), 0),
            (HistoryFilter(failed=True), 4),
            (HistoryFilter(failed=True, user="bob"), 4),
            (HistoryFilter(recovered=True), 0),
        ],
    )
    def test_a_part_of_the_history_is_read(self, told: StateStore, among: HistoryFilter, found: int) -> None:
        """What meets every condition, the newest first; accounts and actors are named whole, authors in part."""
        lines = list(told.history(among=among))
        assert len(lines) == found
        assert [line.sequence for line in lines] == sorted((line.sequence for line in lines), reverse=True)
        assert list(told.history(among=among, limit=2)) == lines[:2]

    def test_conditions_and_an_address_are_met_together(self, told: StateStore) -> None:
        """The failures of one share."""
        lines = list(told.history(address="share/b", among=HistoryFilter(failed=True)))
        assert [(line.entry.run_id, line.entry.verb) for line in lines] == [
            ("second", "extend-share"),
            ("run-1", "create-share"),
        ]

    def test_runs_are_found_by_the_beginning_of_their_ids(self, told: StateStore) -> None:
        """The newest first."""
        with told.read() as reader:
            assert [run.run_id for run in reader.runs()] == ["second", "run-1"]
            assert list(reader.runs("sec")) == [_BOBS]
            assert list(reader.runs(limit=1)) == [_BOBS]
            assert list(reader.runs("nothing")) == list(reader.runs("\udcff")) == []

    def test_failures_are_what_was_not_done_since(self, told: StateStore) -> None:
        """By address: the same deed, and not another one, mends it."""
        with told.read() as reader:
            found = reader.failures(limit=10)
            assert {address: entry.verb for address, entry in found.items()} == {
                "share/b": "extend-share",
                "share/c": "create-share",
            }
            assert list(reader.failures(limit=1)) == ["share/b"]
