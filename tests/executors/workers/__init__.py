"""Workers near their backends, against real servers."""
