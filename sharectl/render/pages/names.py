"""The names of pages' files: of a share, a backend, a client; one name for each, that no other has, and that every file system takes."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final

from sharectl.model.kinds import Kind

_PLAIN: Final = re.compile(r"[a-z0-9][a-z0-9._@-]*", re.ASCII)
_LONGEST: Final = 120
_DIGEST_BYTES: Final = 12


def share_page(name: str) -> str:
    """Return the path of a share's page within the report."""
    return f"{Kind.SHARE.prefix}{_file(name)}.html"


def backend_page(name: str) -> str:
    """Return the path of a backend's page."""
    return f"{Kind.BACKEND.prefix}{_file(name)}.html"


def grantee_page(access_type: str, access_to: str) -> str:
    """Return the path of the page of a client, a user or a group: `access/ip-10.0.0.0_8.html`."""
    name = access_to.replace("/", "_").replace(":", "-") if access_type == "ip" else access_to
    return f"access/{access_type}-{_file(name, access_to)}.html"


def numbered_page(base: str, number: int) -> str:
    """Return the path of a part of a list: `shares.html`, `shares-2.html`."""
    return f"{base}.html" if number == 1 else f"{base}-{number}.html"


def _file(name: str, of: str | None = None) -> str:
    """Return `name` where it is plain and in lower case, else a digest of it, which begins with an underscore as no plain name does."""
    if len(name) <= _LONGEST and _PLAIN.fullmatch(name):
        return name
    return f"_{blake2b((name if of is None else of).encode('utf-8', 'surrogatepass'), digest_size=_DIGEST_BYTES).hexdigest()}"
