"""Acceptance scenarios of the ontap driver, each ending with a look at all that the array holds."""
