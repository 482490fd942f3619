"""One array by its REST API: what is sent, and what is made of each answer."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

import pytest
import trustme

from sharectl.drivers.base import BackendUnavailableError, DriverError, TransientError
from sharectl.drivers.ontap.errors import ArrayBusyError, ArrayError, OutcomeUnknownError
from sharectl.drivers.ontap.requests import Pattern

from .scripted import CUT, scripted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .scripted import Script

VOLUMES = "storage/volumes"


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Script]:
    """Give a server without answers."""
    with scripted(tmp_path) as script:
        yield script


def page(*names: str, following: str | None = None) -> tuple[int, object]:
    """Return a page of a listing."""
    links = {} if following is None else {"_links": {"next": {"href": following}}}
    return 200, {"records": [{"uuid": name, "name": name} for name in names], "num_records": len(names), **links}


def failure(status: int, code: int, message: str = "no", **headers: str) -> tuple[int, object, dict[str, str]]:
    """Return a refusal."""
    return (
        status,
        {"error": {"code": str(code), "message": message}},
        {name.replace("_", "-"): value for name, value in headers.items()},
    )


def test_the_array_is_asked_who_it_is_first_and_once(script: Script) -> None:
    """By one request, before anything else; the login is in each."""
    script.answers = [page(), page()]
    array = script.array()
    array.records(VOLUMES)
    array.records(VOLUMES, svm="vs1")
    assert array.version == (9, 14, 1)
    assert [target.partition("?")[0] for _, target, _, _ in script.asked] == [
        "/api/cluster",
        *2 * ["/api/storage/volumes"],
    ]
    assert all(headers["Authorization"].startswith("Basic ") for *_, headers in script.asked)
    assert [headers.get("X-Dot-SVM-Name") for *_, headers in script.asked] == [None, None, "vs1"]


def test_an_older_release_is_refused_by_its_name(script: Script) -> None:
    """After one request, and again without another kind of request."""
    script.cluster = (200, {"name": "c1", "version": {"generation": 9, "major": 11, "minor": 1}})
    with pytest.raises(DriverError, match=r"runs ONTAP 9\.11\.1; .* 9\.12\.1"):
        script.array().records(VOLUMES)
    assert script.lines() == []


@pytest.mark.parametrize("field", ["disaggregated", "san_optimized"])
def test_another_kind_of_system_is_refused(script: Script, field: str) -> None:
    """Volumes are made in another way there."""
    script.cluster = (200, {**script.cluster[1], field: True})
    with pytest.raises(DriverError, match="does not support it"):
        script.array().get(VOLUMES)


def test_a_wrong_password_is_tried_once(script: Script) -> None:
    """Whatever is asked afterwards, and by how many at once."""
    script.cluster = failure(401, 6691623, "User is not authorized")
    array = script.array()
    told: list[str] = []

    def ask() -> None:
        with pytest.raises(DriverError) as refused:
            array.records(VOLUMES)
        told.append(str(refused.value))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(script.asked) == 1
    assert len(told) == 8
    assert all("'admin'" in line and "hush" not in line for line in told)


@pytest.mark.parametrize("names", [("127.0.0.2",), ("filer.example.org",)])
def test_a_certificate_of_another_name_is_refused_before_anything_is_said(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    """Nothing arrives, not even who asks."""
    with scripted(tmp_path, *names) as script:
        with pytest.raises(DriverError, match="certificate is not trusted, and nothing was sent") as refused:
            script.array().records(VOLUMES)
        assert not isinstance(refused.value, TransientError)
        assert script.asked == []


def test_a_certificate_of_another_authority_is_refused(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What other programs are told to trust does not matter."""
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", script.ca_file)
    monkeypatch.setenv("CURL_CA_BUNDLE", script.ca_file)
    with pytest.raises(DriverError, match="not trusted"):
        script.array(ca_file=str(other)).records(VOLUMES)
    assert script.asked == []
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonsense")
    script.answers = [page()]
    assert script.array().records(VOLUMES) == []


def test_the_certificate_may_bear_another_name_that_is_told(tmp_path: Path) -> None:
    """An address has no certificate at many sites; the name is checked all the same."""
    with scripted(tmp_path, "filer.example.org") as script:
        script.answers = [page()]
        assert script.array(server_name="filer.example.org").records(VOLUMES) == []


def test_nobody_is_followed_elsewhere(script: Script) -> None:
    """The login is for this address alone."""
    script.cluster = (302, {}, {"Location": f"https://127.0.0.1:{script.port}/api/other"})
    with pytest.raises(DriverError, match="elsewhere"):
        script.array().records(VOLUMES)
    assert len(script.asked) == 1


