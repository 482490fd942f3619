"""What clients mount: export locations, who may reach them from where, and the mounts that follow."""
