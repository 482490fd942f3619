"""What is made, taken and exported on an emulated array, part by part."""
