"""Tests of the readers of other servers' files."""
