"""The review of a plan: what whoever approves it has to know, worked out from its steps alone, so that a saved plan has the same."""
