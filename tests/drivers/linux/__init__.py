"""Tests of the linux driver, with real servers and clients."""
