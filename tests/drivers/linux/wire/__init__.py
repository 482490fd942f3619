"""Tests of the way between driver and agent."""
