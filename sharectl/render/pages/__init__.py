"""Pages for a browser: a report as a folder of them, and a plan as one."""
