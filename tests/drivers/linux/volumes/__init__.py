"""Tests of the agent's pools and volumes."""
