"""Tests of the scheduler's fast path."""
