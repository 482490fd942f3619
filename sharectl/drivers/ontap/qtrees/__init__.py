"""Shares that are qtrees: many small ones in one volume, each with a limit and an export policy of its own."""
