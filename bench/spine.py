"""What sharectl costs: rows of figures with their limits, alone or against another checkout in the same run.

    python bench/spine.py                           everything, at 100,000 shares
    python bench/spine.py --shares 10000            smaller
    python bench/spine.py --only apply              some of the rows; --list names them
    python bench/spine.py --against ../before       before and after: both checkouts take turns, each with the Python of its .venv

A line has a figure, its limit, and with --against the figure before and the ratio. OVER is over the limit, WORSE is more than
1.05 of before; either makes the exit code 1. Times are CPU times of the command and its children unless the name says "wall".
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from command import THIS, Tree
from rows import Row, Site, UnmeasurableError, measure
from spine_answers import ROWS as ANSWERS
from spine_rows import ROWS as SPINE

ROWS = (*SPINE, *ANSWERS)


def broken_in(row: Row, sites: list[Site]) -> list[str]:
    """Measure a row, print it, and name what is broken in it; so is a row that cannot be measured."""
    try:
        lines = measure(row, sites)
    except UnmeasurableError as error:
        print(f"{row.name}: ERROR: {error}", flush=True)
        return [row.name]
    for line in lines:
        print(line, flush=True)
    return [line.figure.name.strip() for line in lines if line.is_broken]


def main() -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shares", type=int, default=100_000)
    parser.add_argument("--only", choices=[row.name for row in ROWS], action="append", metavar="ROW")
    parser.add_argument("--list", action="store_true", help="name the rows")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="measure this one too, as what was before")
    parser.add_argument("--folder", type=Path, help="keep the repositories here, and use those that are there")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(row.name for row in ROWS))
        return 0
    trees = {"after": THIS}
    if arguments.against:
        trees = {"before": Tree.at(arguments.against), "after": Tree.at(THIS.path)}
    broken = []
    with tempfile.TemporaryDirectory() as temporary:
        sites = [
            Site(tree, (arguments.folder or Path(temporary)) / name, arguments.shares) for name, tree in trees.items()
        ]
        for site in sites:
            site.folder.mkdir(parents=True, exist_ok=True)
        for row in ROWS:
            if not arguments.only or row.name in arguments.only:
                broken += broken_in(row, sites)
    if broken:
        print(f"over the limit, worse than before, or not measurable: {'; '.join(broken)}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
