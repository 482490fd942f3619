"""What can be wrong with the scheduler's settings or with a value that a pool reports."""

from __future__ import annotations

from sharectl.model.diagnostics import Diagnostic, DiagnosticError, warning


class SchedulerConfigError(DiagnosticError):
    """The scheduler section of `sharectl.yaml` cannot work: an unknown name, or a number out of range."""


class UnfitValueError(Exception):
    """A pool reports a value with which a rule cannot be evaluated; the pool is not fit for the request.

    Manila answers such a request with an error as a whole.
    """

    def __init__(self, rule: str, key: str, value: object, why: str) -> None:
        """Say which `rule` (a filter or weigher) met which `value` of the capability `key`, and `why` it cannot use it."""
        super().__init__(f"{rule}: {key} is {value!r}, {why}")
        self.rule = rule
        self.key = key
        self.value = value
        self.why = why

    @property
    def reason(self) -> str:
        """What explanations say of the pool, without the rule's name."""
        return f"{self.key} is {self.value!r}, {self.why}"

    def diagnostic(self, host: str) -> Diagnostic:
        """Return the warning that names the pool `host` and the value."""
        return warning(
            "scheduler.unfit-value",
            f"pool {host} is left out: {self.key} is {self.value!r}",
            detail=f"{self.rule} cannot use it: {self.why}.",
            remedy="correct what the driver or the Backend manifest reports, or the extra spec that asks for it",
        )


class BrokenRuleError(UnfitValueError):
    """A filter or weigher of another package failed on a pool; the pool is not fit for the request."""

    def __init__(self, rule: str, why: str) -> None:
        """Say which `rule` failed, and how."""
        super().__init__(rule, rule, None, why)

    @property
    def reason(self) -> str:
        """What explanations say of the pool, without the rule's name."""
        return f"it failed: {self.why}"

    def diagnostic(self, host: str) -> Diagnostic:
        """Return the warning that names the pool `host` and the failure."""
        return warning(
            "scheduler.broken-rule",
            f"pool {host} is left out: {self.rule} failed on it",
            detail=f"{self.why}.",
            remedy=f"report it to whoever made {self.rule}, or take it out of sharectl.yaml",
        )
