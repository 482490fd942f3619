"""What all tests share: where something is needed that this machine lacks, a laptop skips, and CI fails."""

from __future__ import annotations

import os
import signal
import tempfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Generator

_LACKING = "needs "
"""A reason for skipping that begins so names something that CI has to provide."""


_COPIES = tempfile.TemporaryDirectory(prefix="sharectl-tests-")
os.environ["XDG_STATE_HOME"] = _COPIES.name
"""Copies of the states that tests make are kept there, and not in the home of whoever runs them."""


settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")  # how long an example takes is the machine's business, and what else it does


if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # as nohup leaves it, for all processes that the tests start
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip for want of something into a failure where SHARECTL_TESTS_MUST_RUN is set."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and os.environ.get("SHARECTL_TESTS_MUST_RUN"):
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        if reason.startswith(_LACKING):
            report.outcome = "failed"
            report.longrepr = f"this test has to run here, and {reason}"
    return report
