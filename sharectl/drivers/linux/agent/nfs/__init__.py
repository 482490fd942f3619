"""NFS servers of the host: what both have in common, Ganesha and the kernel's own."""
