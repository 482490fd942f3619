"""`apply PLAN --if-current`: what was reviewed is applied, or nothing, with what a plan made now would do otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.console import Console, Ended

TYPE = "---\napiVersion: sharectl/v1\nkind: ShareType\nmetadata: {name: gold}\nspec: {extraSpecs: {%s}}\n"
POOLS = "pools: [{name: a, total: 100GiB, thin: false}, {name: b, total: 100GiB, thin: false}]"


def backend(more: str = "", lanes: int = 4) -> str:
    """Return the manifest of a simulated backend with two pools."""
    config = f"{{stateFile: sim.db, {POOLS}{more}}}"
    spec = f"{{driver: simulated, lanes: {lanes}, config: {config}}}"
    return f"---\napiVersion: sharectl/v1\nkind: Backend\nmetadata: {{name: sim}}\nspec: {spec}\n"


def share(name: str, size: int = 1, more: str = "") -> str:
    """Return the manifest of a share of so many GiB."""
    spec = f"{{size: {size}GiB, protocol: NFS, type: gold, deletionPolicy: delete, {more}}}"
    return f"---\napiVersion: sharectl/v1\nkind: Share\nmetadata: {{name: {name}}}\nspec: {spec}\n"


def rule(to: str) -> str:
    """Return a share's access for one address."""
    return f"access: [{{type: ip, to: {to}, level: rw}}]"


BASE = backend() + TYPE % "" + share("one") + share("two")


@pytest.fixture
def reviewed(console: Console) -> Callable[[str], None]:
    """Return a function that saves the plan of manifests, after those of BASE were applied."""
    console.write("all.yaml", BASE)
    assert console("apply", "--yes").code == 0

    def save(text: str) -> None:
        console.write("all.yaml", text)
        assert console("plan", "--out", "p.plan").code == 0

    return save


def shares(console: Console) -> dict[str, int]:
    """Return the recorded shares with their versions."""
    plain = orjson.loads(console("state", "list", "-o", "json").out)
    return {each["address"]: each["version"] for each in plain["resources"] if each["kind"] == "share"}


def apply(console: Console, *options: str) -> Ended:
    """Apply the saved plan, if it is current."""
    return console("apply", "p.plan", "--if-current", *options)


def refused(console: Console, said: str) -> None:
    """Check that the plan is refused with these words, and that nothing has been done."""
    before = shares(console)
    ended = apply(console)
    assert ended.code == 1
    assert said in ended.err
    assert shares(console) == before


def test_a_plan_that_would_be_made_again_is_applied(console: Console, reviewed: Callable[[str], None]) -> None:
    """Every kind of change: made, resized, opened, deleted."""
    reviewed(backend() + TYPE % "" + share("one", 2, rule("10.0.0.1")) + share("three"))
    ended = apply(console)
    assert ended.code == 0, ended
    assert shares(console).keys() == {"share/one", "share/three"}
    assert console("plan", "--detailed-exitcode").code == 0


def test_it_is_applied_once(console: Console, reviewed: Callable[[str], None]) -> None:
    """A repeated job finds all of it recorded, whatever has come after it elsewhere."""
    reviewed(BASE + share("three"))
    assert apply(console).code == 0
    console.write("all.yaml", BASE + share("three") + share("four"))
    ended = apply(console)
    assert (ended.code, "this plan has been applied already" in ended.err) == (0, True)
    assert "share/four" not in shares(console)


def test_what_was_merged_elsewhere_is_left_alone_and_named(console: Console, reviewed: Callable[[str], None]) -> None:
    """It has a plan of its own."""
    reviewed(BASE + share("three"))
    console.write("all.yaml", BASE + share("three") + share("four"))
    ended = apply(console)
    assert ended.code == 0, ended
    assert "1 resource would change that this plan leaves alone: share/four" in ended.err
    assert shares(console).keys() == {"share/one", "share/two", "share/three"}


def test_an_empty_plan_is_compared_too(console: Console, reviewed: Callable[[str], None]) -> None:
    """It says what it leaves alone, and counts as unchanged what is so now."""
    reviewed(BASE)
    console.write("all.yaml", backend() + TYPE % "" + share("one") + share("two", 2) + share("four"))
    ended = apply(console)
    assert ended.code == 0, ended
    assert "warning" in ended.err
    assert "2 resources would change that this plan leaves alone: share/four, share/two" in ended.err
    assert "1 resource is as its manifest says" in ended.out
    assert shares(console).keys() == {"share/one", "share/two"}


def test_an_empty_plan_is_refused_where_none_can_be_made(console: Console, reviewed: Callable[[str], None]) -> None:
    """Nobody can tell that it is current."""
    reviewed(BASE)
    console.write("all.yaml", BASE + "---\nkind: [\n")
    refused(console, "all.yaml")


