"""A connection to PostgreSQL on which no answer is waited for without end, however long a statement may take."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

import psycopg

from sharectl.state.postgresql.errors import HungServerError, UnansweredError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

_Result = TypeVar("_Result")

UNLIMITED_SECONDS: Final = 3600.0
"""How long a statement may be silent that the server grants any time, such as one that brings tables forward."""
_GRACE_SECONDS: Final = 15.0
"""How long the server's word is waited for that a statement has taken longer than it is granted."""
_ASKING_SECONDS: Final = 10.0
"""After a silence of this length the server is asked over another connection whether it answers at all."""
_STANDSTILL_SECONDS: Final = 1.0
"""psycopg looks ten times a second. Where a look comes later, this process stood still, and what it waited for may just be on its way: no more than this counts."""
_NOBODY_THERE: Final = ("refused", "closed the connection", "reset by peer", "No such file")
"""What libpq says where nobody speaks PostgreSQL: a way whose other end has gone accepts, and hangs up."""


class PatientConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection on which no answer is waited for without end.

    A server whose processes stand still, or a way that swallows everything, looks like one that is long at work: TCP notices nothing.
    What tells them apart is another connection.
    """

    granted_seconds: float = UNLIMITED_SECONDS
    patience_seconds: float | None = None
    """How long an answer is waited for that may never come from a server that is sound."""
    answers_beside: Callable[[], bool]

    def wait(self, gen: Any, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - as psycopg has it
        """Wait, and close the connection where that has no end. Raises UnansweredError."""
        if self.patience_seconds is not None:
            gen = _until(gen, self.patience_seconds)
        else:
            gen = _until(gen, self.granted_seconds + _GRACE_SECONDS, self.answers_beside)
        try:
            return super().wait(gen, *arguments, **named)
        except UnansweredError:
            self.close()
            raise


def _until(
    waits: Generator[Any, Any, _Result],
    most_seconds: float,
    is_answering: Callable[[], bool] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[Any, Any, _Result]:
    """Yield what `waits` does, which psycopg asks again at short intervals, until nothing has been heard for so long.

    Where it is asked earlier whether the server `is_answering`, and does not, that is the end.
    """
    heard_at = asked_at = clock()
    is_hung = False
    try:
        wanted = next(waits)
        while True:
            looked_at = clock()
            is_ready = yield wanted
            now = clock()
            stood_still_seconds = max(0.0, now - looked_at - _STANDSTILL_SECONDS)
            heard_at, asked_at = heard_at + stood_still_seconds, asked_at + stood_still_seconds
            if is_ready:
                heard_at = asked_at = now
                is_hung = False
            elif is_hung:
                message = f"nothing for {now - heard_at:.0f} s, nor over another connection"
                raise HungServerError(message)
            elif now - heard_at >= most_seconds:
                message = f"no answer within {most_seconds:g} s"
                raise UnansweredError(message)
            elif is_answering is not None and now - asked_at >= _ASKING_SECONDS:
                is_hung = not is_answering()  # and then looked at once more
                asked_at = clock()
            wanted = waits.send(is_ready)
    except StopIteration as ended:
        found: _Result = ended.value
        return found


def is_answering(parameters: Mapping[str, Any], connection: PatientConnection) -> bool:
    """Tell whether the server at the other end of `connection` answers whoever comes anew, if only with a refusal."""
    end = connection.pgconn
    where = {"host": end.host, "hostaddr": end.hostaddr, "port": end.port}
    try:
        there = {name: value.decode() for name, value in where.items()}
        psycopg.connect(**{**parameters, **there, "target_session_attrs": "any"}).close()
    except psycopg.errors.ConnectionTimeout:
        return False
    except psycopg.Error as error:
        return not any(words in str(error) for words in _NOBODY_THERE)
    return True
