"""A plan in the terminal."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharectl.model.access import AccessRule
from sharectl.model.candidates import Candidate
from sharectl.model.diagnostics import error, warning
from sharectl.model.field_changes import FieldChange, rule_changes
from sharectl.model.observed import Before
from sharectl.model.plans import Action, CreateShare, Drift, DriftKind, Held
from sharectl.model.specs import RevertRequest, ShareSpec
from sharectl.model.verbs import Verb
from sharectl.render.plan_text import drift_lines, plan_lines
from sharectl.render.text import Look
from tests.render.samples import GIB, a_plan, a_step, held_shares, new_share, rich_plan, shrink_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sharectl.model.plans import Step

    Golden = Callable[[str, Iterable[str]], None]


def test_a_plan_shows_drift_then_each_resource_then_the_summary(golden: Golden) -> None:
    """Every action, as one block per resource, with what is lost said in so many words."""
    golden("plan.txt", plan_lines(rich_plan()))


def test_a_plan_in_colour(golden: Golden) -> None:
    """Deletions are red as a whole; other symbols have the colour of their action."""
    golden("plan-color.txt", plan_lines(rich_plan(), Look(color=True)))


def test_a_verbose_plan_has_every_field_weight_and_reason(golden: Golden) -> None:
    """What is left out of the short form."""
    golden("plan-verbose.txt", plan_lines(rich_plan(), verbose=True))


def test_colours_change_nothing_but_colour() -> None:
    """Without its colours the coloured plan is the plain one."""
    plain = list(plan_lines(rich_plan()))
    assert [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in plan_lines(rich_plan(), Look(color=True))] == plain


@pytest.mark.parametrize(
    ("unchanged", "line"),
    [
        (118, "No changes. 118 resources are as their manifests say."),
        (1, "No changes. 1 resource is as its manifest says."),
    ],
)
def test_an_empty_plan_says_so(unchanged: int, line: str) -> None:
    """In one line."""
    assert list(plan_lines(a_plan(unchanged=unchanged))) == [line]


def test_an_empty_plan_admits_what_it_could_not_read() -> None:
    """A backend that did not answer is not the same as no change."""
    plan = a_plan(diagnostics=(warning("backend.unknown", "backend nas3 could not be read"),))
    assert next(plan_lines(plan)).endswith("as far as the backends could be read.")


def test_an_empty_plan_counts_the_shares_that_wait() -> None:
    """They are wanted, and not there: that is not `No changes`."""
    waiting = [warning("share.held", f"share/{name} waits", address=f"share/{name}") for name in "ab"]
    assert (
        "Nothing can be done yet: 2 shares wait, as the warnings say. 3 resources are as their manifests say."
        in list(plan_lines(a_plan(unchanged=3, diagnostics=tuple(waiting))))
    )


def test_an_empty_plan_with_errors_does_not_claim_that_all_is_well() -> None:
    """It says how many errors stand in the way."""
    lines = list(plan_lines(a_plan(diagnostics=(shrink_error(),))))
    assert lines == ["Nothing is planned: 1 error must be mended first."]


def test_a_plan_with_errors_does_not_advise_to_apply() -> None:
    """The last line says that it cannot be."""
    plan = a_plan(*new_share(), diagnostics=(error("a", "b"), error("a", "c")), by_action={"create": 1})
    lines = list(plan_lines(plan))
    assert lines[-1] == "This plan has 2 errors and cannot be applied; fix them and plan again."
    assert not any("sharectl apply" in line for line in lines)


def test_what_is_held_is_said_with_its_reason_beside_what_is_done() -> None:
    """Each address once, what it depends on, and how apply will end."""
    plan = a_plan(*new_share(), diagnostics=(shrink_error(),), by_action={"create": 1}, held=held_shares())
    lines = list(plan_lines(plan))
    assert "  ✗ share/home would shrink from 200GiB to 100GiB" in lines
    assert "  ✗ share/copy: depends on share/home, which is held  (create-share)" in lines
    assert lines[-2] == "Plan: 1 to create. 118 unchanged."
    assert lines[-1] == "2 resources are held; `sharectl apply` does the rest and ends with exit code 1."


def test_what_is_held_alike_shares_a_line() -> None:
    """Three or more of one reason; few that differ are lines of their own, many are counted, and --verbose tells each."""
    alike = [Held(f"share/s{number}", "changed since", f"share/s{number}", "plan.stale") for number in range(5)]
    others = [Held(f"share/t{number}", f"no room for t{number}", "backend/a", "share.place") for number in range(30)]
    plan = a_plan(*new_share(), held=(*alike, *others))
    lines = list(plan_lines(plan))
    assert "  ✗ share/s0: changed since; the same holds for share/s1, share/s2, share/s3 and 1 more" in lines
    assert sum(line.startswith("  ✗ ") for line in lines) == 20
    assert "  and 11 more; `--output json` has them all" in lines
    whole = list(plan_lines(plan, verbose=True))
    assert sum(line.startswith("  ✗ ") for line in whole) == 35
    assert not any("has them all" in line for line in whole)


def test_a_plan_of_which_all_is_held_does_not_claim_that_all_is_well() -> None:
    """It says how many resources are held."""
    lines = list(plan_lines(a_plan(diagnostics=(shrink_error(),), held=held_shares()[:1])))
    assert lines[-1] == "Nothing can be done: 1 resource is held. 118 unchanged."


def test_many_candidates_are_counted_unless_verbose() -> None:
    """The first three by name."""
    candidates = tuple(Candidate(f"n{n}", "p", 1 - n / 10) for n in range(5))
    creation = replace(new_share()[0], work=CreateShare(ShareSpec("projects", 100 * GIB, "NFS"), candidates))
    short, long = ("\n".join(plan_lines(a_plan(creation), verbose=verbose)) for verbose in (False, True))
    assert "then n2#p (0.80), then 2 more" in short
    assert "then n4#p (0.60)" in long


def test_resources_are_ordered_by_address() -> None:
    """Whatever the order of the steps."""
    steps = [step for name in ("c", "a", "b") for step in new_share(name)]
    shown = [line.split()[1] for line in plan_lines(a_plan(*steps)) if line.startswith("  +")]
    assert shown == ["share/a", "share/b", "share/c"]


def test_a_left_over_of_an_earlier_replacement_is_a_block_of_its_own() -> None:
    """It is deleted by itself; nothing is made."""
    step = a_step(
        "share/db@deposed-0a1b2c3d", Action.DELETE, Verb.DELETE_SHARE, "replaced by the new share", backend="nas1"
    )
    lines = list(plan_lines(a_plan(step, by_action={"delete": 1})))[3:]  # after the answers
    assert lines[2].startswith("  - share/db@deposed-0a1b2c3d  on nas1")
    assert lines[3] == "      ! the share and all data in it are destroyed"
    assert lines[5] == "1 resource is destroyed for good: share/db@deposed-0a1b2c3d"


def test_several_reverts_are_counted_apart_from_what_is_destroyed_whole() -> None:
    """Each with the snapshot up to which its data stays."""
    steps = [
        a_step(
            f"share/{name}",
            Action.REVERT,
            Verb.REVERT_SHARE,
            "request 1 asks for it",
            spec=ShareSpec(name, 5, "NFS", revert_to=RevertRequest("s", "1")),
        )
        for name in ("a", "b")
    ]
    lines = list(plan_lines(a_plan(*steps, by_action={"revert": 2})))
    assert "2 shares lose for good what is newer than a snapshot: share/a (snapshot/s), share/b (snapshot/s)" in lines
    assert "Plan: 2 to turn back. 118 unchanged." in lines


def test_drift_alone_can_be_shown(golden: Golden) -> None:
    """As `refresh` does; a backend that could not be read leaves a question mark."""
    unknown = Drift("share/far", DriftKind.UNKNOWN, "is on a backend that could not be read")
    plan = rich_plan()
    golden("drift.txt", drift_lines(replace(plan, drift=(*plan.drift, unknown))))


def test_no_drift_is_said() -> None:
    """In one line."""
    assert list(drift_lines(a_plan())) == ["No drift: the backends hold what the state says."]


def test_a_plan_of_ten_thousand_new_shares_is_shown_in_a_moment() -> None:
    """With three rules each; several times what it takes on an idle machine is allowed."""
    plan = a_plan(
        *(
            step
            for number in range(10_000)
            for step in new_share(
                f"s{number}", *(AccessRule("ip", f"10.{number // 100}.{number % 100}.{n}", "rw") for n in range(3))
            )
        )
    )
    begun = time.process_time()
    count = sum(1 for _ in plan_lines(plan, Look(color=True)))
    assert time.process_time() - begun < 10.0
    assert count == 40_007


@settings(deadline=None)
@given(st.text(), st.text(), st.text(), st.text())
def test_hostile_names_and_reasons_reach_no_terminal(name: str, reason: str, pool: str, value: str) -> None:
    """No control character of a manifest, a backend or the state is left in any line."""
    spec = ShareSpec(name, 5, value, share_type=reason)
    creation = a_step(
        f"share/{name}",
        Action.CREATE,
        Verb.CREATE_SHARE,
        reason,
        backend=pool,
        spec=spec,
        candidates=(Candidate(pool, value, 0.5, ((reason, 0.5),)), Candidate(value, pool, 0.4)),
    )
    update = a_step(
        f"share/{reason}",
        Action.UPDATE,
        Verb.UPDATE_ACCESS,
        reason,
        backend=pool,
        rules=(AccessRule("user", name, value),),
        changes=(FieldChange(f"access/user:{name}", None, value), FieldChange(name, {name: value}, [value])),
    )
    deletion = a_step(
        f"share/{value}", Action.DELETE, Verb.DELETE_SHARE, reason, changes=(FieldChange("size", name, None),)
    )
    drift = (Drift(name, DriftKind.CHANGED, reason, (FieldChange(name, value, None),)),)
    for line in plan_lines(a_plan(creation, update, deletion, drift=drift), verbose=True):
        assert line.isprintable()


def changed_access(name: str, before: tuple[AccessRule, ...], after: tuple[AccessRule, ...]) -> Step:
    """Return the step that changes who may reach a share."""
    return a_step(
        f"share/{name}",
        Action.UPDATE,
        Verb.UPDATE_ACCESS,
        "its manifest says so",
        backend="nas1",
        rules=after,
        changes=rule_changes(before, after),
        before=Before("NFS", before),
    )


WIDE, NARROW, ALL = (AccessRule("ip", name, "rw") for name in ("10.0.0.0/8", "10.0.3.0/24", "0.0.0.0/0"))
READS = WIDE._replace(access_level="ro")


def test_a_small_change_has_one_line_of_answers() -> None:
    """Where nothing is lost, nobody is locked out, and all has a place."""
    assert next(plan_lines(a_plan(*new_share()))) == "No data is lost, nobody is locked out, everything fits."
    added = changed_access("home", (WIDE,), (WIDE, AccessRule("ip", "192.0.2.1", "ro")))
    assert next(plan_lines(a_plan(added))) == "No data is lost, nobody is locked out."


def test_a_plan_that_cannot_be_applied_has_no_answers() -> None:
    """It stays short, and does not say of clients that nothing changes for them: nobody has looked."""
    assert next(plan_lines(a_plan(*new_share(), diagnostics=(shrink_error(),)))).startswith("What apply will do")
    refused = a_plan(changed_access("home", (WIDE,), ()), diagnostics=(shrink_error(),))
    assert not any("▸" in line for line in plan_lines(refused))


def test_the_answers_fit_a_terminal() -> None:
    """They are folded between words, under each other."""
    lines = list(plan_lines(rich_plan(), Look(width=60)))
    assert all(len(line) <= 60 for line in lines[: lines.index("")])
    assert [line[:8].strip() for line in lines[: lines.index("")] if line[:8].strip()] == ["Data:", "Access:", "Room:"]


def test_what_becomes_of_clients_is_said_where_the_rules_do_not_say_it() -> None:
    """A rule that goes beside a wider one that stays takes away the difference."""
    lines = list(plan_lines(a_plan(changed_access("home", (READS, NARROW), (READS,)))))
    assert lines[lines.index("      - access ip:10.0.3.0/24 rw") + 1] == "      ▸ 10.0.3.0/24 goes from rw to ro"
    lines = list(plan_lines(a_plan(changed_access("home", (WIDE, NARROW), (WIDE,)))))
    assert lines[lines.index("      - access ip:10.0.3.0/24 rw") + 1] == "      ▸ nobody gains or loses access"
    assert not any("▸" in line for line in plan_lines(a_plan(changed_access("home", (WIDE,), ()))))


def test_a_rule_that_lets_everybody_in_is_remarked() -> None:
    """Where it comes, and on top: nobody finds it among thousands."""
    lines = list(plan_lines(a_plan(changed_access("home", (WIDE,), (WIDE, ALL)))))
    assert "      ! ip:0.0.0.0/0 lets every IPv4 client in (rw)" in lines
    assert lines[:2] == [
        "No data is lost, nobody is locked out.",
        "Open:    ip:0.0.0.0/0 lets every IPv4 client in (rw): share/home",
    ]


def test_an_opening_of_many_shares_is_told_once() -> None:
    """With their number; to read is enough."""
    steps = [
        changed_access(f"s{number}", (), (ALL._replace(access_level="ro"), AccessRule("ip", f"192.0.2.{number}", "rw")))
        for number in range(5)
    ]
    assert next(line for line in plan_lines(a_plan(*steps)) if line.startswith("Open:")) == (
        "Open:    ip:0.0.0.0/0 lets every IPv4 client in (ro): 5 shares"
    )


def test_three_thousand_equal_changes_are_one() -> None:
    """Which `--verbose` opens; one that differs in its effect alone stands by itself."""
    steps = [changed_access(f"s{number:04}", (READS, NARROW), (READS,)) for number in range(3000)]
    other = changed_access("t", (WIDE, NARROW), (WIDE,))
    lines = list(plan_lines(a_plan(*steps, other)))
    assert len(lines) < 16
    assert "  ~ 3,000 shares          on nas1: its manifest says so" in lines
    assert "      share/s0000, share/s0001, share/s0002 and 2997 more; --verbose shows each" in lines
    assert lines[1] == "Access:  3,000 shares: 10.0.3.0/24 goes from rw to ro"
    assert sum("▸" in line for line in lines) == 2
    opened = list(plan_lines(a_plan(*steps, other), verbose=True))
    assert sum(line.startswith("  ~ share/s") for line in opened) == 3000


def test_deletions_of_different_sizes_are_brought_together_with_their_sum() -> None:
    """The answer has what they hold together."""
    steps = [
        a_step(
            f"share/s{number:02}",
            Action.DELETE,
            Verb.DELETE_SHARE,
            "its manifest is gone",
            backend="nas1",
            changes=(FieldChange("size", f"{number + 1}GiB", None),),
            before=Before("NFS", (), size_bytes=(number + 1) * GIB),
        )
        for number in range(10)
    ]
    lines = list(plan_lines(a_plan(*steps)))
    assert lines[0] == "Data:    10 resources are destroyed for good (up to 55.0 GiB)"
    assert sum(line.startswith("  - ") for line in lines) == 1
