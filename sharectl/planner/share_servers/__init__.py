"""Share servers: the steps for them, and where they go."""
