"""Tests of the engine: apply, recovery, and what surrounds them."""
