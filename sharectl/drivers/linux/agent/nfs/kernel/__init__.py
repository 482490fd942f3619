"""The kernel's NFS server and its table of exports."""
