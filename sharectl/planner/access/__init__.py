"""Access to shares: which rules a plan takes away or leaves to others, and the settings of exports."""
