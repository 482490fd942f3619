"""The rows of the spine: each command on the repository that makes it work hardest."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from typing import TYPE_CHECKING, Final

from repositories import applied, changed, forget, fresh, plain
from rows import Figure, Row, difference
from workload import BACKENDS, LANES, LATENCY_SECONDS, Workload
from yardsticks import commit_seconds, json_seconds, yaml_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from command import Cost
    from rows import Samples, Site

MIB: Final = 1 << 20
MANY_FILES: Final = 30_000
ENGINE_SHARES: Final = 10_000
"""At most so many shares in rows whose cost is a step's or a call's."""
ENOUGH_FOR_GROWTH: Final = 100_000
"""With fewer shares, the cost of one more is lost in the noise of the start of the process."""


def of(name: str, scale: float = 1) -> Callable[[Samples], float]:
    """Return one quantity of the samples, in another unit."""
    return lambda samples: samples[name] * scale


def cost_figures(name: str, *, seconds: float | None = None, mib: float | None = None) -> list[Figure]:
    """Return the CPU time and the memory of one command, with their limits."""
    return [
        Figure(name, of("cpu"), "s", seconds),
        Figure(f"  {name}: memory", of("peak", 1 / MIB), "MiB", mib),
    ]


def sample_of(cost: Cost) -> Samples:
    """Return the samples of one command."""
    return {"cpu": cost.cpu_seconds, "peak": cost.peak_bytes}


# -- the start of the process

STARTS: Final = (("--help",), ("validate",), ("plan",), ("apply", "--yes"), ("history",), ("state", "list"), ("pools",))


def sample_start(site: Site) -> Samples:
    """Run commands in a project without backends and shares, which have nothing to do."""
    root = site.folder / "nothing"
    if not root.exists():
        fresh(root, Workload(0))
        (root / "manifests" / "backends.yaml").unlink()
    return {" ".join(words): site.tree.measured(root, *words).cpu_seconds for words in STARTS}


def start_figures(_shares: int) -> Sequence[Figure]:
    """Return a figure for each command."""
    return [
        Figure(f"start of sharectl {' '.join(words)}, nothing to do", of(" ".join(words)), "s", 0.15)
        for words in STARTS
    ]


# -- plans that are empty


def sizes_of(shares: int) -> list[int]:
    """Return the sizes between which the cost has to be linear."""
    return sorted({max(1, shares // 100), max(2, shares // 10), shares})


def empty_row(refresh: str, limit: float) -> Row:
    """Return the row of an empty plan against `orjson.loads` of the same resources; its cost is linear in the shares."""

    def sample(site: Site) -> Samples:
        samples: dict[str, float] = {}
        for size in sizes_of(site.shares):
            root = plain(site, size)
            cost = site.tree.measured(root, "plan", "--refresh", refresh)
            samples |= {f"cpu {size}": cost.cpu_seconds, f"peak {size}": cost.peak_bytes}
        return samples | {"yardstick": json_seconds(plain(site, site.shares))}

    def figures(shares: int) -> Sequence[Figure]:
        few, some, many = (f"cpu {size}" for size in sizes_of(shares))

        def growth(samples: Samples) -> float:
            upper = difference(samples[many], samples[some]) / (shares - shares // 10)
            return upper / (difference(samples[some], samples[few]) / (shares // 10 - shares // 100))

        name = f"empty plan, {shares} shares, --refresh {refresh}"
        figures = [
            Figure(name, of(many), "s"),
            Figure(
                "  against orjson.loads of the resources",
                lambda s: s[many] / s["yardstick"],
                "x",
                limit,
                compared=False,
            ),
            Figure(f"  {name}: memory", of(f"peak {shares}", 1 / MIB), "MiB", 1536),
        ]
        if shares >= ENOUGH_FOR_GROWTH:
            figures.append(Figure("  cost of one more share, many against few", growth, "x", 1.5, compared=False))
        return figures

    return Row(f"empty-{refresh}", sample, figures)


def sample_files(site: Site) -> Samples:
    """Plan a repository with a file for each share."""
    root = applied(site, Workload(min(site.shares, MANY_FILES), shares_per_file=1), "files")
    return sample_of(site.tree.measured(root, "plan", "--refresh", "none"))


def files_figures(shares: int) -> Sequence[Figure]:
    """Return the figures of an empty plan of many files."""
    return cost_figures(f"empty plan, {min(shares, MANY_FILES)} files of one share, --refresh none")


# -- plans with work to do


def sample_first(site: Site) -> Samples:
    """Plan a repository that nobody has read before."""
    root = site.folder / "first"
    if not root.exists():
        fresh(root, Workload(site.shares))
    forget(root)
    return {**sample_of(site.tree.measured(root, "plan")), "yardstick": yaml_seconds(root)}


def first_figures(shares: int) -> Sequence[Figure]:
    """Return the figures of a first plan, against bare PyYAML over the same files."""
    ratio = Figure(
        "  against PyYAML over the same files", lambda s: s["cpu"] / s["yardstick"], "x", 2.5, compared=False
    )
    return [*cost_figures(f"first plan, {shares} shares, nothing cached", mib=2048), ratio]


def sample_validate(site: Site) -> Samples:
    """Validate a repository that nobody has read before."""
    root = site.folder / "cold"
    if not root.exists():
        fresh(root, Workload(site.shares))
    forget(root)
    return sample_of(site.tree.measured(root, "validate"))


def sample_labels(site: Site) -> Samples:
    """Plan with a changed label on each share."""
    root = changed(site, Workload(site.shares, label="owner"), "labels")
    return sample_of(site.tree.measured(root, "plan"))


def sample_renames(site: Site) -> Samples:
    """Apply a rename of each share, on the repository as the last sample has left it."""
    root = applied(site, Workload(site.shares), "renames")
    counter = root / "generation"
    generation = int(counter.read_text(encoding="utf-8")) + 1 if counter.exists() else 1
    Workload(site.shares, generation=generation).write_shares(root)
    cost = site.tree.measured(root, "apply", "--yes", "--allow-deletions", str(site.shares))
    counter.write_text(str(generation), encoding="utf-8")
    return sample_of(cost)


def sample_refusals(site: Site) -> Samples:
    """Plan a thousand shares that would shrink, which is refused for each."""
    shares = min(site.shares, 1_000)
    root = changed(site, Workload(shares, first_size_gib=5), "refusals")
    return sample_of(site.tree.measured(root, "plan", exit_code=1))


def sample_removals(site: Site) -> Samples:
    """Plan without half of the shares, which have snapshots."""
    workload = Workload(min(site.shares, 8_000), snapshots_per_share=3)
    root = applied(site, workload, "removals")
    for file in (root / "manifests").glob("shares-*[02468].yaml"):
        file.unlink()
    return sample_of(site.tree.measured(root, "plan", "--allow-deletions", str(4 * workload.shares)))


def target_row(refresh: str) -> Row:
    """Return the row of a plan of one share among all, against the plan of all."""

    def sample(site: Site) -> Samples:
        root = plain(site, site.shares)
        words = ("plan", "--refresh", refresh)
        one = site.tree.measured(root, *words, "--target", f"share/{middle(site.shares)}")
        return {**sample_of(one), "all": site.tree.measured(root, *words).cpu_seconds}

    def figures(shares: int) -> Sequence[Figure]:
        name = f"plan --target of one among {shares}, --refresh {refresh}"
        ratio = Figure("  against the plan of all", lambda s: s["cpu"] / s["all"], "x", 0.25, compared=False)
        return [*cost_figures(name), ratio]

    return Row(f"target-{refresh}", sample, figures)


# -- looking at one thing, and at everything


def middle(shares: int) -> str:
    """Return the name of a share in the middle."""
    return Workload(shares).name_of(shares // 2)


def look_row(name: str, words: tuple[str, ...], suffix: str = "", exit_code: int = 0) -> Row:
    """Return the row of a command on one share among all; its address ends in `suffix`, which makes it a wrong one."""

    def sample(site: Site) -> Samples:
        root = plain(site, site.shares)
        address = f"share/{middle(site.shares)}{suffix}"
        return sample_of(site.tree.measured(root, *words, address, exit_code=exit_code))

    shown = f"{' '.join(words)}{' with a wrong name' if suffix else ''}"
    return Row(name, sample, lambda shares: cost_figures(f"{shown} of one among {shares}", seconds=0.3, mib=80))


def sample_completion(site: Site) -> Samples:
    """Complete the address of one share, as bash asks for it."""
    root, name = plain(site, site.shares), middle(site.shares)
    environment = {
        "_SHARECTL_COMPLETE": "complete_bash",
        "_TYPER_COMPLETE_ARGS": f"sharectl show share/{name[:-1]}",
        "COMP_WORDS": f"sharectl show share/{name[:-1]}",
        "COMP_CWORD": "2",
    }
    cost = site.tree.measured(root, environment=environment, keep_output=True)
    if name.encode() not in cost.output:
        message = f"completion in {root} does not offer share/{name}: {cost.output!r}"
        raise SystemExit(message)
    return sample_of(cost)


def streamed_row(name: str, words: tuple[str, ...]) -> Row:
    """Return the row of a command that prints everything; what it holds at a time is bounded."""

    def sample(site: Site) -> Samples:
        return sample_of(site.tree.measured(plain(site, site.shares), *words))

    return Row(name, sample, lambda shares: cost_figures(f"{name} of {shares} shares", mib=100))


# -- the engine


def planned(site: Site, name: str, workload: Workload, environment: dict[str, str] | None = None) -> Path:
    """Return a new repository with a saved plan of its first apply."""
    root = fresh(site.folder / name, workload)
    words = ("plan", "--refresh", "none", "--out", "plan.json")
    site.tree.measured(root, *words, environment=environment)
    return root


def applied_plan(site: Site, root: Path, environment: dict[str, str] | None = None) -> tuple[Cost, float]:
    """Apply the saved plan; return what the command used, and the wall time of the run alone, as its last event says."""
    words = ("apply", "plan.json", "--output", "json")
    cost = site.tree.measured(root, *words, environment=environment, keep_output=True)
    events = (json.loads(line) for line in cost.output.splitlines()[-20:])
    finished = next(event for event in events if event.get("event") == "run-finished")
    if finished["failed"] or finished["skipped"]:
        message = f"the run in {root} failed: {finished}"
        raise SystemExit(message)
    return cost, float(finished["seconds"])


def waiting_environment(site: Site) -> dict[str, str]:
    """Return the environment in which this checkout knows the driver `waiting`, as its own benchmarks have it."""
    code = "import sys, pathlib, waiting_driver as w; print(w.install(pathlib.Path(sys.argv[1]))['PYTHONPATH'])"
    command = [site.tree.python, "-c", code, str(site.folder / "driver")]
    bench = site.tree.path / "bench"
    answer = subprocess.run(command, cwd=bench, capture_output=True, text=True, check=True)
    return {"PYTHONPATH": answer.stdout.strip()}


def sample_apply(site: Site) -> Samples:
    """Apply shares on backends that answer at once: some that keep their shares, some that keep nothing."""
    shares = min(site.shares, ENGINE_SHARES)
    environment = waiting_environment(site)
    simulated, run_seconds = applied_plan(site, planned(site, "instant", Workload(shares)))
    bare = planned(site, "bare", Workload(shares, waiting=0), environment)
    cost, _ = applied_plan(site, bare, environment)
    steps = 2 * shares + BACKENDS
    return {
        "cpu": simulated.cpu_seconds / steps,
        "bare cpu": cost.cpu_seconds / steps,
        "peak": simulated.peak_bytes,
        "wall": run_seconds / steps,
        "commit": commit_seconds(site.folder),
    }


def apply_figures(shares: int) -> Sequence[Figure]:
    """Return the figures of durable steps."""
    return [
        Figure("durable step, backends that keep nothing", of("bare cpu", 1e3), "ms", 0.25),
        Figure("durable step, simulated backends", of("cpu", 1e3), "ms", 0.25),
        Figure(
            "  wall time of a step against one fsynced commit",
            lambda s: s["wall"] / s["commit"],
            "x",
            3,
            compared=False,
        ),
        Figure("  wall time of a step", of("wall", 1e3), "ms"),
        Figure(f"  apply of {min(shares, ENGINE_SHARES)} shares: memory", of("peak", 1 / MIB), "MiB"),
    ]


def lanes_row(name: str, limit: float | None, waiting: float | None, shown: str, processes: int = 0) -> Row:
    """Return the row of slow backends, against the lower bound: the most work that one lane has, divided by its width."""

    def sample(site: Site) -> Samples:
        latency = f"{LATENCY_SECONDS * 1e3:g}ms"
        workload = Workload(min(site.shares, ENGINE_SHARES), latency=latency, waiting=waiting, processes=processes)
        environment = waiting_environment(site)
        root = planned(site, name, workload, environment)
        steps = json.loads((root / "plan.json").read_bytes())["plan"]["steps"]
        longest = max(Counter(step["backend"] for step in steps).values())
        _, seconds = applied_plan(site, root, environment)
        return {"wall": seconds, "bound": longest * LATENCY_SECONDS / LANES}

    def figures(shares: int) -> Sequence[Figure]:
        return [
            Figure(
                f"{min(shares, ENGINE_SHARES)} shares, 50 ms a call, 20 lanes of {LANES}, {shown}: wall",
                of("wall"),
                "s",
            ),
            Figure("  against the bound of the lanes", lambda s: s["wall"] / s["bound"], "x", limit),
        ]

    return Row(name, sample, figures, rounds=1)


def sample_scheduler(site: Site) -> Samples:
    """Run this checkout's own benchmark of the scheduler."""
    command = [site.tree.python, "bench/scheduler.py", "--json", "--requests", "5000", "--many", "20000"]
    answer = subprocess.run(command, cwd=site.tree.path, capture_output=True, text=True, check=False)
    figures = json.loads(answer.stdout)
    plain_ratio = figures["against the reference"]["ratio"]
    functions_ratio = figures["with functions on every pool"]["ratio"]
    return {"plain": 1 / plain_ratio, "functions": 1 / functions_ratio}


