"""One array by its REST API: requests, whole listings and jobs; the only module of the driver that knows HTTP."""

from __future__ import annotations

import ssl
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import orjson
import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProtocolError, SSLError

from sharectl.drivers.base import BackendUnavailableError, DriverError, TransientError
from sharectl.drivers.ontap.connection import CONNECT_SECONDS, login_headers, open_pool
from sharectl.drivers.ontap.errors import ArrayBusyError, ArrayError, OutcomeUnknownError, number_of, one_line, refusal
from sharectl.drivers.ontap.requests import key_of, query_text, retry_after, shown, target_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sharectl.drivers.base import SecretResolver
    from sharectl.drivers.ontap.requests import Path, QueryValue
    from sharectl.drivers.ontap.settings import ArraySettings
    from sharectl.model.canonical import JsonObject

    Query = Mapping[str, QueryValue]

OLDEST: Final = (9, 12, 1)

_ATTEMPTS_TO_READ: Final = 3
_HELD_SECONDS: Final = 15
"""How long the array may hold the answer to a change until its job is done."""
_PAGE_SECONDS: Final = 60
_PAGE_RECORDS: Final = 1000
_MOST_PAGES: Final = 100_000
_ANSWER_SECONDS: Final = 30
_SHORTEST_POLL_SECONDS: Final = 0.25
_LONGEST_POLL_SECONDS: Final = 5.0
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_TOO_MANY: Final = 429
_UNAVAILABLE: Final = 503
_NO_ANSWER_OF_THE_ARRAY: Final = frozenset({502, 504})
_ACCEPTED: Final = 202
_MAY_NOT: Final = 6
_DONE: Final = "success"
_UNDER_WAY: Final = frozenset({"queued", "running", "paused"})


class _Request(NamedTuple):
    """`what` it is for people; `text` is its query; the array may take `held_seconds` to answer."""

    method: str
    target: str
    text: str
    svm: str | None
    body: JsonObject | None
    held_seconds: float
    what: str


class _Answer(NamedTuple):
    status: int
    body: JsonObject


