"""Share servers of the ontap driver."""
