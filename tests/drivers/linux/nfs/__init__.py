"""Tests of the agent's NFS servers."""
