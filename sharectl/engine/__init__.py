"""The parts of the engine; `sharectl.apply` is its front door."""
