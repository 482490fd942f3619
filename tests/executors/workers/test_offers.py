"""What a coordinator makes of the outcomes that workers have recorded."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from sharectl.executors.answers import Done, Failure, FailureKind
from sharectl.executors.calls import Identify
from sharectl.executors.wire import encode
from sharectl.executors.workers.offers import outcome_of

if TYPE_CHECKING:
    import pytest


def test_an_outcome_that_cannot_be_read_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a worker has recorded, and however large it says that it is."""
    good = zlib.compress(encode(Done()))
    assert outcome_of(good) == Done()
    shares = zlib.compress(b'{"version": 1, "type": "SharesListed", "value": {"shares": [1]}}')
    for data in (b"", b"late", good[:-1], zlib.compress(b"{}"), zlib.compress(encode(Identify())), shares):
        failure = outcome_of(data)
        assert isinstance(failure, Failure), data
        assert failure.kind is FailureKind.MISBEHAVED
    monkeypatch.setattr("sharectl.executors.workers.offers.LARGEST_OUTCOME_BYTES", len(encode(Done())) - 1)
    failure = outcome_of(good)
    assert isinstance(failure, Failure)
    assert "larger than" in failure.message
