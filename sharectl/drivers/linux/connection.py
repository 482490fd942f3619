"""The driver's connection to the agent: made by the first call, shared by all threads, made anew after it was lost."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final

from sharectl.drivers.base import BackendUnavailableError, DriverError, TransientError
from sharectl.drivers.linux.session import RETRY_SECONDS, Session
from sharectl.drivers.linux.shipping import agent_archive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sharectl.drivers.linux.settings import HostSettings

CALL_SECONDS: Final = 300.0
DEFAULT_WIDTH: Final = 16


class AgentConnection:
    """Calls of the agent on one host, for one backend.

    `settings` are what the agent's operations are opened with; no secret is in them. `width` is how many calls the agent runs at
    once, `call_seconds` how long a call is waited for. `make_archive` gives the zip that is shipped.
    """

    def __init__(
        self,
        host: HostSettings,
        settings: Mapping[str, Any],
        *,
        width: int = DEFAULT_WIDTH,
        call_seconds: float = CALL_SECONDS,
        make_archive: Callable[[], bytes] = agent_archive,
    ) -> None:
        """Remember; nothing is started yet."""
        self._host = host
        self._settings = settings
        self._width = width
        self._call_seconds = call_seconds
        self._make_archive = make_archive
        self._lock = threading.Lock()
        self._opening: Future[Session] | None = None
        self._is_closed = False

    def call(self, method: str, params: Mapping[str, Any] | None = None, timeout_seconds: float | None = None) -> Any:  # noqa: ANN401 - any JSON value
        """Return the result of the agent's operation `method`; safe from any number of threads.

        Raises the error of sharectl.drivers.base that fits the agent's problem, and BackendUnavailableError where the host
        cannot be reached, the connection is lost or the time is over: what was asked for may then be done, half done or not, and
        the same call made again finishes it. The error has `retry_after_seconds` where nothing was begun.
        """
        return self._session().ask(
            method, params or {}, self._call_seconds if timeout_seconds is None else timeout_seconds
        )

    def close(self) -> None:
        """End the agent and wait for it; nothing is called afterwards."""
        with self._lock:
            self._is_closed = True
            opening = self._opening
        if opening is not None and opening.exception() is None:
            opening.result().close()

    def _session(self) -> Session:
        """Return the living session, or a new one; threads that come while one is being made share its fate."""
        with self._lock:
            if self._is_closed:
                message = "the connection to the agent is closed"
                raise DriverError(message)
            opening = self._opening
            is_mine = opening is None or _is_lost(opening)
            if opening is None or is_mine:
                opening = self._opening = Future[Session]()
        if is_mine:
            try:
                opening.set_result(self._open())
            except BaseException as cause:
                opening.set_exception(cause)
                raise
        failure = opening.exception()
        if isinstance(failure, DriverError):
            raise _again(failure) from failure
        return opening.result()

    def _open(self) -> Session:
        session = Session(self._host, self._make_archive())
        try:
            session.greet(self._settings, self._width)
        except BackendUnavailableError as cause:
            session.close()
            raise BackendUnavailableError(str(cause), RETRY_SECONDS) from cause
        except BaseException:
            session.close()
            raise
        return session


def _again(failure: DriverError) -> DriverError:
    """Return the same error for another thread: a traceback belongs to one."""
    if isinstance(failure, TransientError):
        return type(failure)(str(failure), failure.retry_after_seconds)
    return type(failure)(str(failure))


def _is_lost(opening: Future[Session]) -> bool:
    return opening.done() and (opening.exception() is not None or opening.result().is_over)
