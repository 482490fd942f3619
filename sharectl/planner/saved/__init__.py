"""Saved plans: their document, whether they are sound, and whether they are current."""
