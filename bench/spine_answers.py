"""The rows of what people ask of the state, each of which is to be answered at once."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

from repositories import plain
from rows import Row
from spine_rows import cost_figures, middle, sample_of

if TYPE_CHECKING:
    from pathlib import Path

    from rows import Samples, Site

ASKED_CLIENT: Final = "198.51.100.7"
ANSWERS: Final = {
    "list": ("list", "--limit", "100"),
    "list-used": ("list", "--sort", "used", "--limit", "100"),
    "list-label": ("list", "--label", "team=team-07"),
    "who-1": ("who", ASKED_CLIENT),
    "who-500": ("who", "10.7.0.5"),
    "history-of-one": ("history",),
    "diff": ("diff",),
}
"""What on-call engineers ask of the state, by the name of the row."""


def asked(site: Site) -> Path:
    """Return an applied repository in which one share has a rule that no other has, and each share uses something else."""
    root = site.folder / f"asked-{site.shares}"
    if not root.exists():
        new = root.with_name(f"{root.name}-unfinished")
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(plain(site, site.shares), new)
        file = next(iter(sorted((new / "manifests").glob("shares-*.yaml"))))
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace("to: 10.0.0.0/16", f"to: {ASKED_CLIENT}", 1), encoding="utf-8")
        site.tree.measured(new, "apply", "--yes")
        site.tree.measured(new, "refresh")
        with closing(sqlite3.connect(new / ".sharectl" / "state.db")) as state, state:
            state.execute("UPDATE share_use SET used_bytes = abs(random() % 10000000000)")
        new.rename(root)
        site.tree.measured(root, "plan")  # the cache knows files by their paths
    return root


def answer_row(name: str, words: tuple[str, ...]) -> Row:
    """Return the row of a question to the state."""

    def sample(site: Site) -> Samples:
        root = asked(site)
        subjects = {"history": lambda: f"share/{middle(site.shares)}", "diff": lambda: last_run(site, root)}
        subject = [subjects[words[0]]()] if words[0] in subjects else []
        return sample_of(site.tree.measured(root, *words, *subject))

    return Row(name, sample, lambda n: cost_figures(f"{' '.join(words)}, among {n}", seconds=0.3, mib=80))


def last_run(site: Site, root: Path) -> str:
    """Return the id of the last run, which changed one share."""
    cost = site.tree.measured(root, "history", "--limit", "1", "--output", "json", keep_output=True)
    run: str = json.loads(cost.output)["entries"][0]["run"]["run_id"]
    return run


ROWS: Final = tuple(answer_row(name, words) for name, words in ANSWERS.items())
