"""The kind of store is chosen by the URL of the state."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from sharectl.model.state_urls import SCHEMES, url_of_file
from sharectl.state.stores import KINDS, kind_of_store, open_store
from sharectl.state.testing.samples import ALICE, whole_view

if TYPE_CHECKING:
    from pathlib import Path


def test_every_scheme_that_a_url_may_have_is_that_of_a_store() -> None:
    """And no store is beyond reach."""
    assert KINDS.keys() == set(SCHEMES)


def test_a_url_opens_the_state_that_it_names(tmp_path: Path) -> None:
    """One that is not there reads as empty until it is made."""
    url = url_of_file(tmp_path / "state.db")
    kind = kind_of_store(url)
    assert not kind.is_at(url)
    with closing(open_store(url, create=False)) as store:
        assert whole_view(store).lineage == ""
    with closing(open_store(url, create=True)) as store:
        assert store.location == str(tmp_path / "state.db")
        store.acquire(ALICE, duration_seconds=60)
    assert kind.is_at(url)


def test_a_state_that_is_set_aside_leaves_its_place_to_another(tmp_path: Path) -> None:
    """Its new place is told."""
    url = url_of_file(tmp_path / "state.db")
    open_store(url, create=True).close()
    aside = kind_of_store(url).set_aside(url)
    assert aside == str(tmp_path / "state.db.damaged-1")
    assert not kind_of_store(url).is_at(url)


def test_without_the_library_for_a_database_one_is_told_what_to_install() -> None:
    """And where the state is."""
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from sharectl.state.stores import kind_of_store\n"
        "from sharectl.state.contract import StateUnavailableError\n"
        "try: kind_of_store('postgresql://me@db.example/x?name=a')\n"
        "except StateUnavailableError as refused: print(refused, refused.remedy)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "db.example, database x" in done.stdout
    assert "sharectl[postgresql]" in done.stdout
