"""Frames and requests: the way between the driver and the agent."""
