"""The tool that runs the documentation's sessions reads pages, compares what is printed, and writes it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.sessions import Command, WrittenFile, normalised, parse, run, updated

if TYPE_CHECKING:
    from pathlib import Path

PAGE = """\
# A page

<!-- file: notes/one.txt -->
```text
first
second
```

```console
$ mkdir -p inside && cd inside
$ pwd; cat ../notes/one.txt
/home/ada/inside
first
```

```sh
not run
```
"""


def test_commands_and_files_are_read_in_the_order_of_the_page() -> None:
    """A command knows its line and what the page says that it prints."""
    assert parse(PAGE) == [
        WrittenFile("notes/one.txt", "first\nsecond\n"),
        Command(10, "mkdir -p inside && cd inside", ()),
        Command(11, "pwd; cat ../notes/one.txt", ("/home/ada/inside", "first")),
    ]


def test_commands_run_one_after_the_other_in_the_place_where_the_last_one_left_off(tmp_path: Path) -> None:
    """A `cd` holds for what follows, and the reader's own directory is shown instead of the real one."""
    assert run(parse(PAGE), tmp_path)[-1].output == ("/home/ada/inside", "first", "second")


def test_a_page_is_brought_up_to_date_where_something_else_is_printed(tmp_path: Path) -> None:
    """The rest of the page stays as it is."""
    expected = PAGE.replace("/home/ada/inside\nfirst\n", "/home/ada/inside\nfirst\nsecond\n")
    assert updated(PAGE, run(parse(PAGE), tmp_path)) == expected


def test_a_page_is_left_alone_where_only_ids_and_times_differ() -> None:
    """So that running the tool twice makes no change in git."""
    page = "```console\n$ sharectl apply\nApplied in 0.1 s\n```\n"
    assert updated(page, [Command(2, "sharectl apply", ("Applied in 2.5 s",))]) == page


def test_steps_that_ran_side_by_side_may_be_printed_in_any_order() -> None:
    """Their numbers count for nothing, their words do."""
    first = ["Plan", "[1/2] done     a (0.1 s)", "[2/2] done     b (0.0 s)", "Applied in 0.1 s"]
    second = ["Plan", "[1/2] done     b (0.0 s)", "[2/2] done     a (0.3 s)", "Applied in 0.4 s"]
    third = ["Plan", "[1/2] done     b (0.0 s)", "[2/2] failed   a (0.3 s)", "Applied in 0.4 s"]
    assert normalised(first) == normalised(second)
    assert normalised(first) != normalised(third)


def test_sizes_of_shares_are_compared_and_free_space_is_not() -> None:
    """What a manifest says is always the same; what a disk has left is not."""
    assert normalised(["  size           2GiB"]) != normalised(["  size           3GiB"])
    assert normalised(["  used           4.0 KiB, 0%"]) == normalised(["  used           0 B, 0%"])
    assert normalised(["nas#a  ████░░  69%  78.7 GiB  252.0 GiB"]) == normalised(["nas#a  █░░░░░  9%  1.5 TiB  2 TiB"])
