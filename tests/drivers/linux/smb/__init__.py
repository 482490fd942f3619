"""Tests of the agent's SMB server."""
