"""Files of NFS and SMB servers that sharectl did not configure: `/etc/exports` and `smb.conf`, read, and turned into access rules."""
