"""Tests of the directory driver."""
