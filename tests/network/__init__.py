"""Tests of the network plugins."""
