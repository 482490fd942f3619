"""Tests of shares that are qtrees."""
