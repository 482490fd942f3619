"""The nouns of sharectl, as frozen values without I/O."""
