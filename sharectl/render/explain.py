"""Why a share goes where it goes: every pool with its refusal and the figures, every candidate with its weight by weigher."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import counted
from sharectl.model.kinds import Kind, address_of
from sharectl.planner.saved.document import diagnostic_to_object
from sharectl.render.by_default import default_facts, default_objects
from sharectl.render.formats import document, named_fields
from sharectl.render.tables import Cell, Column, table_lines
from sharectl.render.text import PLAIN, display_width, paint, visible, wrapped
from sharectl.scheduler.decision import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sharectl.model.canonical import JsonObject
    from sharectl.render.text import Look
    from sharectl.scheduler.explanation import Explanation, PoolVerdict
    from sharectl.workspace.explanation import Explained

_LEAST_REASON_WIDTH: Final = 30


def explained_lines(explained: Explained, look: Look = PLAIN) -> Iterator[str]:
    """Yield what a plan does with the share, and then its explanation."""
    address = visible(explained.address)
    if explained.placed_on is not None:
        yield f"{address} is on {visible(explained.placed_on)} and stays there. Placed anew, it would see:"
    elif explained.replaces is not None:
        yield f"{address} is recorded on {visible(explained.replaces)}; a plan makes a new, empty share in its place:"
    else:
        if not explained.is_planned:
            ending = "" if explained.after else " Of the pools alone:"
            yield f"A plan does not make {address} as things are.{ending}"
        if explained.after:
            yield f"With {counted(explained.after, 'other new share')} placed before it, as a plan does, it sees:"
    yield from explanation_lines(explained.explanation, look)
    facts = list(default_facts(explained.by_default))
    if facts:
        yield ""
        yield from (visible(f"By default: {text}") for _, text in facts)


def explained_object(explained: Explained) -> JsonObject:
    """Return the explanation as a JSON object, with what a plan does with the share."""
    return explanation_object(explained.explanation) | {
        "placed_on": explained.placed_on,
        "placed_after": explained.after,
        "planned": explained.is_planned,
        "replaces": explained.replaces,
        "by_default": default_objects(explained.by_default),
    }


def explanation_lines(explanation: Explanation, look: Look = PLAIN) -> Iterator[str]:
    """Yield the decision, the candidates by weight, the refused pools by filter, and the nearest where there is no candidate."""
    decision, color = explanation.decision, look.color
    share = address_of(Kind.SHARE, visible(explanation.request_id))
    if decision.host is not None:
        yield f"{paint(share, 'heading', color)} goes to {paint(visible(decision.host), 'done', color)}."
    else:
        yield f"{paint(share, 'heading', color)} {paint(_refusal(decision.outcome), 'error', color)}."
    candidates = [verdict for verdict in explanation.pools if verdict.refused_by is None]
    refused = [verdict for verdict in explanation.pools if verdict.refused_by is not None]
    if candidates:
        yield ""
        yield from _candidate_lines(candidates, look)
    if explanation.stages:
        yield ""
        yield from _stage_lines(explanation, len(explanation.pools), look)
    if refused:
        yield ""
        yield from _refused_lines(refused, look)
    if explanation.nearest is not None:
        yield ""
        nearest = explanation.nearest
        yield f"Nearest is {visible(nearest.host)}, which {counted(nearest.refusals, 'filter')} would refuse:"
        yield f"  {visible(nearest.sentence)}"


def explanation_object(explanation: Explanation) -> JsonObject:
    """Return the explanation as a JSON object, `sharectl-explanation` version 1."""
    decision = explanation.decision
    return document(
        "explanation",
        share=explanation.request_id,
        outcome=decision.outcome.value,
        host=decision.host,
        last_filter=decision.last_filter,
        filters=[
            {"filter": stage.filter, "passed": stage.passed, "removed": list(stage.removed)}
            for stage in explanation.stages
        ],
        pools=[verdict_object(verdict) for verdict in explanation.pools],
        nearest=None if explanation.nearest is None else verdict_object(explanation.nearest),
        diagnostics=[diagnostic_to_object(found) for found in explanation.diagnostics],
    )


def verdict_object(verdict: PoolVerdict) -> JsonObject:
    """Return what became of one pool as a JSON object."""
    named = named_fields(verdict, "host", "backend", "pool", "refused_by", "reason", "refusals", "weight")
    return {**named, "weights": [part._asdict() for part in verdict.parts]}


def _refusal(outcome: Outcome) -> str:
    if outcome is Outcome.NO_HOSTS:
        return "has nowhere to go: there is no pool at all"
    return "has nowhere to go: every pool is refused"


def _candidate_lines(candidates: Sequence[PoolVerdict], look: Look) -> Iterator[str]:
    weighers = _telling_weighers(candidates)
    columns = [Column("", right=True), Column("CANDIDATE"), Column("WEIGHT", right=True)]
    columns += [Column(visible(weigher), right=True, optional=True) for weigher in weighers]
    rows = []
    for rank, verdict in enumerate(candidates, start=1):
        parts = {part.weigher: part for part in verdict.parts}
        weight = 0.0 if verdict.weight is None else verdict.weight
        cells: list[Cell | str] = [f"{rank}.", visible(verdict.host), Cell(f"{weight:.4f}", "heading")]
        for weigher in weighers:
            part = parts[weigher]
            cells.append(f"{part.contribution:.4f} ({part.raw:g})")
        rows.append(cells)
    yield from table_lines(columns, rows, look)
    if weighers:
        yield "The weight is the sum of the weighers' parts; in brackets is what each weighed."
        yield "Weighers that set no candidates apart are left out."


def _telling_weighers(candidates: Sequence[PoolVerdict]) -> list[str]:
    """Return the weighers that do not give every candidate the same, in their order."""
    parts: dict[str, set[float]] = {}
    for verdict in candidates:
        for part in verdict.parts:
            parts.setdefault(part.weigher, set()).add(part.contribution)
    return [weigher for weigher, contributions in parts.items() if len(contributions) > 1]


def _stage_lines(explanation: Explanation, total: int, look: Look) -> Iterator[str]:
    yield paint(f"Filters, of {counted(total, 'pool')}", "heading", look.color)
    rows = [(f"  {visible(stage.filter)}", str(stage.passed), str(len(stage.removed))) for stage in explanation.stages]
    columns = (Column("  FILTER"), Column("LEFT", right=True), Column("REFUSED", right=True))
    yield from table_lines(columns, rows, look)


def _refused_lines(refused: Sequence[PoolVerdict], look: Look) -> Iterator[str]:
    yield paint("Refused", "heading", look.color)
    column = max(display_width(visible(verdict.host)) for verdict in refused)
    room = None if look.width is None else max(look.width - column - 4, _LEAST_REASON_WIDTH)
    for verdict in refused:
        host = visible(verdict.host)
        lead = f"  {host}{' ' * (column - display_width(host))}  "
        for line in wrapped(visible(verdict.sentence), room):
            yield lead + line
            lead = " " * (column + 4)
