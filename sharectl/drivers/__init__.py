"""Drivers: how sharectl speaks to storage backends."""
