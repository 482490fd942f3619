"""Lines of a benchmark for people: a figure, its yardstick, their ratio and the limit of it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Report:
    """What has been measured so far."""

    broken: list[str] = field(default_factory=list)

    def line(self, name: str, value: float, yardstick: float, limit: float, unit: str = "s") -> None:
        """Print one ratio and remember it where it is over its limit."""
        if value <= 0 or yardstick <= 0:
            message = f"{name}: {value:g} against {yardstick:g} is no ratio; the machine is too busy for this figure"
            raise SystemExit(message)
        ratio = value / yardstick
        verdict = "ok" if ratio <= limit else "OVER"
        print(
            f"{name:<58} {value:9.3f} {unit}  / {yardstick:8.3f} {unit} = {ratio:6.2f}  (at most {limit:g}) {verdict}",
            flush=True,
        )
        if ratio > limit:
            self.broken.append(name)

    def fact(self, name: str, text: str) -> None:
        """Print something that has no limit."""
        print(f"{name:<58} {text}", flush=True)

    def exit_code(self) -> int:
        """Name what is over its limit, and return the exit code of the benchmark."""
        if self.broken:
            print(f"over the limit: {'; '.join(self.broken)}")
        return 1 if self.broken else 0
