"""Stand-ins for products that the tests cannot have."""
