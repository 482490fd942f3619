"""Lines over time, as they stand in a page."""

from __future__ import annotations

import re
import subprocess
import sys

from sharectl.render.pages.charts import SPARK_HEIGHT, SPARK_WIDTH, Line, chart, spark

GIB = 1 << 30
DAYS = [(1_767_225_600 + 86_400 * day, (10 + day) * GIB) for day in range(30)]


def test_a_chart_holds_no_style_and_no_script() -> None:
    """A page would not let them in, and it is told apart by whoever does not see it."""
    picture = chart("Capacity of <nas1>", [Line("Used", DAYS), Line("Total", [(at, 64 * GIB) for at, _ in DAYS])])
    assert re.search(r"<(style|script|defs)|\sstyle=|\son\w+=|https?://(?!www\.w3\.org/2000/svg)", picture) is None
    assert 'role="img" aria-label="Capacity of &lt;nas1&gt;"' in picture
    assert {*re.findall('class="series serie-([0-9])', picture)} == {"0", "1"}


def test_its_scale_is_in_round_sizes() -> None:
    """From nothing to a little more than the largest."""
    picture = chart("Capacity", [Line("Used", DAYS)])
    assert re.findall(r">([0-9.]+ [GTKM]?i?B)<", picture) == ["0 B", "10.0 GiB", "20.0 GiB", "30.0 GiB", "40.0 GiB"]
    assert "2026-01-01" in picture


def test_two_moments_of_nothing_are_a_chart_too() -> None:
    """As of an empty pool."""
    assert "series" in chart("Capacity", [Line("Used", [(0, 0), (3600, 0)])])


def test_a_small_line_fills_its_frame_from_side_to_side() -> None:
    """The size of the share is its height, unless more than that is used."""
    assert spark([(0, 0), (50, 5), (100, 10)], 10) == f"M0.0 48.0 L120.0 24.0 L{SPARK_WIDTH}.0 0.0"
    assert spark([(0, 10), (100, 20)], 10).endswith(" 0.0")
    assert spark([(5, 0)], 0) == f"M0.0 {SPARK_HEIGHT}.0"


def test_what_draws_them_leaves_the_imports_of_the_process_as_they_are() -> None:
    """Packages that are installed are found after it, as drivers of others are; tried in a process that has drawn nothing yet."""
    code = (
        "import sys; from importlib.metadata import entry_points, version\n"
        "from sharectl.render.pages.charts import Line, chart\n"
        "chart('Capacity', [Line('Used', [(0, 0), (3600, 0)])])\n"
        "print(version('pygal') != '', bool(entry_points(group='console_scripts')), [f for f in sys.meta_path if 'pygal' in repr(f)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout == "True True []\n"
