"""Executors make the calls of a run, in this process or elsewhere. All concurrency is here."""
