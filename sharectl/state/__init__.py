"""The persisted state: what sharectl has made, where, and what it is in the middle of."""
