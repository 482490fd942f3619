"""Executors: whoever makes the calls of a run, in this process or elsewhere; all concurrency is here."""
