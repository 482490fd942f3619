"""Shares: the steps for them, where new ones go, and what drivers say of them beforehand."""
