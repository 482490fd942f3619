"""What is sent to a storage host: the agent with its one library as a zip, and the line of Python that runs it from memory.

The zip is read from standard input into a file in memory, which is gone with the process. The agent keeps a copy beside the backend's
records for what watches over the servers there.
"""

from __future__ import annotations

import io
import zipfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import DriverError

if TYPE_CHECKING:
    from collections.abc import Iterator

OLDEST_PYTHON: Final = (3, 11)
_PARENTS: Final = ("sharectl", "sharectl/model", "sharectl/drivers", "sharectl/drivers/linux")
_AGENT: Final = "sharectl/drivers/linux/agent"
_GROUND: Final = (
    "model/access.py",
    "model/canonical.py",
    "model/client_addresses.py",
    "model/export_names.py",
    "model/fences.py",
    "model/letters.py",
    "model/precedence.py",
)
"""Modules of sharectl's ground floor that the agent shares; as all of the agent, they need the standard library alone."""
_LEFT_OUT: Final = frozenset({"tests", "asyncio.py", "trio.py", "bindgen.py"})
"""Parts of jeepney that the agent does not use."""
_WATCH: Final = b"from sharectl.drivers.linux.agent.watcher import main\n\nmain()\n"
"""What a copy of the zip that stays on the host does when it is run: watch over the servers."""
_ZIP_EPOCH: Final = (1980, 1, 1, 0, 0, 0)

# One line without quotation marks of the shell, so that any login shell passes it on as it is. It has to be readable, as far as the
# question for the version, for any Python there is. It reads exactly the zip: the requests follow it on the same stream.
_BOOTSTRAP: Final = (
    "import os,sys;"
    'sys.version_info>={oldest} or sys.exit("Python {oldest_text} or newer is needed, and this is "+sys.version.split()[0]);'
    'sys.platform=="linux" or sys.exit("Linux is needed, and this is "+sys.platform);'
    'zip=open(os.memfd_create("sharectl-agent"),"wb",0);'
    'exec("while zip.tell()<{size}: zip.write(os.read(0,{size}-zip.tell()) or sys.exit(1))");'
    'sys.path.insert(0,"/proc/self/fd/%d"%zip.fileno());'
    "from sharectl.drivers.linux.agent.main import main;"
    "main()"
)


def bootstrap(archive: bytes) -> str:
    """Return the text that `python3 -c` runs, to read this zip from standard input and become the agent."""
    return _BOOTSTRAP.format(
        oldest=OLDEST_PYTHON, oldest_text=".".join(str(part) for part in OLDEST_PYTHON), size=len(archive)
    )


@cache
def agent_archive() -> bytes:
    """Return the zip: the agent's sources, empty packages around them, and jeepney; the same bytes for the same sources."""
    return make_archive(dict(_sources()))


def make_archive(sources: dict[str, bytes]) -> bytes:
    """Return a zip with these sources by name."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(sources):
            archive.writestr(zipfile.ZipInfo(name, _ZIP_EPOCH), sources[name], zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def _sources() -> Iterator[tuple[str, bytes]]:
    yield "__main__.py", _WATCH
    for package in _PARENTS:
        yield f"{package}/__init__.py", b""
    here = Path(__file__).resolve().parent
    for module in _GROUND:
        yield f"sharectl/{module}", (here.parent.parent / module).read_bytes()
    yield from _package(here / "agent", _AGENT)
    yield from _package(_jeepney(), "jeepney")


def _package(folder: Path, name: str) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*.py"):
        inside = path.relative_to(folder)
        if _LEFT_OUT.isdisjoint(inside.parts):
            yield f"{name}/{inside.as_posix()}", path.read_bytes()


def _jeepney() -> Path:
    from importlib.util import find_spec  # noqa: PLC0415 - only a connection that is made needs it

    found = find_spec("jeepney")
    if found is None or found.origin is None:
        message = "the linux driver ships the Python package jeepney to the storage host, and it is not installed here: pip install 'sharectl[linux]'"
        raise DriverError(message)
    return Path(found.origin).parent
