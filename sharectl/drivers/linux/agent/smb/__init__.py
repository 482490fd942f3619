"""Samba: its process, configuration, shares and users."""
