"""Lists for the script of a report, which filters and sorts them: rows of plain values, as one assignment of JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from sharectl.model.access import AccessLevel, protocol_words
from sharectl.model.quantities import format_size
from sharectl.render.pages.names import backend_page, grantee_page, share_page
from sharectl.render.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sharectl.model.canonical import JsonObject
    from sharectl.workspace.report import Grantee, ShareReport

_SHARE_COLUMNS: Final = (
    {"label": "Share", "kind": "page"},
    {"label": "Size", "kind": "size"},
    {"label": "Used", "kind": "bytes"},
    {"label": "Protocol", "kind": "text", "choose": True},
    {"label": "Backend", "kind": "backend", "choose": True},
    {"label": "Pool", "kind": "text"},
    {"label": "Type", "kind": "text", "choose": True},
    {"label": "Labels", "kind": "text"},
    {"label": "Condition", "kind": "condition", "choose": True},
)
_ACCESS_COLUMNS: Final = (
    {"label": "Who", "kind": "page"},
    {"label": "Kind", "kind": "text", "choose": True},
    {"label": "Shares", "kind": "number"},
    {"label": "May write", "kind": "number"},
)


def share_rows(shares: Iterable[ShareReport]) -> bytes:
    """Return the rows of the list of shares, in the order of their pages."""
    sizes: dict[str, str] = {}
    backends: dict[str, str] = {}

    def row(share: ShareReport) -> Sequence[object]:
        listed = share.listed
        backend = visible(listed.backend or "")
        if listed.backend:
            backends.setdefault(backend, backend_page(listed.backend))
        if listed.size_bytes is not None:
            sizes.setdefault(str(listed.size_bytes), format_size(listed.size_bytes))
        return (
            [visible(share.name), share_page(share.name)],
            listed.size_bytes,
            listed.used_bytes,
            protocol_words(listed.protocol),
            backend,
            visible(listed.pool or ""),
            visible(listed.share_type or ""),
            visible(", ".join(f"{name}={value}" for name, value in listed.labels.items())),
            listed.condition.value,
        )

    rows = b",".join([orjson.dumps(row(share)) for share in shares])
    return _script(rows, {"noun": "share", "columns": _SHARE_COLUMNS, "sizes": sizes, "backends": backends})


def access_rows(grantees: Iterable[Grantee], kinds: Mapping[str, str]) -> bytes:
    """Return the rows of the list of clients and people; `kinds` names the types of rules."""
    rows = [
        orjson.dumps(
            (
                [visible(grantee.access_to), grantee_page(grantee.access_type, grantee.access_to)],
                kinds[grantee.access_type],
                len(grantee.grants),
                sum(grant.rule.access_level == AccessLevel.READ_WRITE for grant in grantee.grants),
            )
        )
        for grantee in grantees
    ]
    return _script(b",".join(rows), {"noun": "entry", "columns": _ACCESS_COLUMNS, "sizes": {}, "backends": {}})


def _script(rows: bytes, around: JsonObject) -> bytes:
    """Return the assignment; each row is JSON already, since all of them as values would take ten times the memory."""
    return b'"use strict";\nglobalThis.sharectlRows = %b,"rows":[%b]};\n' % (orjson.dumps(around)[:-1], rows)
