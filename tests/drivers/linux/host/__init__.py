"""Tests of what the agent does on its host."""