def test_a_listing_follows_every_page(script: Script) -> None:
    """Empty ones too, by the links that the array gives."""
    script.answers = [
        page("a", following="/api/storage/volumes?start.uuid=a&x=1"),
        page(following="/api/storage/volumes?start.uuid=b&x=1"),
        page("c"),
    ]
    found = script.array().records(VOLUMES, query={"svm.name": "vs1"}, fields=("uuid", "nas.path"))
    assert [record["name"] for record in found] == ["a", "c"]
    first, *rest = script.lines()
    assert "svm.name=vs1" in first
    assert "fields=uuid,nas.path" in first
    assert rest == [f"GET /api/storage/volumes?start.uuid={key}&x=1" for key in "ab"]


@pytest.mark.parametrize(
    "bad",
    [
        failure(503, 7, Retry_After="3"),
        (503, b"<html>", {}),
        (200, {"num_records": 0}),
        (200, b'{"records": [', {}),
        page("b", following="https://elsewhere.example.org/api/storage/volumes"),
        page("b", following="/api/storage/volumes?start.uuid=a"),
    ],
    ids=["busy", "gateway", "no records", "half", "elsewhere", "circle"],
)
def test_a_listing_that_is_cut_is_none(script: Script, bad: tuple[int, object]) -> None:
    """It is told as a backend that cannot be read, and never as a shorter list."""
    script.answers = [page("a", following="/api/storage/volumes?start.uuid=a"), bad, bad, bad]
    with pytest.raises(BackendUnavailableError):
        script.array().records(VOLUMES)


def test_a_list_whose_order_changes_is_read_again(script: Script) -> None:
    """A record that comes twice shows that another may be missing."""
    moved = [page("a", "b", following="/api/storage/volumes?start.uuid=b"), page("b")]
    whole = [page("a", "b", following="/api/storage/volumes?start.uuid=b"), page("c")]
    script.answers = [*moved, *whole]
    assert [record["name"] for record in script.array().records(VOLUMES)] == ["a", "b", "c"]
    script.answers = [*moved, *moved]
    with pytest.raises(BackendUnavailableError, match="changes the order"):
        script.array().records(VOLUMES)


def test_reading_is_repeated_where_the_connection_ends(script: Script) -> None:
    """The array closes idle ones at any moment."""
    script.answers = [CUT, CUT, page("a")]
    assert len(script.array().records(VOLUMES)) == 1
    script.answers = [CUT, CUT, CUT]
    with pytest.raises(BackendUnavailableError):
        script.array().records(VOLUMES)


@pytest.mark.parametrize(
    "answer", [CUT, (502, b"", {}), (504, b"<html>", {}), (200, b"{", {})], ids=["cut", "502", "504", "half"]
)
@pytest.mark.parametrize("method", ["post", "patch", "delete"])
def test_a_change_without_an_answer_is_made_once(script: Script, method: str, answer: object) -> None:
    """Whether it was made is for the caller to see."""
    script.answers = [answer]
    with pytest.raises(OutcomeUnknownError) as unknown:
        getattr(script.array(), method)((VOLUMES, "u"), {})
    assert unknown.value.retry_after_seconds is None
    assert len(script.lines()) == 1


def test_an_array_that_asks_for_a_pause_gets_one(script: Script) -> None:
    """Nothing is sent before, whoever asks; the lane is free meanwhile."""
    script.answers = [failure(429, 262160, Retry_After="7")]
    array = script.array()
    with pytest.raises(ArrayBusyError) as busy:
        array.post(VOLUMES, {})
    assert busy.value.retry_after_seconds == 7
    with pytest.raises(TransientError) as waiting:
        array.get((VOLUMES, "u"))
    assert 0 < (waiting.value.retry_after_seconds or 0) <= 7
    assert len(script.lines()) == 1


def test_a_pause_may_be_a_time_by_the_clock_of_the_array(script: Script) -> None:
    """Whose clock may be wrong."""
    date, later = "Sun, 01 Nov 2020 10:00:00 GMT", "Sun, 01 Nov 2020 10:00:20 GMT"
    script.answers = [failure(503, 7, Retry_After=later, Date=date)]
    with pytest.raises(TransientError) as busy:
        script.array().patch((VOLUMES, "u"), {"size": 1})
    assert 0 <= (busy.value.retry_after_seconds or 0) <= 600


def test_codes_say_what_to_make_of_a_refusal(script: Script) -> None:
    """Whatever HTTP status they come with."""
    array = script.array()
    for status in (400, 404, 409, 500):
        for code, kind in ((917526, "dup"), (4, "gone"), (1703945, "inuse"), (13107341, "space"), (460770, "partial")):
            script.answers = [failure(status, code)]
            with pytest.raises(ArrayError) as refused:
                array.post(VOLUMES, {})
            assert (refused.value.code, refused.value.kind) == (code, kind)
    script.answers = [failure(400, 2621573)]
    with pytest.raises(ArrayBusyError) as busy:
        array.post(VOLUMES, {})
    assert (busy.value.retry_after_seconds or 0) > 5


