"""Executors: they run calls on backends, and own all concurrency."""
