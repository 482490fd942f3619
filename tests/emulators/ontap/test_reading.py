"""What GET gives: collections, fields, filters and pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.emulators.ontap.client import Client


def test_the_release_can_be_read(client: Client) -> None:
    """Every client begins with it."""
    got = client.get("/cluster?fields=version")
    assert (got.status, got.body["version"]["generation"]) == (200, 9)


def test_a_page_is_followed_to_the_next(client: Client) -> None:
    """`next` leads from record to record, and its href is in a header too."""
    pages = list(client.pages("/cluster/nodes?max_records=1&fields=state"))
    assert [page.records[0]["name"] for page in pages] == ["n1", "n2"]
    assert 'rel="next"' in pages[0].headers["link"]
    assert "link" not in pages[1].headers


def test_what_is_not_written_is_named(client: Client) -> None:
    """An operation of the array that the emulator lacks is 501, never a wrong answer."""
    got = client.post("/storage/aggregates", {"name": "a"})
    assert (got.status, "POST /storage/aggregates" in got.body["error"]["message"]) == (501, True)
