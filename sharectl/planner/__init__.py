"""The parts of the planner; `sharectl.plan` is its front door."""
