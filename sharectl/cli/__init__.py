"""The command line: parse, call, render, exit. One module per command; what is heavy is imported inside it."""

from __future__ import annotations

from sharectl.cli.main import main

__all__ = ["main"]