def test_a_role_without_the_path_is_named(script: Script) -> None:
    """With the account, the method and the path."""
    script.answers = [failure(403, 6, "not authorized for that command")]
    with pytest.raises(ArrayError, match="'admin' may not DELETE /api/storage/volumes/u1, which its role") as refused:
        script.array().delete((VOLUMES, "u1"))
    assert refused.value.kind == "auth"


def test_an_approval_that_is_pending_is_said(script: Script) -> None:
    """It is no failure of the role."""
    script.answers = [failure(400, 262325)]
    with pytest.raises(ArrayError, match="another administrator has to approve"):
        script.array().delete((VOLUMES, "u1"))


def test_a_job_is_followed_to_its_end(script: Script) -> None:
    """Queued, running and done; the answer of a failed one has its own code."""
    accepted = (202, {"job": {"uuid": "j1"}})
    script.answers = [
        accepted,
        (200, {"state": "queued"}),
        CUT,
        (200, {"state": "running"}),
        (200, {"state": "success"}),
    ]
    array = script.array()
    assert array.post(VOLUMES, {}) == {}
    script.answers = [accepted, (200, {"state": "failure", "code": 917536, "message": "no room"})]
    with pytest.raises(ArrayError, match="no room") as failed:
        array.post(VOLUMES, {})
    assert (failed.value.code, failed.value.kind) == (917536, "partial")
    script.answers = [accepted, (200, {"state": "failure", "error": {"code": "524486", "message": "busy"}})]
    with pytest.raises(ArrayBusyError) as busy:
        array.post(VOLUMES, {})
    assert busy.value.retry_after_seconds is None, "a job may have begun"


def test_a_job_that_nobody_knows_is_not_one_that_failed(script: Script) -> None:
    """Its record goes minutes after its end; nor is one that takes long."""
    accepted = (202, {"job": {"uuid": "j1"}})
    script.answers = [accepted, failure(404, 4, "entry doesn't exist")]
    with pytest.raises(OutcomeUnknownError):
        script.array().post(VOLUMES, {})
    script.answers = [accepted, (200, {"state": "running"})]
    with pytest.raises(OutcomeUnknownError, match="still at it"):
        script.array(operation_seconds=0).post(VOLUMES, {})


def test_the_record_that_was_made_is_returned(script: Script) -> None:
    """As the array gives it."""
    script.answers = [(201, {"num_records": 1, "records": [{"uuid": "u1"}], "job": {"uuid": "j"}}), (201, b"{\n}", {})]
    array = script.array()
    assert array.post(VOLUMES, {"name": "a"}) == {"uuid": "u1"}
    assert array.post(VOLUMES, {"name": "a"}) == {}
    assert all("return_timeout=" in line and "return_records=true" in line for line in script.lines())


HOSTILE = ("*", "a*", "..", ".", "", "a|b", 'a"b', "a\nb", "a>b")


@pytest.mark.parametrize("value", HOSTILE)
def test_no_value_of_a_path_means_more_than_one_object(script: Script, value: str) -> None:
    """Nothing is sent: an empty one would delete the whole collection, and a star what it matches."""
    with pytest.raises(DriverError, match="cannot be the name of one object"):
        script.array().delete((VOLUMES, value))
    assert script.lines() == []


def test_values_are_quoted_where_they_stand(script: Script) -> None:
    """In paths and in filters; what is meant as a pattern stays one."""
    script.answers = [page(), page()]
    array = script.array()
    array.records(("protocols/cifs/shares", "u1", "c$", "acls", "DOM\\bob", "windows"))
    array.records(
        VOLUMES,
        query={"name": "a*|b", "comment": Pattern("sharectl:*"), "a": ["x", "y,z"], "b": True, "c": 'q"', "d": "null"},
    )
    assert script.lines()[0].startswith("GET /api/protocols/cifs/shares/u1/c%24/acls/DOM%5Cbob/windows?")
    assert script.lines()[1].startswith(
        "GET /api/storage/volumes?name=%22a%2A%7Cb%22&comment=sharectl%3A%2A&a=x%7C%22y%2Cz%22&b=true&c=%7Bq%22%7D&d=%22null%22&"
    )


def test_no_more_requests_are_under_way_than_are_allowed(script: Script) -> None:
    """Thirty lanes share the connections."""
    script.answers = [page() for _ in range(30)]
    array = script.array(requests_at_once=3)
    threads = [threading.Thread(target=array.records, args=(VOLUMES,)) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(script.lines()) == 30
    assert array._pool is not None
    assert array._pool.num_connections <= 3


def test_an_array_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    """And the message says why."""
    with scripted(tmp_path) as script:
        array = script.array()
    with pytest.raises(BackendUnavailableError, match="cannot be reached") as problem:
        array.records(VOLUMES)
    assert not re.search(r"object at 0x", str(problem.value))
