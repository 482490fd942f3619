"""The template engine of the pages: whatever stands in them is escaped, and an unknown name is an error."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from importlib.resources import files
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from sharectl.model.access import protocol_words
from sharectl.model.diagnostics import DiagnosticError, error
from sharectl.model.quantities import format_size
from sharectl.render.pages import names
from sharectl.render.text import visible

if TYPE_CHECKING:
    from jinja2 import Environment

_PLACE: Final = "sharectl.render.pages"
_LINKED: Final = ("https://", "http://")


def require_templates() -> None:
    """Raise DiagnosticError where what makes the pages is not installed."""
    if any(find_spec(name) is None for name in ("jinja2", "pygal")):
        raise DiagnosticError(
            error(
                "report.extra",
                "pages for a browser need jinja2 and pygal, and one of them is not installed",
                remedy="pip install 'sharectl[report]'",
            )
        )


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return the engine. Foreign text is shown as a terminal shows it: what does not print is written as an escape."""
    require_templates()
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - an extra

    from sharectl.render.pages import filters  # noqa: PLC0415 - needs what comes with it

    engine = Environment(
        loader=PackageLoader(_PLACE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,  # else it looks for a newer file before each page
    )
    engine.filters.update(
        size=format_size,
        about=filters.about,
        protocols=protocol_words,
        thousands="{:,}".format,
        moment=filters.moment,
        when=filters.when,
        timed=filters.timed,
        clock=filters.clock,
        used=filters.used,
        labels=filters.label_words,
        condition=filters.condition,
        outlook=filters.outlook,
        share_page=names.share_page,
        backend_page=names.backend_page,
    )
    engine.tests["web"] = lambda text: isinstance(text, str) and text.startswith(_LINKED)
    engine.globals.update(grantee_page=names.grantee_page, numbered_page=names.numbered_page)
    return engine


def asset(name: str) -> str:
    """Return the text of a file that the pages use."""
    return files(_PLACE).joinpath("assets", name).read_text(encoding="utf-8")


def hash_of(text: str) -> str:
    """Return how a Content-Security-Policy names exactly this text."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _shown(value: Any) -> Any:  # noqa: ANN401 - whatever a template writes
    """Return what a template writes: text on one line; not what is markup already."""
    return visible(value) if type(value) is str else value