def scheduler_figures(_shares: int) -> Sequence[Figure]:
    """Return the figures of the scheduler at 1,000 pools."""
    return [
        Figure("scheduler, 1,000 pools: time of a request against the reference's", of("plain", 100), "%", 1),
        Figure("  the same with functions on every pool", of("functions", 100), "%", 5),
    ]


ROWS: Final = (
    Row("start", sample_start, start_figures, rounds=5),
    empty_row("none", 5),
    empty_row("full", 10),
    Row("files", sample_files, files_figures),
    target_row("none"),
    target_row("full"),
    look_row("show", ("show",)),
    look_row("explain", ("explain",)),
    look_row("state-show", ("state", "show")),
    look_row("wrong-name", ("show",), "x", exit_code=1),
    Row("completion", sample_completion, lambda n: cost_figures(f"completion of one among {n}", seconds=0.3, mib=80)),
    streamed_row("state-pull", ("state", "pull")),
    streamed_row("state-backup", ("state", "backup", "--to", "state.backup")),
    streamed_row("history", ("history", "--limit", "1000000000", "--output", "json")),
    Row("first", sample_first, first_figures, rounds=2),
    Row(
        "validate",
        sample_validate,
        lambda n: cost_figures(f"validate, {n} shares, nothing cached", seconds=12, mib=400),
        rounds=2,
    ),
    Row("labels", sample_labels, lambda n: cost_figures(f"plan of {n} changed labels", seconds=5, mib=400), rounds=2),
    Row("refusals", sample_refusals, lambda n: cost_figures(f"plan of {min(n, 1_000)} refused shares"), rounds=2),
    Row(
        "removals",
        sample_removals,
        lambda n: cost_figures(f"plan without half of {min(n, 8_000)} shares with 3 snapshots each"),
        rounds=2,
    ),
    Row("renames", sample_renames, lambda n: cost_figures(f"apply of {n} renames", seconds=20, mib=400), rounds=1),
    Row("apply", sample_apply, apply_figures, rounds=2),
    lanes_row("lanes-waiting", None, LATENCY_SECONDS, "calls that only wait"),
    lanes_row("lanes-simulated", None, None, "simulated backends"),
    lanes_row("processes-waiting", 1.1, LATENCY_SECONDS, "calls that only wait, in a process", processes=1),
    lanes_row("processes-simulated", 1.2, None, "simulated backends, in a process", processes=1),
    Row("scheduler", sample_scheduler, scheduler_figures, rounds=1),
)
