"""Tests of what commands do."""
