"""A report as a folder of pages: every link leads somewhere, and nothing in it acts."""

from __future__ import annotations

import json
import posixpath
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from sharectl.model.access import AccessRule
from sharectl.model.records import RuleRecord
from sharectl.render.pages.names import backend_page, grantee_page, share_page
from sharectl.render.pages.site import ROWS, Site
from sharectl.workspace.report import PlanReport
from tests.render.pages.reports import NOW, RUN, a_failed_share, a_line, a_report, a_share, an_unmade_share
from tests.render.samples import rich_plan

if TYPE_CHECKING:
    from sharectl.workspace.report import Report

HOSTILE = "</script><img src=x onerror=alert(1)>\u202e'\"&{{7*7}}"


class _Reader(HTMLParser):
    """Gathers what a page links to, and whatever in it could act."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.acting: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]
        self.acting += [f"{tag} {name}" for name in named if name.startswith("on") or name == "style"]
        if tag in {"img", "iframe", "object", "embed", "base"} or (tag == "script" and "src" not in named):
            self.acting.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def _pages(report: Report) -> dict[str, str]:
    return {page.path: page.content.decode() for page in Site(report).pages()}


def _html(report: Report) -> dict[str, _Reader]:
    return {path: _Reader(text) for path, text in _pages(report).items() if path.endswith(".html")}


def a_hostile_report() -> Report:
    """Return a report in which every text from elsewhere tries to act."""
    rules = (
        RuleRecord(AccessRule("user", HOSTILE, "rw"), "active"),
        RuleRecord(AccessRule("group", "javascript:alert(1)", "rw"), "error", HOSTILE),
    )
    job = replace(RUN, ci_job_url="javascript:alert(1)", command=HOSTILE, user=HOSTILE)
    line = a_line(1, f"share/{HOSTILE}", "create-share", HOSTILE, json.dumps({"error": HOSTILE}).encode())
    past = (replace(line, run=job),)
    share = a_share(1, name=HOSTILE, backend=HOSTILE, labels={HOSTILE: HOSTILE}, rules=rules, history=past)
    plan = rich_plan()
    drift = tuple(replace(each, summary=HOSTILE) for each in plan.drift)
    steps = tuple(replace(step, reason=HOSTILE) for step in plan.steps)
    return a_report(share, plan=PlanReport(replace(plan, drift=drift, steps=steps), NOW))


@pytest.mark.parametrize(
    "report",
    [
        a_report(),
        a_report(
            *map(a_share, range(3)),
            a_failed_share(),
            an_unmade_share(),
            plan=PlanReport(rich_plan(), NOW, is_overtaken=True),
        ),
        a_report(*map(a_share, range(ROWS * 2 + 1))),
        a_hostile_report(),
    ],
    ids=["empty", "small", "in parts", "hostile"],
)
def test_every_link_leads_to_a_page_of_the_report_or_to_a_job_of_ci(report: Report) -> None:
    """And nothing is asked for from outside."""
    pages = {page.path for page in Site(report).pages()}
    for path, page in _html(report).items():
        for link in page.links:
            if link in {"#main", RUN.ci_job_url}:
                continue
            assert posixpath.normpath(posixpath.join(posixpath.dirname(path), link)) in pages, (path, link)


def test_hostile_text_stands_in_the_pages_as_it_is_and_does_nothing() -> None:
    """Names, labels, reasons and errors: no markup comes of them, and what does not print is an escape."""
    pages = _html(a_hostile_report())
    assert [page.acting for page in pages.values() if page.acting] == []
    share = pages[share_page(HOSTILE)]
    assert HOSTILE.replace("\u202e", "\\u202e") in share.words
    assert not any("\u202e" in words or "49" in words for page in pages.values() for words in page.words)


def test_hostile_text_in_the_rows_of_the_script_is_data() -> None:
    """The lists are one JSON value each."""
    rows = _pages(a_hostile_report())["assets/shares.js"]
    head, _, value = rows.partition(" = ")
    assert head == '"use strict";\nglobalThis.sharectlRows'
    assert HOSTILE.replace("\u202e", "\\u202e") in json.loads(value.removesuffix(";\n"))["rows"][0][0]


def test_every_page_forbids_what_is_not_its_own() -> None:
    """By a policy without exceptions for what stands in the page."""
    for path, text in _pages(a_hostile_report()).items():
        if path.endswith(".html"):
            assert "content=\"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self';" in text
            assert "unsafe" not in text


def test_there_is_a_page_for_each_share_backend_and_whoever_is_let_in() -> None:
    """And for nobody whose rule was refused."""
    pages = _pages(a_report(a_share(4), a_failed_share()))
    assert {path for path in pages if path.partition("/")[0] in {"share", "backend", "access"} and "/" in path} == {
        "share/share-00004.html",
        "share/broken.html",
        "backend/nas2.html",
        "access/ip-10.0.0.0_8.html",
        "access/ip-10.4.3.0_24.html",
        grantee_page("user", "CORP\\alice"),
    }


def test_a_list_is_in_parts_that_lead_to_each_other() -> None:
    """So that it can be read without a script, however long."""
    pages = _html(a_report(*map(a_share, range(ROWS + 1))))
    assert "shares-2.html" in pages["shares.html"].links
    assert "shares.html" in pages["shares-2.html"].links
    assert f"share/share-{ROWS:05}.html" in pages["shares-2.html"].links


def test_a_network_names_the_wider_ones_that_hold_it() -> None:
    """Their rules are about it as well."""
    page = _html(a_report(a_share(1)))["access/ip-10.1.3.0_24.html"]
    assert "../access/ip-10.0.0.0_8.html" in page.links


def test_what_is_wrong_stands_on_the_first_page() -> None:
    """What failed, what has not ended, and drift."""
    report = a_report(a_share(1), a_failed_share(), plan=PlanReport(rich_plan(), NOW))
    page = _html(report)["index.html"]
    assert "share/broken.html" in page.links
    assert any("the pool has no room" in words for words in page.words)
    assert "drift.html" in page.links


def test_no_page_has_a_time_as_programs_write_it() -> None:
    """Those within the reason of a failure are written as all others."""
    pages = _html(a_report(a_failed_share(), an_unmade_share()))
    assert "2026-02-27 10:00 UTC" in pages["index.html"].words
    assert "2026-02-27 10:00 UTC" in pages["share/broken.html"].words
    shown = [path for path, page in pages.items() if any("T10:00:0" in words for words in page.words)]
    assert shown == []


def test_a_plan_that_the_state_has_overtaken_says_so() -> None:
    """With the time at which it was saved."""
    report = a_report(a_share(1), plan=PlanReport(rich_plan(), NOW, is_overtaken=True))
    for path in ("plan.html", "drift.html"):
        page = _html(report)[path]
        assert "2026-03-01 12:30 UTC" in page.words
        assert "the state has been written since" in page.words


def test_names_of_files_tell_everything_apart_and_are_plain() -> None:
    """Whatever the names are: no path leaves its folder, and no two are one file where letters have no case."""
    names = ["a", "A", "a b", "../x", "..", "", "ä", "a/b", "_a", "a\n", "x" * 300, "\udcff", "CON:1"]
    paths = [make(name) for name in names for make in (share_page, backend_page)]
    paths += [grantee_page(kind, name) for name in names for kind in ("user", "group")]
    paths += [grantee_page("ip", name) for name in ("10.0.0.0/8", "10.0.0.0", "2001:db8::/32", "::1")]
    assert len({path.lower() for path in paths}) == len(paths)
    assert all(path.count("/") == 1 and path.isascii() and path.isprintable() for path in paths)
    assert not any(forbidden in path for path in paths for forbidden in ':*?"<>|\\ ')


def test_a_pool_says_when_it_will_be_full() -> None:
    """By how it grew, and on the first page where that is soon."""
    pages = _html(a_report(a_share(0)))
    words = "full in about 5 days; grows 184.0 GiB a day"
    assert any(each.endswith(words) for each in pages["index.html"].words)
    assert words in pages["backend/nas1.html"].words


def test_a_share_says_how_it_grows() -> None:
    """Under the line of its use."""
    words = _html(a_report(a_share(2)))["share/share-00002.html"].words
    assert any(each.endswith("full in about 40 days; grows 1.0 GiB a day") for each in words)