def test_a_pool_that_filled_a_little_is_no_difference(console: Console, reviewed: Callable[[str], None]) -> None:
    """Other shares were made since: the candidates have other weights, and perhaps another order."""
    reviewed(BASE + share("three"))
    console.write("all.yaml", BASE + share("four", 30) + share("five", 5))
    assert console("apply", "--yes").code == 0
    console.write("all.yaml", BASE + share("four", 30) + share("five", 5) + share("three"))
    ended = apply(console)
    assert ended.code == 0, ended
    assert "share/three" in shares(console)


def test_a_pool_that_cannot_take_a_share_any_more_is(console: Console, reviewed: Callable[[str], None]) -> None:
    """It was reviewed as a place of the share."""
    reviewed(BASE + share("three", 60))
    console.write("all.yaml", BASE + share("four", 60))
    assert console("apply", "--yes").code == 0
    console.write("all.yaml", BASE + share("four", 60) + share("three", 60))
    refused(console, "would not take it now")


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (backend() + TYPE % "" + share("one", 3) + share("two"), "size 1GiB → 2GiB was reviewed, it would be size 1GiB → 3GiB now"),
        (BASE, "share/one: nothing would be done now"),
        (backend() + TYPE % "" + share("one", 2, rule("10.0.0.1")) + share("two"), "share/one: update-access now"),
        (backend() + TYPE % "" + share("two"), "share/one: not extend-share but delete-share now"),
        (backend(lanes=3) + TYPE % "" + share("one", 2) + share("two"), "backend/sim: its manifest is another now"),
        (TYPE % "" + share("one", 2) + share("two"), "nothing was done"),
        (backend() + TYPE % "" + "---\nkind: [\n", "all.yaml"),
    ],
    ids=["size", "withdrawn", "more at the address", "deleted", "backend", "no backend", "mistake"],
)  # fmt: skip
def test_another_change_that_came_between_refuses_it(
    console: Console, reviewed: Callable[[str], None], now: str, said: str
) -> None:
    """And says what would be done now."""
    reviewed(backend() + TYPE % "" + share("one", 2) + share("two"))
    console.write("all.yaml", now)
    refused(console, said)


def test_a_class_of_service_that_changed_refuses_new_shares_of_it(
    console: Console, reviewed: Callable[[str], None]
) -> None:
    """They would be made with what was reviewed, which is not what is wanted any more."""
    reviewed(BASE + share("three"))
    console.write(
        "all.yaml", (BASE + share("three")).replace("extraSpecs: {}", "extraSpecs: {thin_provisioning: 'False'}")
    )
    refused(console, "share_type/gold: its extra specs are others now")


def test_rules_that_changed_refuse_it(console: Console, reviewed: Callable[[str], None]) -> None:
    """Whoever was reviewed is let in, or nobody."""
    reviewed(backend() + TYPE % "" + share("one", 1, rule("10.0.0.1")) + share("two"))
    console.write("all.yaml", backend() + TYPE % "" + share("one", 1, rule("0.0.0.0/0")) + share("two"))
    refused(console, "access/ip:0.0.0.0/0")


def test_a_plan_that_no_manifest_asks_for_is_refused(console: Console, reviewed: Callable[[str], None]) -> None:
    """Somebody made it from manifests of their own, for the same state."""
    reviewed(backend() + TYPE % "" + share("one", 1, rule("0.0.0.0/0")) + share("two") + share("mine"))
    console.write("all.yaml", BASE)
    refused(console, "share/one: nothing would be done now")


def test_a_row_that_changed_refuses_all_of_it(console: Console, reviewed: Callable[[str], None]) -> None:
    """Also at addresses that have not changed, unlike a saved plan without the option."""
    changed = backend() + TYPE % "" + share("one", 2) + share("two", 2)
    reviewed(changed)
    console.write("all.yaml", BASE.replace("name: one}\nspec: {size: 1GiB", "name: one}\nspec: {size: 3GiB"))
    assert console("apply", "--yes").code == 0
    console.write("all.yaml", changed)
    refused(console, "the state has changed since this plan was made: share/one")


def test_what_a_plan_was_allowed_is_allowed_again(console: Console, reviewed: Callable[[str], None]) -> None:
    """The options that it was made with make the plan that it is compared with."""
    many = "".join(share(f"s{number}") for number in range(8))
    console.write("all.yaml", BASE + many)
    assert console("apply", "--yes").code == 0
    console.write("all.yaml", BASE)
    assert console("plan", "--out", "p.plan", "--allow-deletions", "8").code == 0
    refused(console, "nothing was done")
    ended = apply(console, "--allow-deletions", "8")
    assert ended.code == 0, ended
    assert shares(console).keys() == {"share/one", "share/two"}


def test_it_is_about_a_saved_plan(console: Console) -> None:
    """There is nothing else to compare."""
    console.write("all.yaml", BASE)
    assert console("apply", "--if-current", "--yes").code == 64