class Array:
    """An array as one account sees it; made for a backend, used by all threads of its lanes.

    A request goes to the SVM called `svm` where one is given. What is refused raises ArrayError; an array that is busy,
    ArrayBusyError; one that cannot be reached or read, BackendUnavailableError; a change of which nobody knows whether it was made,
    OutcomeUnknownError. After a login was refused nothing more is sent: accounts are locked after a few of those.
    """

    def __init__(
        self,
        settings: ArraySettings,
        resolve_secret: SecretResolver,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Connect to nothing yet."""
        self._settings, self._resolve_secret = settings, resolve_secret
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._pool: urllib3.HTTPSConnectionPool | None = None
        self._headers: Mapping[str, str] = {}
        self._cluster: JsonObject | None = None
        self._is_closed = False
        self._refused = ""
        self._not_before = 0.0

    @property
    def name(self) -> str:
        """Where the array is, for messages."""
        return self._settings.place

    @property
    def cluster(self) -> JsonObject:
        """The cluster's own record, read once."""
        return self._greet()

    @property
    def version(self) -> tuple[int, int, int]:
        """The release, such as (9, 14, 1), read once."""
        return _version_of(self._greet())

    def get(
        self, path: Path, *, svm: str | None = None, query: Query | None = None, fields: Iterable[str] = ()
    ) -> JsonObject:
        """Return one record; ArrayError of the kind `gone` where it is missing."""
        self._greet()
        return self._read(target_of(path), query_text(query or {}, fields), svm, f"reading {shown(path)}")

    def records(
        self, path: Path, *, svm: str | None = None, query: Query | None = None, fields: Iterable[str] = ()
    ) -> list[JsonObject]:
        """Return all records of a collection that meet the query; BackendUnavailableError where not all could be had.

        A page may end early, even before its first record: the array says where the next one begins. A list whose order changes
        on the way shows by a record that comes twice, and is read once more.
        """
        self._greet()
        limits: dict[str, QueryValue] = {"max_records": _PAGE_RECORDS, "return_timeout": _PAGE_SECONDS}
        text = query_text({**(query or {}), **limits}, fields)
        for _ in range(2):
            found: dict[tuple[object, ...], JsonObject] = {}
            number = 0
            for page in self._pages(path, text, svm):
                number += len(page)
                found.update((key_of(record), record) for record in page)
            if number == len(found):
                return list(found.values())
        message = f"{self.name} changes the order of {shown(path)} while it is read; the list cannot be had whole"
        raise BackendUnavailableError(message)

    def post(
        self, path: Path, body: JsonObject | None = None, *, svm: str | None = None, query: Query | None = None
    ) -> JsonObject:
        """Make an object, and wait until it is there; return its record, `{}` where the array gives none."""
        return self._change("POST", path, body, svm, {"return_records": True, **(query or {})})

    def patch(
        self, path: Path, body: JsonObject | None = None, *, svm: str | None = None, query: Query | None = None
    ) -> JsonObject:
        """Change an object, and wait until that is done."""
        return self._change("PATCH", path, body, svm, query or {})

    def begin(self, method: Literal["PATCH", "DELETE"], path: Path, body: JsonObject | None = None) -> None:
        """Have something begun that takes the array minutes or hours; how it ends is seen by its object."""
        self._change(method, path, body, None, {"return_timeout": 0}, is_awaited=False)

    def delete(
        self, path: Path, body: JsonObject | None = None, *, svm: str | None = None, query: Query | None = None
    ) -> JsonObject:
        """Remove an object, and wait until that is done; ArrayError of the kind `gone` where it is missing."""
        return self._change("DELETE", path, body, svm, query or {})

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            self._is_closed = True
            if self._pool is not None:
                self._pool.close()

    def _greet(self) -> JsonObject:
        """Ask the array who it is, before anything else and by one request: a wrong password is tried once."""
        if self._cluster is not None:
            return self._cluster
        with self._lock:
            if self._cluster is None:
                if self._pool is None:
                    self._headers = login_headers(self._settings, self._resolve_secret)
                    self._pool = open_pool(self._settings, self._resolve_secret)
                cluster = self._read("/api/cluster", "", None, "reading /cluster")
                self._check(cluster)
                self._cluster = cluster
            return self._cluster

    def _check(self, cluster: JsonObject) -> None:
        version = _version_of(cluster)
        if version < OLDEST:
            found, needed = (".".join(map(str, each)) for each in (version, OLDEST))
            message = f"{self.name} runs ONTAP {found}; the ontap driver needs {needed} or later"
            raise DriverError(message)
        for field, what in (
            ("disaggregated", "a disaggregated system (AFX, ASA r2)"),
            ("san_optimized", "a SAN array"),
        ):
            if cluster.get(field) is True:
                message = f"{self.name} is {what}, where volumes are made in another way; the ontap driver does not support it"
                raise DriverError(message)

    def _pages(self, path: Path, text: str, svm: str | None) -> Iterator[Sequence[JsonObject]]:
        target, what = target_of(path), f"listing {shown(path)}"
        seen = set[str]()
        for _ in range(_MOST_PAGES):
            try:
                body = self._read(target, text, svm, what)
            except ArrayBusyError as busy:
                raise BackendUnavailableError(str(busy), busy.retry_after_seconds) from busy
            page = body.get("records")
            if not isinstance(page, list):
                break
            yield page
            following = ((body.get("_links") or {}).get("next") or {}).get("href")
            if following is None:
                return
            if not str(following).startswith("/api/") or following in seen:
                break
            seen.add(following)
            target, _, text = following.partition("?")
        message = (
            f"{self.name}: {what}: the array's answer does not lead to the end of the list, which cannot be had whole"
        )
        raise BackendUnavailableError(message)

    def _read(self, target: str, text: str, svm: str | None, what: str) -> JsonObject:
        lost = None
        for _ in range(_ATTEMPTS_TO_READ):
            try:
                return self._send(_Request("GET", target, text, svm, None, _PAGE_SECONDS, what)).body
            except (
                OutcomeUnknownError
            ) as problem:  # as where the array closed a connection; asking again changes nothing
                lost = problem
        raise BackendUnavailableError(str(lost)) from lost

    def _change(  # noqa: PLR0913 - what a request is made of
        self,
        method: str,
        path: Path,
        body: JsonObject | None,
        svm: str | None,
        query: Query,
        *,
        is_awaited: bool = True,
    ) -> JsonObject:
        self._greet()
        what = f"{method} {shown(path)}"
        text = query_text({"return_timeout": _HELD_SECONDS, **query})
        answer = self._send(_Request(method, target_of(path), text, svm, body, _HELD_SECONDS, what))
        if answer.status == _ACCEPTED and is_awaited:
            deadline = self._clock() + self._settings.operation_seconds
            for job in (answer.body.get("job"), *answer.body.get("jobs", ())):
                if isinstance(job, dict) and "uuid" in job:
                    self._wait_for(str(job["uuid"]), what, deadline)
            return {}
        records: Sequence[JsonObject] = answer.body.get("records") or ({},)
        return records[0]

    def _wait_for(self, job: str, what: str, deadline: float) -> None:
        """Return when a job has done its work. How it went is not known from a job whose record is gone."""
        pause = _SHORTEST_POLL_SECONDS
        where = f"{self.name}: {what}"
        while True:
            problem: Exception | None = None
            told: JsonObject = {}
            try:
                told = self._read(target_of(("cluster/jobs", job)), "", None, f"reading the job of {what}")
            except TransientError as unread:
                problem = unread
            except DriverError as unread:
                message = f"{where}: how it went cannot be told: {unread}"
                raise OutcomeUnknownError(message) from unread
            state = str(told.get("state", "running"))
            if state == _DONE:
                return
            if state not in _UNDER_WAY:
                error = told.get("error") or {"code": told.get("code"), "message": told.get("message")}
                raise refusal(where, error, 500, is_job=True)
            if self._clock() + pause >= deadline:
                waited = f"the array was still at it after {self._settings.operation_seconds:g} s"
                message = f"{where}: {problem or waited}"
                raise OutcomeUnknownError(message) from problem
            self._sleep(pause)
            pause = min(pause * 1.5, _LONGEST_POLL_SECONDS)

    def _send(self, request: _Request) -> _Answer:
        """Make one request. Raises OutcomeUnknownError where it may have arrived and has no whole answer."""
        where = f"{self.name}: {request.what}"
        pool = self._check_whether_welcome(where)
        headers = {**self._headers, **({} if request.svm is None else {"X-Dot-SVM-Name": request.svm})}
        content = None
        if request.body is not None:
            headers["Content-Type"] = "application/json"
            content = orjson.dumps(request.body)
        try:
            response = pool.urlopen(
                request.method,
                f"{request.target}?{request.text}" if request.text else request.target,
                body=content,
                headers=headers,
                redirect=False,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=request.held_seconds + _ANSWER_SECONDS),
            )
        except HTTPError as problem:
            raise self._unanswered(where, problem) from None
        return self._answer(request, where, response)

    def _check_whether_welcome(self, where: str) -> urllib3.HTTPSConnectionPool:
        """Return the connections, if a request may be made now."""
        if self._pool is None or self._is_closed:
            message = f"{where}: the driver is closed"
            raise DriverError(message)
        if self._refused:
            raise DriverError(self._refused)
        left = self._not_before - self._clock()
        if left > 0:
            message = f"{where}: the array asked for a pause, which lasts {left:.0f} s more"
            raise BackendUnavailableError(message, left)
        return self._pool

    def _unanswered(self, where: str, problem: HTTPError) -> DriverError:
        if isinstance(problem, SSLError):
            cause = problem.args[0] if problem.args else problem
            if isinstance(cause, ssl.SSLCertVerificationError):
                words = cause.verify_message or str(cause)
                return DriverError(f"{where}: its certificate is not trusted, and nothing was sent: {words}")
            reason = one_line(getattr(cause, "reason", None) or cause)
            if "CERTIFICATE" in reason:
                return DriverError(f"{where}: the array refuses {self._settings.login}: {reason}")
            return OutcomeUnknownError(f"{where}: the connection failed: {reason}")
        if isinstance(problem, NewConnectionError | ConnectTimeoutError):
            return BackendUnavailableError(f"{where}: the array cannot be reached: {_plain(problem)}")
        if isinstance(problem, ProtocolError):
            return OutcomeUnknownError(f"{where}: the connection ended before the answer did")
        return OutcomeUnknownError(f"{where}: no whole answer came: {_plain(problem)}")

    def _answer(self, request: _Request, where: str, response: urllib3.BaseHTTPResponse) -> _Answer:
        status = response.status
        body = _json_object(response.data)
        if 200 <= status < 300 and body is not None:  # noqa: PLR2004 - success, as HTTP has it
            return _Answer(status, body)
        if 300 <= status < 400:  # noqa: PLR2004 - elsewhere, as HTTP has it; nobody else is to be told who we are
            message = f"{where}: it sends us elsewhere, and is no management address of ONTAP"
            raise DriverError(message)
        if body is None and status < 300:  # noqa: PLR2004 - as above
            message = f"{where}: its answer is not JSON (HTTP {status})"
            raise OutcomeUnknownError(message)
        if status in _NO_ANSWER_OF_THE_ARRAY and request.method != "GET":
            message = f"{where}: the array itself did not answer (HTTP {status})"
            raise OutcomeUnknownError(message)
        if status == _UNAUTHORIZED:
            self._refused = f"{where}: the array does not let {self._settings.login} in; it is not asked again, lest the account be locked"
            raise DriverError(self._refused)
        wait = retry_after(response.headers) if status in {_TOO_MANY, _UNAVAILABLE} else None
        if wait is not None:
            self._not_before = max(self._not_before, self._clock() + wait)
        error = (body or {}).get("error")
        if not isinstance(error, dict):
            error = {}
        if status in _NO_ANSWER_OF_THE_ARRAY:
            status = _UNAVAILABLE
        if status == _FORBIDDEN or number_of(error.get("code")) == _MAY_NOT:
            words, asked = one_line(error.get("message")), f"{request.method} {request.target}"
            message = f"{where}: {self._settings.login} may not {asked}, which its role has to allow: {words}"
            raise ArrayError(message, code=number_of(error.get("code")), kind="auth", target=request.target)
        raise refusal(where, error, status, retry_after_seconds=wait)


def _json_object(content: bytes) -> JsonObject | None:
    if not content.strip():
        return {}
    try:
        value: Any = orjson.loads(content)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _version_of(cluster: JsonObject) -> tuple[int, int, int]:
    version = cluster.get("version") or {}
    generation, major, minor = (number_of(version.get(part)) for part in ("generation", "major", "minor"))
    return generation, major, minor


def _plain(problem: BaseException) -> str:
    """Return what went wrong without the object that it went wrong with."""
    return one_line(problem).partition("): ")[2] or type(problem).__name__
