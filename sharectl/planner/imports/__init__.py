"""Imports: what is there already and is taken over."""
