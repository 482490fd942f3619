"""Share servers of the ontap driver: for each share network an SVM of its own, on the segment that its network service names."""
