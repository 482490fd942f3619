"""The history of a state in PostgreSQL: read in pages, so that no transaction stays open while the lines are looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.kinds import rule_address
from sharectl.state.columns import HISTORY, RUN, lines_of
from sharectl.state.postgresql.reader import can_be_stored, columns_of, fetch, range_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.model.kinds import Address
    from sharectl.model.records import HistoryFilter, HistoryLine
    from sharectl.state.postgresql.connections import Connection, Connections

_LINES_PER_PAGE: Final = 1000
_OF_USER: Final = """history.run_id IN (SELECT run_id FROM {schema}.run
    WHERE lower("user") = lower(%s) OR lower(actor) = lower(%s) OR position(lower(%s) IN lower(author)) > 0)"""
_FIRST_SINCE: Final = 'SELECT min(sequence + 0) FROM {schema}.history WHERE at COLLATE "C" >= %s'
"""Entries come in the order of their times but for those of runs at once: the first of them ends the search, not the first that is older.

The sum keeps the planner from looking for the smallest number from the beginning of the history on, by the index of numbers.
"""


def history_lines(
    connections: Connections, schema: str, address: Address | None, limit: int | None, among: HistoryFilter
) -> Iterator[HistoryLine]:
    """Yield up to `limit` lines (None: all), newest first; `address` also matches what stands under it."""
    texts = (address, among.run_id, among.user, among.since)
    if not all(text is None or can_be_stored(text) for text in texts):
        return
    first: int | None = 0
    if among.since is not None and not among.recovered:  # of recoveries there are few, in an index of their own
        with connections.reading() as connection:
            first = _first_since(connection, schema, among.since)
    if first is None:
        return
    before: int | None = None
    left = limit
    while left is None or left > 0:
        size = _LINES_PER_PAGE if left is None else min(left, _LINES_PER_PAGE)
        with connections.reading() as connection:
            page = _page(connection, schema, address, (first, before), size, among)
        yield from page
        if len(page) < size:
            return
        before = page[-1].sequence
        left = None if left is None else left - size


def _first_since(connection: Connection, schema: str, since: str) -> int | None:
    """Return the number of the first entry of this time or later, None where there is none. Costs in proportion to those entries."""
    found: int | None = fetch(connection, _FIRST_SINCE.format(schema=schema), (since,))[0][0]
    return found


def _page(  # noqa: PLR0913, PLR0917 - where to read, and what
    connection: Connection,
    schema: str,
    address: Address | None,
    numbers: tuple[int, int | None],
    limit: int,
    among: HistoryFilter,
) -> list[HistoryLine]:
    """Return up to `limit` lines of the history, newest first, of numbers from the first on and below the second; `address` also matches what stands under it."""
    first_number, before = numbers
    conditions: list[str] = []
    values: list[str | int] = []
    if address is not None:
        under = range_of(rule_address(address, ""))
        conditions.append(f"(history.address = %s OR history.{' AND history.'.join(under)})")
        values += [address, *under.values()]
    if before is not None:
        conditions.append("history.sequence < %s")
        values.append(before)
    if among.run_id is not None:
        conditions.append("history.run_id = %s")
        values.append(among.run_id)
    if among.user is not None:
        conditions.append(_OF_USER.format(schema=schema))
        values += [among.user] * 3
    if among.since is not None:
        conditions.append('history.sequence >= %s AND history.at COLLATE "C" >= %s')
        values += [first_number, among.since]
    if among.failed:
        conditions.append("outcome = 'failed'")
    if among.recovered:
        conditions.append("outcome = 'recovered'")
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    select = (
        f"SELECT {columns_of(HISTORY)}, {columns_of(RUN)} FROM {schema}.history"  # noqa: S608 - constants, and a checked name
        f" LEFT JOIN {schema}.run ON run.run_id = history.run_id {where} ORDER BY history.sequence DESC LIMIT %s"
    )
    return list(lines_of(fetch(connection, select, (*values, limit))))
