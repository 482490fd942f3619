"""Comparison with recorded decisions of OpenStack Manila."""
