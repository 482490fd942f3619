"""What the host gives: mounts, loop devices, namespaces, daemons and programs."""
