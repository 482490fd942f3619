"""Backends: the steps for them, and what is to be said of them."""
