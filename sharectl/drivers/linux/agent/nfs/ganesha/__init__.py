"""NFS-Ganesha: its process, its configuration and its control bus."""
