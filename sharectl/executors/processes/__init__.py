"""Calls in processes of their own, on this machine: each has lanes for some of the backends."""
