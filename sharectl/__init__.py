"""sharectl: shared file systems described in YAML, reconciled onto storage backends."""

__version__ = "0.1.0"
