"""A report as pages for a browser: lists in parts, and a page for each share, backend and client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from sharectl.model.access import AccessLevel, AccessType
from sharectl.model.growth import forecast, points_of_share
from sharectl.model.kinds import Kind, is_of, name_of, resource_of
from sharectl.model.specs import DeletionPolicy
from sharectl.mounting.clients import span_of
from sharectl.render.history import detail_texts
from sharectl.render.pages.charts import Line, chart, spark
from sharectl.render.pages.engine import asset, environment
from sharectl.render.pages.names import backend_page, grantee_page, numbered_page, share_page
from sharectl.render.pages.plan import drift_words, plan_words
from sharectl.render.pages.rows import access_rows, share_rows
from sharectl.workspace.publishing import Page

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from markupsafe import Markup

    from sharectl.model.records import HistoryLine
    from sharectl.model.usage import ShareSample
    from sharectl.mounting.clients import Span
    from sharectl.workspace.report import BackendReport, Grantee, PoolReport, Report, ShareReport

_Row = TypeVar("_Row")
ROWS: Final = 500
"""Rows in one part of a list."""
_FEWEST_SAMPLES: Final = 2
"""From so many on there is a line to be drawn."""
_FULL_PERCENT: Final = 90
_SOON_DAYS: Final = 30
_MOST_WRONG: Final = 50
_MOST_RECENT: Final = 15
_PAGES: Final = (
    ("index.html", "Overview"),
    ("shares.html", "Shares"),
    ("backends.html", "Backends"),
    ("access.html", "Access"),
    ("history.html", "History"),
    ("drift.html", "Drift"),
    ("plan.html", "Plan"),
)
_KINDS: Final[Mapping[str, str]] = {
    AccessType.IP: "Address or network",
    AccessType.USER: "User",
    AccessType.GROUP: "Group",
    AccessType.GUEST: "Guests",
}
_FATES: Final[Mapping[str, str]] = {
    DeletionPolicy.RETAIN: "it stays on its backend",
    DeletionPolicy.DELETE: "its data is destroyed",
    DeletionPolicy.TRASH: "it goes to the trash",
}
_OUTCOMES: Final[Mapping[str, str]] = {"done": "fine", "failed": "wrong"}
_ASSETS: Final = ("report.css", "report.js", "icon.svg")


class Site:
    """The pages of one report."""

    def __init__(self, report: Report) -> None:
        """Hold the report, and what all pages have in common."""
        self._report = report
        self._engine = environment()
        origin = self._fragment(
            "origin.html",
            location=report.location,
            freshness=report.freshness,
            made_at=report.made_at.isoformat(timespec="seconds"),
        )
        self._common = {"origin": origin, "kinds": _KINDS}
        self._navigation: dict[tuple[str, str], Markup] = {}
        self._share_names = frozenset(share.name for share in report.shares)

    def pages(self) -> Iterator[Page]:
        """Yield every file of the report, one at a time."""
        for name in _ASSETS:
            yield Page(f"assets/{name}", asset(name).encode())
        yield Page("assets/shares.js", share_rows(self._report.shares))
        yield Page("assets/access.js", access_rows(self._report.grantees, _KINDS))
        yield self._overview()
        yield from self._shares()
        yield from self._backends()
        yield from self._access()
        yield self._page("history.html", "history.html", lines=self._lines(self._report.history))
        yield from self._plan()

    def _page(self, path: str, template: str, current: str = "", **values: object) -> Page:
        root = "../" * path.count("/")
        place = root, current or path
        navigation = self._navigation.get(place)
        if navigation is None:
            navigation = self._fragment("navigation.html", root=root, current=place[1], pages=_PAGES)
            self._navigation[place] = navigation
        page = self._engine.get_template(template)
        text = page.render(self._common, root=root, navigation=navigation, **values)
        return Page(path, text.encode("utf-8", "replace"))

    def _fragment(self, template: str, **values: object) -> Markup:
        """Return what stands in many pages, made once."""
        from markupsafe import Markup  # noqa: PLC0415 - comes with the template engine

        return Markup(self._engine.get_template(template).render(values).rstrip("\n"))  # noqa: S704 - escaped by the engine

    def _overview(self) -> Page:
        report = self._report
        drift = () if report.plan is None else report.plan.plan.drift
        return self._page(
            "index.html",
            "index.html",
            report=report,
            total_bytes=sum(share.listed.size_bytes or 0 for share in report.shares),
            snapshots=report.counts.get(Kind.SNAPSHOT, 0),
            wrong=[share for share in report.shares if not share.is_well],
            most_wrong=_MOST_WRONG,
            drift_count=sum(each.kind != "ignored" for each in drift),
            recent=self._lines(report.history[:_MOST_RECENT]),
            **_pool_values(report.backends),
        )

    def _shares(self) -> Iterator[Page]:
        shares = self._report.shares
        for number, part, parts in _parts(shares):
            yield self._page(
                numbered_page("shares", number),
                "shares.html",
                "shares.html",
                shares=part,
                total=len(shares),
                number=number,
                parts=parts,
            )
        for start in range(0, len(shares), ROWS):
            part = shares[start : start + ROWS]
            samples = self._report.samples_of([share.listed.resource_id for share in part if share.listed.resource_id])
            for share in part:
                yield self._share(share, samples.get(share.listed.resource_id or "", ()))

    def _share(self, share: ShareReport, samples: Sequence[ShareSample]) -> Page:
        spec = share.spec
        policy = spec.get("deletion_policy", DeletionPolicy.RETAIN)
        return self._page(
            share_page(share.name),
            "share.html",
            "shares.html",
            share=share,
            listed=share.listed,
            spec=spec,
            fate=_FATES.get(policy, policy),
            history=self._lines(share.history),
            samples=samples if len(samples) >= _FEWEST_SAMPLES else (),
            outlook=forecast(points_of_share(samples), share.listed.size_bytes),
            spark=spark(samples, share.listed.size_bytes or 0) if len(samples) >= _FEWEST_SAMPLES else "",
        )

    def _backends(self) -> Iterator[Page]:
        report = self._report
        yield self._page("backends.html", "backends.html", report=report, **_pool_values(report.backends))
        for backend in report.backends:
            path = backend_page(backend.name)
            base = path.removesuffix(".html")
            for number, part, parts in _parts(backend.shares):
                yield self._page(
                    numbered_page(base, number),
                    "backend.html",
                    "backends.html",
                    backend=backend,
                    shares=part,
                    number=number,
                    parts=parts,
                    base=base.rpartition("/")[2],
                    charts=_charts(backend) if number == 1 else (),
                    **_pool_values((backend,)),
                )

    def _access(self) -> Iterator[Page]:
        grantees = self._report.grantees
        for number, part, parts in _parts(grantees):
            yield self._page(
                numbered_page("access", number),
                "access.html",
                "access.html",
                grantees=part,
                total=len(grantees),
                number=number,
                parts=parts,
                writable=_writable,
            )
        wider = _wider(grantees)
        for grantee in grantees:
            path = grantee_page(grantee.access_type, grantee.access_to)
            base = path.removesuffix(".html")
            for number, grants, parts in _parts(grantee.grants):
                yield self._page(
                    numbered_page(base, number),
                    "grantee.html",
                    "access.html",
                    grantee=grantee,
                    wider=wider.get(grantee.access_to, ()) if grantee.access_type == AccessType.IP else (),
                    grants=grants,
                    number=number,
                    parts=parts,
                    base=base.rpartition("/")[2],
                )

    def _plan(self) -> Iterator[Page]:
        saved = self._report.plan
        found = () if saved is None else saved.plan.drift
        drift = [{**drift_words(each), "page": self._page_of(each.address)} for each in found]
        yield self._page("drift.html", "drift.html", plan=saved, drift=drift)
        plan = None if saved is None else plan_words(saved.plan)
        yield self._page("plan.html", "plan.html", saved=saved, plan=plan)

    def _lines(self, lines: Sequence[HistoryLine]) -> list[Mapping[str, Any]]:
        """Return entries of the history as the templates name their parts."""
        return [
            {
                "at": line.entry.at,
                "address": line.entry.address,
                "page": self._page_of(line.entry.address),
                "verb": line.entry.verb,
                "outcome": line.entry.outcome,
                "mark": _OUTCOMES.get(line.entry.outcome, "mark"),
                "details": list(detail_texts(line.entry.detail)),
                "run": f"{line.run.command} by {line.run.actor or line.run.user}@{line.run.host}",
                "job": line.run.ci_job_url,
            }
            for line in lines
        ]

    def _page_of(self, address: str) -> str | None:
        resource = resource_of(address)
        name = name_of(resource)
        return share_page(name) if is_of(Kind.SHARE, resource) and name in self._share_names else None


def _pool_values(backends: Sequence[BackendReport]) -> Mapping[str, Any]:
    pools = [pool for backend in backends for pool in backend.pools]
    return {"pools": pools, "full": [pool for pool in pools if _is_nearly_full(pool)]}


def _is_nearly_full(pool: PoolReport) -> bool:
    days = None if pool.outlook is None else pool.outlook.full_in_days
    return (pool.full_percent or 0) >= _FULL_PERCENT or (days is not None and days <= _SOON_DAYS)


def _charts(backend: BackendReport) -> list[Mapping[str, Any]]:
    """Return a chart for each pool of which there are enough samples, with the figures that it shows."""
    return [
        {"pool": pool, "lines": lines, "picture": chart(f"Capacity of {backend.name}#{pool.pool} over time", lines)}
        for pool in backend.pools
        if len(pool.samples) >= _FEWEST_SAMPLES and (lines := _capacity_lines(pool))
    ]


def _capacity_lines(pool: PoolReport) -> list[Line]:
    """Return what is used, provisioned and there at all over time, as far as the backend said so."""
    samples = pool.samples
    used = [
        (each.at, each.total_bytes - each.free_bytes)
        for each in samples
        if each.total_bytes and each.free_bytes is not None
    ]
    provisioned = [(each.at, each.provisioned_bytes) for each in samples if each.provisioned_bytes is not None]
    total = [(each.at, each.total_bytes) for each in samples if each.total_bytes]
    lines = (Line("Used", used), Line("Provisioned", provisioned), Line("Total", total))
    return [line for line in lines if len(line.points) >= _FEWEST_SAMPLES]


def _parts(rows: Sequence[_Row]) -> Iterator[tuple[int, Sequence[_Row], int]]:
    """Yield the parts of a list: the number of each, its rows, and how many there are; one where there are no rows."""
    parts = max(1, -(-len(rows) // ROWS))
    for number in range(1, parts + 1):
        yield number, rows[(number - 1) * ROWS : number * ROWS], parts


def _writable(grantee: Grantee) -> int:
    return sum(grant.rule.access_level == AccessLevel.READ_WRITE for grant in grantee.grants)


def _wider(grantees: Sequence[Grantee]) -> Mapping[str, tuple[Grantee, ...]]:
    """Return, by address or network, the networks that hold it, the narrowest first."""
    spans = [
        (span, grantee)
        for grantee in grantees
        if grantee.access_type == AccessType.IP and (span := span_of(grantee.access_to)) is not None
    ]
    found: dict[str, tuple[Grantee, ...]] = {}
    around: list[tuple[Span, Grantee]] = []
    for span, grantee in sorted(spans, key=lambda pair: (pair[0].version, pair[0].first, -pair[0].last)):
        while around and not around[-1][0].covers(span):
            around.pop()
        found[grantee.access_to] = tuple(other for _, other in reversed(around))
        around.append((span, grantee))
    return found
