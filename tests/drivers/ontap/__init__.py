"""Tests of the ontap driver."""
