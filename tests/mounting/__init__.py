"""What clients mount."""
