"""The command line: parse, call, render, exit. Commands of one subject share a module; what is heavy is imported inside it."""

from __future__ import annotations

from sharectl.cli.main import main

__all__ = ["main"]
