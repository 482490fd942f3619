"""The pages in a real browser: they fit, they can be read by everybody, and their lists answer."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from sharectl.render.pages.names import share_page
from sharectl.render.pages.plan import plan_html
from sharectl.render.pages.site import ROWS, Site
from sharectl.workspace.publishing import publish
from sharectl.workspace.report import PlanReport
from tests.render.pages.reports import NOW, a_failed_share, a_report, a_share
from tests.render.pages.test_site import HOSTILE, a_hostile_report
from tests.render.samples import rich_plan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser
    from playwright.sync_api import Page as Tab

MANY: Final = 10_000
EACH: Final = (
    "index.html",
    "shares.html",
    "share/broken.html",
    "share/share-00001.html",
    "backends.html",
    "backend/nas1.html",
    "access.html",
    "access/ip-10.1.3.0_24.html",
    "history.html",
    "drift.html",
    "plan.html",
    "alone.html",
)
_AT_ONCE: Final = 200
_PATIENCE_MILLISECONDS: Final = 300_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Yield the Chromium of this machine."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, timeout=_PATIENCE_MILLISECONDS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small report, and a plan as a page of its own beside it."""
    folder = tmp_path_factory.mktemp("report") / "site"
    report = a_report(*map(a_share, range(12)), a_failed_share(), plan=PlanReport(rich_plan(), NOW, is_overtaken=True))
    publish(folder, Site(report).pages())
    (folder / "alone.html").write_text("\n".join(plan_html(rich_plan())), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def large_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the lists of a report of 10,000 shares, without the pages of the shares."""
    folder = tmp_path_factory.mktemp("report") / "site"
    pages = Site(a_report(*map(a_share, range(MANY - 1)), a_failed_share())).pages()
    publish(folder, takewhile(lambda page: not page.path.startswith("share/"), pages))
    return folder


@contextmanager
def _tab(browser: Browser, **choices: Any) -> Iterator[Tab]:  # noqa: ANN401 - those of playwright
    """Yield a tab of its own, in which nothing may go wrong unseen."""
    context = browser.new_context(**choices)
    context.set_default_timeout(_PATIENCE_MILLISECONDS)
    tab = context.new_page()
    wrong: list[str] = []
    tab.on("console", lambda message: wrong.append(message.text))
    tab.on("pageerror", lambda problem: wrong.append(str(problem)))
    tab.on("dialog", lambda dialog: wrong.append(dialog.message))
    tab.on("request", lambda request: None if request.url.startswith("file://") else wrong.append(request.url))
    yield tab
    context.close()
    assert wrong == []


def _open(tab: Tab, folder: Path, page: str) -> None:
    tab.goto((folder / page).as_uri())


def _names(tab: Tab) -> list[str]:
    return tab.locator("tbody th").all_inner_texts()


@pytest.mark.parametrize(
    ("scheme", "rules"),
    [("light", {}), ("dark", {"runOnly": {"type": "rule", "values": ["color-contrast"]}})],
    ids=["light", "dark"],
)
def test_nothing_keeps_anybody_from_reading_it(
    browser: Browser, site: Path, scheme: str, rules: dict[str, object]
) -> None:
    """By the rules of axe: names of fields, order of headings, landmarks; and contrast, in the dark too."""
    axe = Axe()
    with _tab(browser, color_scheme=scheme) as tab:
        for page in EACH:
            _open(tab, site, page)
            found = axe.run(tab, options={"preload": False, **rules}).response["violations"]
            assert [(page, each["id"], each["nodes"][0]["html"]) for each in found] == []


@pytest.mark.parametrize("width", [320, 390, 800, 965, 1280])
def test_nothing_is_wider_than_the_window(browser: Browser, site: Path, width: int) -> None:
    """On a telephone too: no page scrolls sideways, and no cell is cut."""
    with _tab(browser, viewport={"width": width, "height": 800}) as tab:
        for page in EACH:
            _open(tab, site, page)
            wide = tab.evaluate(
                "[...document.querySelectorAll('main *, header *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1"
                " && !e.closest('.hidden, thead')).map(e => e.outerHTML.slice(0, 80))"
            )
            assert (page, wide, tab.evaluate("document.documentElement.scrollWidth")) == (page, [], width)


_BROKEN_WORDS: Final = """() => {
  const broken = [];
  const texts = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode;
    if (text.parentElement.closest(".hidden, svg") || (innerWidth < 960 && text.parentElement.closest("thead"))) continue;
    for (const word of text.data.matchAll(/[^\\s-]+/g)) {
      if (word[0].length > 24) continue;
      const range = document.createRange();
      range.setStart(text, word.index);
      range.setEnd(text, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size > 1) broken.push(word[0]);
    }
  }
  return broken;
}"""


@pytest.mark.parametrize("width", [390, 965, 1200])
def test_words_of_everyday_stay_whole(browser: Browser, site: Path, width: int) -> None:
    """In heads, cells and captions; only a word that is longer than any column may be is broken."""
    with _tab(browser, viewport={"width": width, "height": 800}) as tab:
        for page in EACH:
            _open(tab, site, page)
            assert (page, tab.evaluate(_BROKEN_WORDS)) == (page, [])


def test_ten_thousand_shares_are_searched(browser: Browser, large_site: Path) -> None:
    """All of them, of which no more are drawn than can be looked at."""
    with _tab(browser) as tab:
        _open(tab, large_site, "shares.html")
        assert tab.locator("output").inner_text() == "10,000 shares"
        assert tab.locator("tbody tr").count() == _AT_ONCE
        tab.get_by_role("button", name="Show 200 more").click()
        assert tab.locator("tbody tr").count() == 2 * _AT_ONCE
        tab.get_by_label("Search").fill("team=video 09998")
        assert _names(tab) == ["share-09998"]
        assert tab.locator("output").inner_text() == "1 of 10,000 shares"
        assert tab.locator("tbody th a").get_attribute("href") == "share/share-09998.html"


def test_a_list_is_narrowed_to_what_is_chosen(browser: Browser, site: Path) -> None:
    """By backend and condition; a search and a choice go together."""
    with _tab(browser) as tab:
        _open(tab, site, "shares.html")
        tab.get_by_label("Condition").select_option("failed")
        assert _names(tab) == ["broken"]
        tab.get_by_label("Backend").select_option("nas1")
        assert _names(tab) == []
        tab.get_by_label("Condition").select_option("all")
        tab.get_by_label("Search").fill("share-0000")
        assert _names(tab) == ["share-00000", "share-00003", "share-00006", "share-00009"]


def test_a_list_is_sorted_by_a_click_and_the_other_way_by_the_next(browser: Browser, site: Path) -> None:
    """Numbers by their value, the largest first; whoever hears the page is told."""
    with _tab(browser) as tab:
        _open(tab, site, "shares.html")
        tab.get_by_label("Search").fill("share-0000")
        size = tab.get_by_role("button", name="Size")
        size.click()
        assert _names(tab)[:2] == ["share-00009", "share-00008"]
        assert tab.get_by_role("columnheader", name="Size").get_attribute("aria-sort") == "descending"
        size.press("Enter")
        assert _names(tab)[:2] == ["share-00000", "share-00001"]
        assert tab.get_by_role("columnheader", name="Size").get_attribute("aria-sort") == "ascending"


def test_an_address_finds_the_networks_that_hold_it(browser: Browser, site: Path) -> None:
    """As it finds whoever has it in their name."""
    with _tab(browser) as tab:
        _open(tab, site, "access.html")
        tab.get_by_label("Search").fill("10.2.3.77")
        assert _names(tab) == ["10.0.0.0/8", "10.2.3.0/24"]
        tab.get_by_label("Search").fill("alice")
        assert _names(tab) == ["CORP\\alice"]


def test_a_link_may_ask_for_a_search(browser: Browser, site: Path) -> None:
    """So that what was found can be passed on."""
    with _tab(browser) as tab:
        tab.goto(f"{(site / 'shares.html').as_uri()}?q=broken")
        assert _names(tab) == ["broken"]


def test_without_a_script_the_lists_are_read_part_by_part(browser: Browser, large_site: Path) -> None:
    """Nothing that a browser without one could not use is shown."""
    with _tab(browser, java_script_enabled=False) as tab:
        _open(tab, large_site, "shares.html")
        assert tab.locator("tbody tr").count() == ROWS
        assert tab.locator("input, button, select").count() == 0
        with tab.expect_navigation():
            tab.get_by_role("link", name="Next").click()
        assert _names(tab)[0] == f"share-{ROWS:05}"


def test_hostile_text_does_nothing(browser: Browser, tmp_path: Path) -> None:
    """In the pages, and in the rows that the script draws: no dialog, no request, no refusal by the policy."""
    publish(tmp_path / "site", Site(a_hostile_report()).pages())
    shown = HOSTILE.replace("\u202e", "\\u202e")
    with _tab(browser) as tab:
        _open(tab, tmp_path / "site", "shares.html")
        assert _names(tab) == [shown]
        tab.get_by_label("Search").fill("onerror")
        with tab.expect_navigation():
            tab.locator("tbody th a").click()
        assert tab.url == (tmp_path / "site" / share_page(HOSTILE)).as_uri()
        assert tab.locator("h1").inner_text() == shown
        for page in ("index.html", "history.html", "access.html", "drift.html", "plan.html"):
            _open(tab, tmp_path / "site", page)
        assert tab.locator("img, script").count() == 0
